"""Imports modules from sources that are held in memory: those of users' tasks.

What is run is what was read once, and what the fingerprint of a task covers: a module that is held
here is never looked for elsewhere, and its package has no other modules than those held here. The
importer stands first among Python's, but is asked for names that it holds only; what users' modules
may be called is checked before (`tasks.code.modules`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import decode_source, spec_from_loader
from types import ModuleType
from typing import NamedTuple

from codebatch.tasks.code.imports import imports_of


class ModuleSource(NamedTuple):
    """The source of a module. ``path`` is where it was read, for messages and ``__file__``;
    ``data`` is None for a namespace package, which has no source of its own.
    """

    name: str
    path: str
    is_package: bool
    data: bytes | None


class _Importer(MetaPathFinder, ExecutionLoader):
    """State: ``sources`` are the modules held, by name."""

    def __init__(self) -> None:
        self.sources: dict[str, ModuleSource] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module that is held."""
        source = self.sources.get(fullname)
        if source is None:
            return None
        if source.data is None:  # parts of it may be installed
            return PathFinder.find_spec(fullname, path) or namespace_spec(fullname, [])
        spec = spec_from_loader(fullname, self)
        if spec is not None and source.is_package:
            spec.submodule_search_locations = []
        return spec

    def is_package(self, fullname: str) -> bool:
        """Return whether a module is a package."""
        return self.sources[fullname].is_package

    def get_filename(self, fullname: str) -> str:
        """Return the path that the source of a module was read from."""
        return self.sources[fullname].path

    def get_source(self, fullname: str) -> str:
        """Return the text of a module."""
        return decode_source(self.sources[fullname].data or b"")


_importer = _Importer()


def held_source(name: str) -> ModuleSource | None:
    """Return the source of a module that is held here."""
    return _importer.sources.get(name)


def hold(sources: Iterable[ModuleSource]) -> None:
    """Import these modules from their sources from now on; anew, all of them and all others held
    that import one of them, where one that was held is another now.
    """
    held, given = _importer.sources, {source.name: source for source in sources}
    changed = {name for name, source in given.items() if held.get(name, source) != source}
    stale = given.keys() | _importers(changed) if changed else given.keys() - held.keys()
    for name in stale:
        sys.modules.pop(name, None)
    held.update(given)
    if _importer not in sys.meta_path:
        sys.meta_path.insert(0, _importer)


def _importers(names: set[str]) -> set[str]:
    """Return modules with all those held that import them, at however many removes. A package has
    its modules as attributes, and they import it: they go together.
    """
    found: set[str] = set()
    imported = {name: _imported(source) for name, source in _importer.sources.items()}
    while names - found:
        found |= names
        names = {name for name, others in imported.items() if not found.isdisjoint(others)}
        names |= {parent for name in found for parent in _with_parents(name)}
    return found


def _imported(source: ModuleSource) -> set[str]:
    """Return all that a module may import, its package too, by names of which some are none."""
    package = source.name if source.is_package else source.name.rpartition(".")[0]
    found = {source.name}
    for one in imports_of(ast.parse(source.data or b""), package):
        found |= {one.name, *(f"{one.name}.{member}" for member in one.members)}
    return {parent for name in found for parent in _with_parents(name)}


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def is_held(spec: object) -> bool:
    """Return whether a module was loaded from a source that is held here."""
    return getattr(spec, "loader", None) is _importer


def namespace_spec(name: str, portions: list[str]) -> ModuleSpec:
    """Return the spec of a namespace package that is in these folders."""
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = portions
    return spec
