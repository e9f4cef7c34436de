"""Which files a tool is given, and under which names it sees them.

A tool whose findings follow from the content alone sees a file as ``<digest>/file<extension>``, so
that nothing of the path can matter; any other sees the tree's own paths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.globs import GlobTable
from codebatch.tasks.languages.detect import PATH as PATH_FACET
from codebatch.tasks.languages.detect import siblings_facet
from codebatch.tasks.source import SourceFile
from codebatch.tasks.tools.description import CONTENT, SIBLINGS, Description

_NO_TEXT = ("binary", "symlink")
_PLACE = re.compile(r":[0-9]|\([0-9]+(?:,[0-9]|\):)")


def facets_of(tool: Description) -> tuple[str, ...]:
    """Return what a tool knows of the path of a file."""
    names_matter = any(tool.files.get(part) for part in ("include", "exclude"))
    if tool.depends == CONTENT and not names_matter:
        return ("extension",)
    return (PATH_FACET, *([siblings_facet(tool.siblings)] if tool.depends == SIBLINGS else []))


def is_selected(tool: Description, language: str, path: str) -> bool:
    """Return whether a tool is given a file of this language at this path."""
    languages, include = tool.files.get("languages", ()), tool.files.get("include", ())
    if _matches(tuple(tool.files.get("exclude", ())), path):
        return False
    if language in languages or _matches(tuple(include), path):
        return True
    return not languages and not include and language not in _NO_TEXT


def reason_to_skip(tool: Description, language: str, size: int, path: str) -> str | None:
    """Return why a tool is not given a file that is selected, or None."""
    if language in _NO_TEXT:
        return "symbolic link" if language == "symlink" else "binary"
    if size > tool.max_bytes:
        return "too large"
    if reason := _misread(tool, path):
        return reason
    name = path.rsplit("/", 1)[-1]
    if name in (*tool.direct_configs, *tool.code_configs) and name not in tool.read_configs:
        return "configuration of the tool"
    return None


def is_misread(tool: Description, path: str) -> bool:
    """Return whether the path of a file, printed by the tool, would be read as something else."""
    return _misread(tool, path) != ""


def name_for(tool: Description, source: SourceFile) -> str:
    """Return the name under which a tool sees a file, below its folder."""
    if tool.depends != CONTENT:
        return source.facets[PATH_FACET]
    digest = digest_bytes(source.content)[len(DIGEST_PREFIX) :]
    extension = source.facets.get("extension")
    if extension is None:
        name = source.facets[PATH_FACET].rsplit("/", 1)[-1]
        return f"{digest}/{name}"
    return f"{digest}/file{extension}"


def _misread(tool: Description, path: str) -> str:
    if "\n" in path or "\r" in path:
        return "its name has a line end"
    if tool.output["format"] == "lines" and _PLACE.search(path):
        return "its name reads as a place"  # as of a line in another file
    return ""


def words_for(names: Sequence[str]) -> list[str]:
    """Return names as words of a command, none of which can be taken for an option."""
    return [f"./{name}" if name[:1] in "-@+" else name for name in names]


def _matches(patterns: tuple[str, ...], path: str) -> bool:
    names, paths = _tables(patterns)
    encoded = path.encode("utf-8", "surrogateescape")
    return names.best(encoded.rsplit(b"/", 1)[-1]) >= 0 or paths.best(encoded) >= 0


@lru_cache(maxsize=64)
def _tables(patterns: tuple[str, ...]) -> tuple[GlobTable, GlobTable]:
    """Return tables of the patterns for names, and of those with a slash, for whole paths."""
    names, paths = (GlobTable(is_path=is_path, fold=False) for is_path in (False, True))
    for number, pattern in enumerate(patterns):
        table = paths if "/" in pattern else names
        table.add(pattern.removeprefix("/").encode(), number)
    return names, paths
