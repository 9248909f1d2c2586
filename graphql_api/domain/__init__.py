"""Values and rules of the service. Standard library only; nothing here waits, reads or writes."""
