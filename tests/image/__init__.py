"""The image, and what runs it on one server: read, checked, and followed step by step without an engine."""
