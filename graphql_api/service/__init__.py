"""Use cases: async, over the ports, without a web or GraphQL framework."""
