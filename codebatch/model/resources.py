"""The packaged JSON: pipelines in ``graphs/`` and JSON Schemas in ``schemas/``.

In an installed package both folders lie inside it, in a checkout beside it.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import cast

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
def load_schema(name: str) -> Document:
    """A packaged JSON Schema, by name without ``.schema.json``."""
    return _load("schemas", name + _SCHEMA)


def schema_errors(document: object, schema: Document) -> list[str]:
    """Return the errors of a document, one ``place: message`` each; empty when it is valid."""
    import jsonschema  # noqa: PLC0415 - 70 ms that most commands do not need

    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(document), key=lambda error: error.json_path)
    return [_bounded(f"{error.json_path}: {error.message}") for error in errors[:_MAX_ERRORS]]


def _bounded(text: str) -> str:
    """The text, cut where a document quotes itself at length."""
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} ..."


def _load(folder: str, file_name: str) -> Document:
    text = (_folder(folder) / file_name).read_text(encoding="utf-8")
    return cast("Document", json.loads(text))


def _folder(name: str) -> Path:
    package = Path(__file__).resolve().parent.parent
    return package / name if (package / name).is_dir() else package.parent / name
