"""The real world behind the ports: a folder per port, a file per technology, chosen by URL scheme."""
