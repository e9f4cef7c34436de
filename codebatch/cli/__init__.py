"""The command line: a face over `codebatch.api`.

To add a command: write it in a module of `codebatch.cli.commands`, and list it in the table of
`codebatch.cli.root` and in `docs/commands.md`.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING

from codebatch.runtime.lazy import lazily
from codebatch.runtime.programs import leave_current_folder

if TYPE_CHECKING:
    from codebatch.cli.root import cli

with lazily():
    from codebatch.cli import root

__all__ = ["cli", "main"]

# Objects to be made before the cyclic collector looks for garbage, of which modules and records
# make next to none: with Python's own number, looking takes a sixth of a short command.
_COLLECT_AFTER = 50_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    if arguments is None:  # as a program
        leave_current_folder()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)  # the process ends: nothing is left to be collected
    root.main(arguments)


def __getattr__(name: str) -> object:
    """The root command, imported when it is asked for."""
    if name == "cli":
        return root.cli
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
