"""YAML of strangers as plain values: no objects are made, and aliases do not multiply."""

from __future__ import annotations

from typing import Any

import yaml

from codebatch.model.errors import ToolImportError

MAX_BYTES = 2**20


class _Loader(yaml.SafeLoader):
    """The safe loader, without what copies a mapping for each alias of it."""

    def flatten_mapping(self, node: Any) -> None:
        """Leave ``<<`` as it is, which nothing makes a value of: merging may take for ever."""


def read_yaml(data: bytes, where: str) -> dict[str, Any]:
    """Return the mapping that is a document; `ToolImportError` where it is none."""
    if len(data) > MAX_BYTES:
        raise ToolImportError(f"{where}: larger than {MAX_BYTES} bytes")
    try:
        found = yaml.load(data, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        reason = getattr(error, "problem", None) or type(error).__name__
        raise ToolImportError(f"{place}: cannot be read as YAML: {reason}") from error
    if not isinstance(found, dict):
        raise ToolImportError(f"{where}: not a mapping")
    return found
