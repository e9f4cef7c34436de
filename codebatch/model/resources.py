"""The packaged JSON: pipelines in ``graphs/`` and JSON Schemas in ``schemas/``.

In an installed package both folders lie inside it, in a checkout beside it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from codebatch.model.digest import Document

_SUFFIX = ".json"
_MAX_ERRORS = 20
_MAX_CHARACTERS = 300
_SCHEMA = ".schema.json"


def list_pipelines() -> list[str]:
    """Names of the packaged pipelines, sorted."""
    names = (entry.name for entry in _folder("graphs").iterdir())
    return sorted(name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX))


def list_schemas() -> list[str]:
    """Names of the packaged JSON Schemas, without ``.schema.json``, sorted."""
    names = (entry.name for entry in _folder("schemas").iterdir())
    return sorted(name[: -len(_SCHEMA)] for name in names if name.endswith(_SCHEMA))


def load_graph(name: str) -> Document:
    """A packaged pipeline document; FileNotFoundError where there is none of that name."""
    return _load("graphs", name + _SUFFIX)


@functools.cache
def list_tools() -> list[str]:
    """Names of the packaged descriptions of tools, sorted."""
    names = (entry.name for entry in (_folder("graphs") / "tools").iterdir())
    return sorted(name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX))


def load_tool_document(name: str) -> Document:
    """A packaged description of a tool; FileNotFoundError where there is none of that name."""
    return _load("graphs/tools", name + _SUFFIX)


@functools.cache
def load_schema(name: str) -> Document:
    """A packaged JSON Schema, by name without ``.schema.json``."""
    return _load("schemas", name + _SCHEMA)


class SchemaProblem(NamedTuple):
    """What does not fit a schema: the keys and indexes that lead there, a message, the nearest word
    that would fit, and whether it is the last key itself that does not.
    """

    pointer: tuple[str | int, ...]
    message: str
    nearest: str | None = None
    on_key: bool = False

    @property
    def text(self) -> str:
        """The message, with the word."""
        return self.message + (f"; did you mean {self.nearest!r}?" if self.nearest else "")


def schema_errors(document: object, schema: Document) -> list[str]:
    """Return the errors of a document, one ``place: message`` each; empty when it is valid."""
    return [_bounded(f"{error.json_path}: {error.message}") for error in _errors(document, schema)]


def schema_problems(document: object, schema: Document) -> Iterator[SchemaProblem]:
    """Yield all that does not fit in a document; each unknown key by itself."""
    for error in _errors(document, schema):
        pointer = tuple(error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            known = error.schema.get("properties", {})
            for key in (key for key in error.instance if key not in known):
                message = _bounded(f"unknown key {key!r}")
                yield SchemaProblem((*pointer, key), message, nearest_of(key, known), on_key=True)
        else:
            words = error.validator_value if error.validator == "enum" else ()
            near = nearest_of(str(error.instance)[:_MAX_CHARACTERS], words) if words else None
            yield SchemaProblem(pointer, _bounded(error.message), near)


def nearest_of(word: str, known: Iterable[object]) -> str | None:
    """Return the word among those known that is most like one; None where none is."""
    import difflib  # noqa: PLC0415 - for what is wrong alone

    words = [one for one in known if isinstance(one, str)]
    found = difflib.get_close_matches(word[:_MAX_CHARACTERS], words, 1)
    return found[0] if found else None


def _errors(document: object, schema: Document) -> list[Any]:
    import jsonschema  # noqa: PLC0415 - 70 ms that most commands do not need

    validator = jsonschema.Draft202012Validator(schema)
    return sorted(validator.iter_errors(document), key=lambda e: e.json_path)[:_MAX_ERRORS]


def _bounded(text: str) -> str:
    """The text, cut where a document quotes itself at length."""
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} ..."


def _load(folder: str, file_name: str) -> Document:
    text = (_folder(folder) / file_name).read_text(encoding="utf-8")
    return cast("Document", json.loads(text))


def _folder(name: str) -> Path:
    package = Path(__file__).resolve().parent.parent
    return package / name if (package / name).is_dir() else package.parent / name
