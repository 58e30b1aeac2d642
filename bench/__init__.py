"""What a case costs, beside a minimal claim on the bare SDK in the same run: `python -m bench`."""
