"""What the documents say: pure functions and data."""
