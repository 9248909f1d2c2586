"""How GraphQL and files travel: HTTP, WebSocket and Server-Sent Events."""
