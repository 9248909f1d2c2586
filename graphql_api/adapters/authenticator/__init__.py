"""Authenticators that ask somebody outside who a caller is."""
