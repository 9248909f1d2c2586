"""Load generators, cheap enough not to be what is measured."""
