"""The packaged JSON: pipelines in ``graphs/`` and JSON Schemas in ``schemas/``.

In an installed package both folders lie inside it, in a checkout beside it.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

from codebatch.digest import Document

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SUFFIX = ".json"


def list_pipelines() -> list[str]:
    """Names of the packaged pipelines, sorted."""
    names = (entry.name for entry in _folder("graphs").iterdir())
    return sorted(name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX))


def load_graph(name: str) -> Document:
    """A packaged pipeline document; FileNotFoundError where there is none of that name."""
    return _load("graphs", name + _SUFFIX)


@functools.cache
def load_schema(name: str) -> Document:
    """A packaged JSON Schema, by name without ``.schema.json``."""
    return _load("schemas", f"{name}.schema.json")


def schema_errors(document: object, schema: str) -> list[str]:
    """What is wrong with the document, one ``place: message`` each; empty when it is valid."""
    import jsonschema  # noqa: PLC0415 - 70 ms that most commands do not need

    validator = jsonschema.Draft202012Validator(load_schema(schema))
    errors = sorted(validator.iter_errors(document), key=lambda error: error.json_path)
    return [f"{error.json_path}: {error.message}" for error in errors]


def _load(folder: str, file_name: str) -> Document:
    text = (_folder(folder) / file_name).read_text(encoding="utf-8")
    return cast("Document", json.loads(text))


def _folder(name: str) -> Traversable:
    packaged = importlib.resources.files("codebatch") / name
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parent.parent / name
