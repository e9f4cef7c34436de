"""The task contract, the registry, and the built-in tasks."""
