"""What happens, and when: deterministic, readable aloud; one file a workflow."""
