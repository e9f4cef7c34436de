"""Findings in JSON: one document, or one on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from codebatch.tasks.tools.outputs.json_paths import (
    OBJECT,
    Part,
    Place,
    deepest_of,
    depth_of,
    names_key,
    part_of,
    places,
    steps_of,
)
from codebatch.tasks.tools.outputs.said import Said, UnreadableOutputError, decoded, place, said


def parsed(text: str) -> Any:
    """Return a JSON document; `UnreadableOutputError` where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "nothing was printed" if not text.strip() else f"not JSON: {error}"
        raise UnreadableOutputError(what) from error


def read_json(output: Mapping[str, Any], data: bytes) -> Iterator[Said]:
    """Yield the findings of a JSON document."""
    return _findings(output, parsed(decoded(data)), strict=True)


def read_json_lines(output: Mapping[str, Any], data: bytes) -> Iterator[Said]:
    """Yield the findings of JSON documents, one on each line; empty lines are passed by."""
    for number, line in enumerate(decoded(data).split("\n"), 1):
        if line.strip():
            try:
                yield from _findings(output, parsed(line), strict=False)
            except UnreadableOutputError as error:
                raise UnreadableOutputError(f"line {number}: {error}") from error


def _findings(output: Mapping[str, Any], document: object, *, strict: bool) -> Iterator[Said]:
    parts = {name: _parts(paths) for name, paths in output.get("fields", {}).items()}
    wanted = [(part_of(path), _listed(only)) for path, only in output.get("where", {}).items()]
    bases = output.get("line_base", 1), output.get("column_base", 1)

    def text(name: str, at: Place) -> str:
        return next(filter(None, (part(at) for part in parts.get(name, ()))), "")

    for number, path in enumerate(_listed(output.get("results", ""))):
        for at in places(document, path, strict=strict and number == 0):
            if all(part(at) in only for part, only in wanted):
                code = text("code", at)
                message = text("message", at) or code
                if not message:
                    raise UnreadableOutputError("a finding has no message")
                line, column = (
                    place(text(name, at), base)
                    for name, base in zip(("line", "column"), bases, strict=True)
                )
                yield said(text("path", at), line, column, code, message, text("severity", at))


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _parts(paths: str | list[str]) -> list[Part]:
    return [part_of(path) for path in _listed(paths)]


def json_problems(output: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with ``results``, ``fields`` and ``where``."""
    results = _listed(output.get("results", ""))
    fields: Mapping[str, Any] = output.get("fields", {})
    if "message" not in fields:
        yield "fields: 'message' is missing"
    try:
        depth = min(map(depth_of, results))
        has_keys = all(OBJECT in steps_of(path) for path in results)
    except ValueError as error:
        yield f"results: {error}"
        return
    named = [(f"fields: {name}", path) for name, paths in fields.items() for path in _listed(paths)]
    for where, path in [*named, *(("where", path) for path in output.get("where", {}))]:
        try:
            part_of(path)
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        if deepest_of(path) > depth:
            yield f"{where}: {path!r} is deeper than results goes, which is through {depth}"
        if names_key(path) and not has_keys:
            yield f"{where}: '{{}}' is a key, and results goes through no object"
