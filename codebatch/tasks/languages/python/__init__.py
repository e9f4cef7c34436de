"""Python: trees through the standard library's `ast`, names by ruff."""
