"""What is derived from a store and may be deleted at any time."""
