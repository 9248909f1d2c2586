"""Endpoints of Amazon SageMaker: real-time, streaming and asynchronous."""
