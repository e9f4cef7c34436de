"""What the code of a task reaches: from one module along all its imports, however they are nested.

Nothing is imported for that, and no line of it is run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from codebatch.model.errors import TaskCodeError
from codebatch.tasks.code.distributions import MISSING, version_of
from codebatch.tasks.code.importer import ModuleSource
from codebatch.tasks.code.imports import DynamicImportError, Import, imports_of, listed_members
from codebatch.tasks.code.modules import Finder, Foreign, parse_source, source_digest

_ALL = "*"


class Reach:
    """Collects what is reached, as ``sources`` of the user's own modules, by name, namespaces among
    them, and as versions of ``distributions``.
    """

    def __init__(self, finder: Finder) -> None:
        self.sources: dict[str, ModuleSource] = {}
        self.distributions: dict[str, str] = {}
        self._finder = finder
        self._to_read: list[ModuleSource] = []

    @property
    def digests(self) -> dict[str, str]:
        """The digests of the modules, by name."""
        return {
            name: source_digest(source.path, source.data)
            for name, source in self.sources.items()
            if source.data is not None
        }

    def add_module(self, name: str) -> bool:
        """Add a module, its packages and all that they import; return whether there is one."""
        is_there = self._enter(name)
        while self._to_read:
            self._follow(self._to_read.pop())
        return is_there

    def add_imports(self, tree: ast.AST, package: str, where: str) -> None:
        """Add what some code imports that is in ``package``; ``where`` is its file."""
        for found in _imports(tree, package, where):
            self._add_import(found, where)
        while self._to_read:
            self._follow(self._to_read.pop())

    def _enter(self, name: str) -> bool:
        """Note a module and its packages, to be read later; return whether there is one."""
        parent = name.rpartition(".")[0]
        if name in self.sources:
            return True
        found = self._finder.find(name)
        if isinstance(found, Foreign):
            self.distributions.update((one, version_of(one)) for one in found.distributions)
            return True
        if found is None or (parent and not self._enter(parent)):
            return False
        self.sources[name] = found
        self._to_read.append(found)
        return True

    def _follow(self, source: ModuleSource) -> None:
        if source.data is None:
            return
        package = source.name if source.is_package else source.name.rpartition(".")[0]
        tree = parse_source(source.path, source.data)
        for found in _imports(tree, package, source.path):
            self._add_import(found, source.path)

    def _add_import(self, found: Import, where: str) -> None:
        if not found.name:
            raise TaskCodeError(f"{where}:{found.line}: a relative import outside of a package")
        if not self._enter(found.name):
            # It may be tried, and done without: that it is not there is part of the code.
            self._add_missing(found.name)
            return
        source = self.sources.get(found.name)
        if source is None or not source.is_package:
            return
        members = found.members
        if _ALL in members and source.data is not None:
            members = _listed(source.path, source.data)
        for member in members:
            self._enter(f"{found.name}.{member}")

    def _add_missing(self, name: str) -> None:
        """Note the package or module that is not there, and those above it, which are."""
        parts = name.split(".")
        names = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        missing = next((one for one in names if not self._enter(one)), name)
        self.distributions.setdefault(missing, MISSING)


def _listed(path: str, data: bytes) -> tuple[str, ...]:
    try:
        return listed_members(parse_source(path, data))
    except DynamicImportError as error:
        raise _hidden(path, error) from None


def _imports(tree: ast.AST, package: str, where: str) -> Iterator[Import]:
    try:
        yield from imports_of(tree, package)
    except DynamicImportError as error:
        raise _hidden(where, error) from None


def _hidden(where: str, error: DynamicImportError) -> TaskCodeError:
    return TaskCodeError(
        f"{where}:{error.line}: {error}: which module it is decides on results, and cannot be "
        "known before",
        hints=["import it by its name, or choose among modules that are imported by name"],
    )
