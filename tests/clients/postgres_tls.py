"""TLS in front of PostgreSQL, as its protocol has it. The server of the wheel is built without TLS."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter

from tests.clients.tls_proxy import Certificate, CuttableProxy

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
"""PostgreSQL, Frontend/Backend Protocol, Message Formats: SSLRequest."""


class PostgresTlsProxy(CuttableProxy):
    """Answers the request for TLS, shows a certificate, and passes on what comes through. Nobody comes in without."""

    def __init__(self, target_port: int, certificate: Certificate) -> None:
        super().__init__(target_port)
        self.handshakes = 0
        """Connections that were encrypted."""
        self._context = certificate.server_context()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
                writer.transport.abort()
                return
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(self._context)
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
            return
        self.handshakes += 1
        await super()._serve(reader, writer)
