"""The command line: a face over `codebatch.api`, one module a noun."""

from codebatch.cli.root import cli, main

__all__ = ["cli", "main"]
