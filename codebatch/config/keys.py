"""The keys of a configuration file, each described once: what checks values, gives options their
defaults and is shown, and the schema of the file, derive from here.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from codebatch.model.digest import Document
from codebatch.model.records import OFF, SEVERITIES

_DEEPEST = 16
_TEXT: Document = {"type": "string", "minLength": 1}
_TEXTS: Document = {"type": "array", "items": _TEXT}
_PLAIN: Document = {"type": "object"}
_LEVELS: Document = {"type": "object", "additionalProperties": {"enum": [*SEVERITIES, OFF]}}


class Key(NamedTuple):
    """A key: the JSON Schema of its value, what it means, the parameter of commands whose default
    it is, on which of them (all that have a ``--pipeline``, where none is named), and the variable
    of the environment that says otherwise.
    """

    name: str
    schema: Document
    help: str
    parameter: str | None = None
    commands: frozenset[str] = frozenset()
    variable: str | None = None


ALL = frozenset({"*"})  # every command with the parameter
_GATES = frozenset({"check", "scan"})

_KEYS = (
    Key(
        "store",
        _TEXT,
        "The store, in the folder of the file or below.",
        "store",
        ALL,
        "CODEBATCH_STORE",
    ),
    Key("pipeline", _TEXT, "The name of a packaged pipeline.", "pipeline"),
    Key("tasks", _TEXTS, "Names of tasks to add to the pipeline.", "tasks"),
    Key("tools", _TEXTS, "Names of packaged tools to add as tasks.", "tools"),
    Key(
        "read-config",
        _TEXTS,
        "Names of files in the tree that may configure these tools.",
        "read_configs",
    ),
    Key("include", _TEXTS, "Take only files that match, as lines of a .gitignore beside the file."),
    Key("exclude", _TEXTS, "Leave out what matches, as lines of a .gitignore beside the file."),
    Key(
        "fail-on",
        {"enum": list(SEVERITIES)},
        "The least severity of findings for which check and scan fail.",
        "fail_on",
        _GATES,
    ),
    Key(
        "base",
        _TEXT,
        "What check compares with: a revision, a name or a batch.",
        "base",
        frozenset({"check"}),
    ),
    Key(
        "baseline",
        _TEXT,
        "A file of known findings, in the folder of the file or below.",
        "baseline",
        ALL,
    ),
    Key(
        "max-new",
        {"type": "integer", "minimum": 0},
        "How many new findings check lets pass.",
        "max_new",
        frozenset({"check"}),
    ),
    Key(
        "memo", _TEXT, "Where results are shared: a folder or a URL.", "memo", ALL, "CODEBATCH_MEMO"
    ),
    Key(
        "settings",
        {"type": "object", "additionalProperties": _PLAIN},
        "Settings of tasks, a table for each: those that a pipeline document has as config.",
    ),
    Key(
        "severities",
        _LEVELS,
        "How severe findings are, by code or beginning of codes, for every task; off suppresses.",
    ),
    Key(
        "per-path",
        {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"ignore": _TEXTS, "severities": _LEVELS},
            },
        },
        "The same for paths, a table for each pattern of a .gitignore; ignore names codes to leave "
        "out.",
    ),
)
KEYS: Mapping[str, Key] = {key.name: key for key in _KEYS}


def config_schema() -> Document:
    """Return the JSON Schema of a configuration file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "codebatch.toml",
        "description": "A configuration file, or the table tool.codebatch of a pyproject.toml.",
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: {"description": key.help, **key.schema} for key in KEYS.values()},
    }


def misfit(value: object, schema: Document) -> str | None:
    """Return what is wrong with a value, by the few words of JSON Schema that keys use; None where
    it fits. (The library for all words takes longer to import than most commands take.)
    """
    if "enum" in schema:
        words = [str(word) for word in _list(schema["enum"])]
        return None if value in words else f"{value!r} is none of {', '.join(words)}"
    kind = str(schema["type"])
    of_type, said = _TYPES[kind]
    if not isinstance(value, of_type) or isinstance(value, bool):
        return f"{_shown(value)} is no {said}"
    return _WITHIN[kind](value, schema)


def _text(value: Any, schema: Document) -> str | None:
    is_short = len(value) < schema.get("minLength", 0)  # type: ignore[operator]
    return "it is empty" if is_short else None


def _number(value: Any, schema: Document) -> str | None:
    least = schema["minimum"]
    return f"{value} is less than {least}" if value < least else None


def _array(value: Any, schema: Document) -> str | None:
    found = (misfit(item, schema["items"]) for item in value)  # type: ignore[arg-type]
    return next((wrong for wrong in found if wrong), None)


def _table(value: Any, schema: Document) -> str | None:
    if schema is _PLAIN:
        return _unplain(value)
    own = schema.get("properties", {})
    more = schema.get("additionalProperties")
    for name, item in value.items():
        inner = own.get(name, more)  # type: ignore[attr-defined]
        if inner is False or (own and inner is None):
            return f"unknown key {name!r}"
        wrong = misfit(item, inner) if inner else None
        if wrong:
            return f"{name}: {wrong}"
    return None


def _unplain(value: Any) -> str | None:
    """Return what no JSON document has: TOML knows times, and numbers that are none."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        for one in level:
            if not isinstance(one, dict | list | str | int | float):
                return f"{_shown(one)} is a time: write a text"
            if isinstance(one, float) and not math.isfinite(one):
                return f"{one} is no number"
        inner = [[*one.values()] if isinstance(one, dict) else one for one in level]
        level = [item for one in inner if isinstance(one, list) for item in one]
        if not level:
            return None
    return "it is nested too deeply"


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = str(value) if isinstance(value, dt.date | dt.time) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


_TYPES: Mapping[str, tuple[type, str]] = {
    "string": (str, "text"),
    "array": (list, "list"),
    "integer": (int, "whole number"),
    "object": (dict, "table"),
}
_WITHIN: Mapping[str, Callable[[Any, Document], str | None]] = {
    "string": _text,
    "array": _array,
    "integer": _number,
    "object": _table,
}
