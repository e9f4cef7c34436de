"""Read-only views of a batch, one module a view."""
