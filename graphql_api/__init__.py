"""A self-hosted text-to-image service: GraphQL in front, streaming notifications, jobs that are never lost."""

__version__ = "0.1.0"
