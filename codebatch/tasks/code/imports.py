"""The modules that a module's source imports, wherever in it, as far as the source tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

_IMPORTERS = frozenset({"__import__", "import_module"})
_PATH_IMPORTERS = frozenset({"spec_from_file_location", "run_path", "run_module"})
_OWN_NAMES = frozenset({"__name__", "__package__"})


class Import(NamedTuple):
    """An import of ``name``. ``members`` are names that it takes from there, each of which may be
    a module; with ``*`` among them all that the module lists.
    """

    name: str
    line: int
    members: tuple[str, ...] = ()


class DynamicImportError(Exception):
    """An import whose name the source does not tell; ``line`` is where."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def imports_of(tree: ast.AST, package: str) -> Iterator[Import]:
    """Yield the imports of a module that is in ``package``, or is it.

    `DynamicImportError` where an import cannot be known.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            members = tuple(alias.name for alias in node.names)
            name = _absolute(node.module or "", node.level, package)
            yield Import(name, node.lineno, members)
        elif isinstance(node, ast.Call):
            yield from _called(node, package)


def _called(node: ast.Call, package: str) -> Iterator[Import]:
    function = node.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called in _PATH_IMPORTERS:
        raise DynamicImportError(node.lineno, f"{called}()")
    if called not in _IMPORTERS:
        return
    first = node.args[0] if node.args else None
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        raise DynamicImportError(node.lineno, f"{called}() with a name that is computed")
    name = first.value.lstrip(".")
    level = len(first.value) - len(name)
    if level and not (len(node.args) > 1 and getattr(node.args[1], "id", "") in _OWN_NAMES):
        raise DynamicImportError(node.lineno, f"{called}() relative to a package that is computed")
    yield Import(_absolute(name, level, package), node.lineno)


def _absolute(name: str, level: int, package: str) -> str:
    """Return the absolute name of what is imported ``level`` packages up."""
    if not level:
        return name
    parents = package.split(".")
    base = ".".join(parents[: len(parents) - level + 1])
    return f"{base}.{name}" if name and base else base or name


def listed_members(tree: ast.Module) -> tuple[str, ...]:
    """Return the names in ``__all__`` where the module spells them out."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if any(getattr(target, "id", "") == "__all__" for target in targets) and isinstance(
            value, (ast.List, ast.Tuple)
        ):
            items = (one.value for one in value.elts if isinstance(one, ast.Constant))
            return tuple(item for item in items if isinstance(item, str))
    return ()
