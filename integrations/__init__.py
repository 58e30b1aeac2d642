"""The outside: a port and its adapters each."""
