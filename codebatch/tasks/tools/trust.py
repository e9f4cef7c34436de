"""Which descriptions may be run: those that whoever runs this process has given, and ours.

A plan holds the descriptions of its tools, and a store may be anyone's: a command that it names is
run only where the very same one was given here, or is packaged. Of a packaged one, only limits and
words may differ: settings that a tool reads, and files that lie beside it, may have it run code.

State: ``_given`` has the digests of descriptions that were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from codebatch.model.digest import digest_document
from codebatch.model.resources import list_tools, load_tool_document
from codebatch.tasks.tools.description import Description

_HARMLESS = {"batch", "max_bytes", "memory_limit", "severities", "summary", "timeout"}
_BY_USER = {"config_files", "read_configs"}

_given: set[str] = set()


def remember(config: Mapping[str, Any]) -> None:
    """Have a description, with every default, count as given."""
    _given.add(_digest(config))


def remember_filled(given: Mapping[str, Any], planned: Mapping[str, Any]) -> None:
    """Have a planned description count as given where it is one that was, but for the contents of
    files of configuration that the given one may read as well.
    """
    same = _but_for(_BY_USER, given) == _but_for(_BY_USER, planned)
    own = given["config_files"]
    added = {path for path, text in planned["config_files"].items() if own.get(path) != text}
    if same and _names(added) | {*planned["read_configs"]} <= {*given["read_configs"]}:
        remember(planned)


def is_given(config: Mapping[str, Any]) -> bool:
    """Return whether a description was given here."""
    return _digest(config) in _given


def is_packaged(config: Mapping[str, Any]) -> bool:
    """Return whether a description runs what a packaged one does, with no settings of its own."""
    name = config.get("name")
    if name not in list_tools():
        return False
    own = vars(Description.from_document(load_tool_document(str(name))))
    return _but_for(_HARMLESS, own) == _but_for(_HARMLESS, config)


def _names(paths: Iterable[str]) -> set[str]:
    return {path.rsplit("/", 1)[-1] for path in paths}


def _but_for(left_out: set[str], config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in left_out}


def _digest(config: Mapping[str, Any]) -> str:
    return digest_document("tool", dict(config))
