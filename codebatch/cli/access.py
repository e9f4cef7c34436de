"""What a command reads, writes and prints, said once beside the command.

`explain` and `api` show it, and a test runs every viewing command without the rest of the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from codebatch.runtime.lazy import lazy
from codebatch.store import DATA

if TYPE_CHECKING:
    from codebatch.model import resources
else:
    resources = lazy("codebatch.model.resources")

F = TypeVar("F", bound=Callable[..., Any])

_READS = "codebatch_reads"
_WRITES = "codebatch_writes"
_PRINTS = "codebatch_prints"


class Access(NamedTuple):
    """The kinds of data a command reads at most and writes, and the schemas of its JSON."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    schemas: tuple[str, ...]


def reads(*data: str) -> Callable[[F], F]:
    """Declare the kinds of data of a store that a command may read; none for one without."""
    return _declaring(_READS, data)


def writes(*data: str) -> Callable[[F], F]:
    """Declare the kinds of data of a store that a command may write."""
    return _declaring(_WRITES, data)


def prints(*schemas: str) -> Callable[[F], F]:
    """Declare the schemas of a command's JSON, where they are not named after the command."""

    def declare(function: F) -> F:
        setattr(function, _PRINTS, schemas)
        return function

    return declare


def is_declared(command: click.Command) -> bool:
    """Whether the command says what it reads."""
    return hasattr(command.callback, _READS)


def access_of(name: str, command: click.Command) -> Access:
    """What the command called ``name`` declares; its schemas are found by its name."""
    return Access(
        reads=getattr(command.callback, _READS, ()),
        writes=getattr(command.callback, _WRITES, ()),
        schemas=getattr(command.callback, _PRINTS, None) or _schemas(name),
    )


def _declaring(attribute: str, data: tuple[str, ...]) -> Callable[[F], F]:
    unknown = set(data) - DATA.keys()
    if unknown:
        raise ValueError(f"no such data in a store: {', '.join(sorted(unknown))}")

    def declare(function: F) -> F:
        setattr(function, attribute, tuple(name for name in DATA if name in data))
        return function

    return declare


def _schemas(name: str) -> tuple[str, ...]:
    """``cli.<name>``, or ``cli.<name>-<form>`` for a command with several forms."""
    schema = "cli." + name.replace(" ", "-")
    names = resources.list_schemas()
    if schema in names:
        return (schema,)
    return tuple(found for found in names if found.startswith(f"{schema}-"))
