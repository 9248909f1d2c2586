"""Contracts: one suite for each port, held to by every adapter of it."""
