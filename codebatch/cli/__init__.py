"""The command line: a face over `codebatch.api`, one module a noun."""

from codebatch.cli.group import main
from codebatch.cli.root import cli

__all__ = ["cli", "main"]
