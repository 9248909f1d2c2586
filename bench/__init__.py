"""Benchmarks: one file per question. Each starts its servers as processes of their own and measures from outside."""
