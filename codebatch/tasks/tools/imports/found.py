"""What an import finds: descriptions by name, and what it leaves, with the reasons."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from codebatch.model.digest import Document
from codebatch.model.errors import TaskInvalidError
from codebatch.model.resources import load_schema
from codebatch.tasks.tools.catalogue import make_tool
from codebatch.tasks.tools.description import SCHEMA

VARIABLE = re.compile(r"\$\{([^}]*)\}")
_MOST_REASON = 500
_OF_SHELL = re.compile(r"[|&;<>]+|[0-9]?>&?[0-9]?|.*(?:\$\(|`).*", re.DOTALL)


class UntranslatableError(Exception):
    """What it is that no description can say."""


class Left(NamedTuple):
    """Something that was not translated, and why."""

    name: str
    reason: str


@dataclass
class Imported:
    """The descriptions that were made, by name, and what was left."""

    descriptions: dict[str, Document] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    def leave(self, name: str, reason: str) -> None:
        """Add something that was not translated."""
        cut = reason if len(reason) <= _MOST_REASON else f"{reason[: _MOST_REASON - 1]}…"
        self.left.append(Left(name, cut))

    @contextmanager
    def leaving(self, name: str) -> Iterator[None]:
        """Leave what a block cannot translate."""
        try:
            yield
        except UntranslatableError as error:
            self.leave(name, str(error))

    def add(self, document: Mapping[str, Any]) -> None:
        """Add a description, in the order of the schema and without its defaults;
        `UntranslatableError` where it is none, or there is one of its name.
        """
        schema: Any = load_schema(SCHEMA)
        known, required = schema["properties"], schema["required"]
        made = {
            name: document[name]
            for name, rule in known.items()
            if name in document and (name in required or document[name] != rule["default"])
        }
        try:
            make_tool(made)
        except TaskInvalidError as error:
            raise UntranslatableError(f"no valid description: {error.message}") from error
        if made["name"] in self.descriptions:
            raise UntranslatableError("another of that name is translated")
        self.descriptions[made["name"]] = made


def entries(value: object, where: str) -> list[dict[str, Any]]:
    """Return a list of mappings; none where there is no value."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UntranslatableError(f"{where} is no list of mappings")
    return value


def texts(value: object, where: str) -> list[str]:
    """Return a list of texts; none where there is no value."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise UntranslatableError(f"{where} is no list of texts")
    return value


def text(value: object, where: str, default: str = "") -> str:
    """Return a text; the default where there is no value."""
    if value is None:
        return default
    if not isinstance(value, str):
        raise UntranslatableError(f"{where} is no text")
    return value


def words(command: object, where: str) -> list[str]:
    """Return the words of a command, which may be a list of them; at least one."""
    if isinstance(command, list):
        found = texts(command, where)
    else:
        try:
            found = shlex.split(text(command, where))
        except ValueError as error:
            raise UntranslatableError(f"{where} is no command: {error}") from error
        if any(map(_OF_SHELL.fullmatch, found)):
            raise UntranslatableError(f"{where} needs a shell")
    if not found:
        raise UntranslatableError(f"there is no {where}")
    return found


def substituted(word: str, replace: Callable[[str], str]) -> str:
    """Return a word with each ``${variable}`` replaced."""
    return VARIABLE.sub(lambda found: replace(found[1]), word)
