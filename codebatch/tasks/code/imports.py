"""The modules that a module's source imports, wherever in it, as far as the source tells.

Functions that import are known by the names that import statements give them. Text that is run by
``exec`` or ``eval`` is followed where it is spelled out; where it is computed nothing tells what it
imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_IMPORTERS = frozenset({"__import__", "import_module", "run_module"})
_PATH_IMPORTERS = frozenset(
    {"spec_from_file_location", "run_path", "SourceFileLoader", "load_source", "load_dynamic"}
)
_RUNNERS = frozenset({"exec", "eval", "builtins.exec", "builtins.eval"})
_RESOLVER = "pkgutil.resolve_name"
_OF_IMPORTERS = frozenset(
    {"builtins", "importlib", "importlib.util", "importlib.machinery", "pkgutil", "runpy", "imp"}
)
_ADDERS = frozenset({"append", "extend", "insert"})
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
    aliases = _aliases(tree)
    called: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            members = tuple(alias.name for alias in node.names)
            name = _absolute(node.module or "", node.level, package)
            yield Import(name, node.lineno, members)
        elif isinstance(node, ast.Call):
            called.add(node.func)  # which is walked after the call
            yield from _called(node, _full_name(node.func, aliases), package)
        elif isinstance(node, (ast.Name, ast.Attribute)) and node not in called:
            _check_not_passed_on(node, _full_name(node, aliases))


def _aliases(tree: ast.AST) -> dict[str, str]:
    """Return what import statements make of names, where it is another name."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update({one.asname: one.name for one in node.names if one.asname})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.update(
                {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
            )
        elif (own := _bound(node)) in _RUNNERS:
            found[own] = f".{own}"  # not the built-in one
    return found


def _bound(node: ast.AST) -> str:
    """Return the name that a definition, an argument or an assignment binds."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else ""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name
    return node.arg if isinstance(node, ast.arg) else ""


def _full_name(node: ast.AST, aliases: dict[str, str]) -> str:
    """Return the name by which something is imported; of what is computed, the last part."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, aliases)}.{node.attr}"
    return ""


def _check_not_passed_on(node: ast.Name | ast.Attribute, name: str) -> None:
    """Raise `DynamicImportError` for a function that imports which is not called there."""
    module, _, last = name.rpartition(".")
    imports = module in _OF_IMPORTERS and last in _IMPORTERS | _PATH_IMPORTERS
    if imports or name in {_RESOLVER} | _RUNNERS | {"__import__"}:
        raise DynamicImportError(node.lineno, f"{last} under another name")


def _called(node: ast.Call, name: str, package: str) -> Iterator[Import]:
    called = name.rpartition(".")[2]
    if called in _PATH_IMPORTERS:
        raise DynamicImportError(node.lineno, f"{called}()")
    if called not in _IMPORTERS and name not in _RUNNERS and name != _RESOLVER:
        return
    keywords = (word.value for word in node.keywords if word.arg in ("name", "mod_name"))
    first = node.args[0] if node.args else next(keywords, None)
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        what = "text" if name in _RUNNERS else "a name"
        raise DynamicImportError(node.lineno, f"{called}() with {what} that is computed")
    if name in _RUNNERS:
        yield from _of_text(first.value, node.lineno, package)
    elif name == _RESOLVER or called == "run_module":
        yield from _of_path(first.value, node.lineno)
    else:
        yield _of_name(node, first.value, called, package)


def _of_text(text: str, line: int, package: str) -> Iterator[Import]:
    """Yield what code imports that a module has as text."""
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError):
        return  # it fails when it is run, before it imports anything
    try:
        yield from (found._replace(line=line) for found in imports_of(tree, package))
    except DynamicImportError as error:
        raise DynamicImportError(line, str(error)) from None


def _of_path(name: str, line: int) -> Iterator[Import]:
    """Yield the modules that the name of an object, or of a package that is run, may lead to."""
    module, _, _ = name.partition(":")
    top, *parts = module.split(".")
    below = tuple(".".join(parts[:count]) for count in range(1, len(parts) + 1))
    yield Import(top, line, (*below, ".".join([*parts, "__main__"])))


def _of_name(node: ast.Call, given: str, called: str, package: str) -> Import:
    name = given.lstrip(".")
    level = len(given) - len(name)
    if level and not (len(node.args) > 1 and getattr(node.args[1], "id", "") in _OWN_NAMES):
        raise DynamicImportError(node.lineno, f"{called}() relative to a package that is computed")
    return Import(_absolute(name, level, package), node.lineno)


def _absolute(name: str, level: int, package: str) -> str:
    """Return the absolute name of what is imported ``level`` packages up."""
    if not level:
        return name
    parents = package.split(".")
    base = ".".join(parents[: len(parents) - level + 1])
    return f"{base}.{name}" if name and base else base or name


def listed_members(tree: ast.Module) -> tuple[str, ...]:
    """Return the names that a module puts into ``__all__``.

    `DynamicImportError` where it does not spell them out.
    """
    return tuple(text for node in ast.walk(tree) for one in _added(node) for text in _texts(one))


def _added(node: ast.AST) -> Sequence[ast.expr | None]:
    """Return what a statement puts into ``__all__``."""
    if isinstance(node, ast.Assign):
        return [node.value] if any(map(_is_all, node.targets)) else ()
    if isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        return [node.value] if _is_all(node.target) else ()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        adds = _is_all(node.func.value) and node.func.attr in _ADDERS
        return node.args if adds else ()
    return ()


def _is_all(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "__all__"


def _texts(node: ast.expr | None) -> list[str]:
    """Return the texts that an expression lists; the ``__all__`` of another module lists names that
    are imported from there.
    """
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [text for one in node.elts for text in _texts(one)]
    if isinstance(node, ast.BinOp):
        return _texts(node.left) + _texts(node.right)
    if isinstance(node, ast.Starred):
        return _texts(node.value)
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if (
        node is None
        or _is_all(node)
        or (isinstance(node, ast.Attribute) and node.attr == "__all__")
    ):
        return []
    raise DynamicImportError(node.lineno, "names in __all__ that are computed")
