"""Finding the sources of modules without importing them, and telling whose they are.

A module is of the user's own where it is neither of the standard library nor of an installed
distribution; an editable installation is the user's own. The source of a module that is loaded has
to be the one that was loaded: what is in the file is compared with what was in it then.
"""

from __future__ import annotations

import ast
import linecache
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast

from codebatch.model.digest import digest_bytes
from codebatch.model.errors import TaskCodeError
from codebatch.tasks.code.distributions import distributions_of, is_installed
from codebatch.tasks.code.importer import ModuleSource, held_source, is_held, namespace_spec
from codebatch.tasks.code.loaded import difference

_STANDARD = sys.stdlib_module_names
_PACKAGE = "codebatch"
_INTERFACE = frozenset({_PACKAGE, "codebatch.testing"})  # covered by the version of the contract


class Foreign(NamedTuple):
    """A module that is not the user's own, by the distributions it is from (none: the standard
    library's).
    """

    distributions: tuple[str, ...] = ()


# The source of each module of a user that was loaded, with the spec it was loaded by: it is
# another object when it is loaded again.
_loaded: dict[str, tuple[object, bytes]] = {}
_compared: dict[str, tuple[object, bytes]] = {}  # those that were found to be of that source


class Finder:
    """Finds modules as the code of one task would. ``tops`` are the names at the top that are
    the user's own wherever they are; modules beside the file that the user named are looked for
    in ``folder``.
    """

    def __init__(self, tops: frozenset[str] = frozenset(), folder: str | None = None) -> None:
        self._tops = tops
        self._folder = folder
        self._specs: dict[str, ModuleSpec | None] = {}

    def find(self, name: str) -> ModuleSource | Foreign | None:
        """Return the source of a module, or whose it is; None where there is no such module.

        `TaskCodeError` where it is the user's own and has no source, or is not what it seems.
        """
        held = held_source(name) if self._folder is None else None  # a file is read anew
        top = name.partition(".")[0]
        if held is not None:
            return held
        if top == _PACKAGE:
            return Foreign(() if name in _INTERFACE else (_PACKAGE,))
        if top in _STANDARD:
            self._check_not_beside(top)
            return Foreign()
        spec = self._spec(name)
        if spec is None:
            return None
        places = [spec.origin] if spec.has_location else spec.submodule_search_locations or ()
        if top not in self._tops and all(is_installed(place) for place in places if place):
            names = distributions_of(name)
            if names:
                return Foreign(names)
        return _read(name, spec)

    def _spec(self, name: str) -> ModuleSpec | None:
        if name not in self._specs:
            loaded = getattr(sys.modules.get(name), "__spec__", None)
            known = None if is_held(loaded) else cast("ModuleSpec | None", loaded)
            parent = name.rpartition(".")[0]
            self._specs[name] = (
                self._below(name, parent, known) if parent else self._top(name, known)
            )
        return self._specs[name]

    def _below(self, name: str, parent: str, loaded: ModuleSpec | None) -> ModuleSpec | None:
        package = self._spec(parent)
        if loaded is not None or package is None:
            return loaded
        return search_folders(name, package.submodule_search_locations or ())

    def _top(self, name: str, loaded: ModuleSpec | None) -> ModuleSpec | None:
        found, beside = loaded or _search(name), self._beside(name)
        if beside is None or (found is not None and not beside.has_location):
            return found
        if found is not None and not _is_same(found, beside):
            raise TaskCodeError(
                f"module {name} is there twice: {beside.origin} and {found.origin}",
                hints=["give the file beside the task another name"],
            )
        return beside

    def _beside(self, name: str) -> ModuleSpec | None:
        return None if self._folder is None else search_folders(name, [self._folder])

    def _check_not_beside(self, name: str) -> None:
        beside = self._beside(name)
        if beside is not None and beside.has_location:
            raise TaskCodeError(
                f"{beside.origin} has the name of a module of the standard library, which is "
                "imported instead",
                hints=["give the file another name"],
            )


@lru_cache(maxsize=512)
def parse_source(path: str, data: bytes) -> ast.Module:
    """Return the syntax tree of a module; it is shared. `TaskCodeError` where it is none."""
    try:
        return ast.parse(data, path)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise TaskCodeError(
            f"{path}{f':{line}' if line else ''}: not Python {sys.version_info[0]}."
            f"{sys.version_info[1]}: {getattr(error, 'msg', None) or error}"
        ) from error


@lru_cache(maxsize=512)
def source_digest(path: str, data: bytes) -> str:
    """Return the digest of a module's syntax, which comments and layout are no part of."""
    return tree_digest(path, parse_source(path, data))


def tree_digest(path: str, tree: ast.AST) -> str:
    """Return the digest of a syntax tree without positions."""
    try:
        text = ast.dump(tree, annotate_fields=False)
    except RecursionError as error:
        raise TaskCodeError(f"{path}: its expressions are nested too deeply") from error
    return digest_bytes(b"python-syntax\n" + text.encode("utf-8", "surrogatepass"))


def remember_loaded(module: str) -> None:
    """Keep what the files of all modules of the user's own that are loaded have now, while a task
    of ``module`` is made: they may be edited before it is planned.
    """
    linecache.getlines(str(getattr(sys.modules.get(module), "__file__", None) or ""))
    for name, spec in own_specs():
        known = _loaded.get(name)
        if known is None or known[0] is not spec:
            data = _data(spec)
            if data is not None:
                _loaded[name] = spec, data


def own_specs() -> Iterator[tuple[str, ModuleSpec]]:
    """Yield the modules of the user's own that are loaded from sources, with their specs."""
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        # By its type: what stands in for a module may say that it is one, and have no dict.
        is_module = issubclass(type(module), ModuleType)
        if top in _STANDARD or top in (_PACKAGE, "__main__") or not is_module:
            continue
        # A module that is loaded when it is first used is not to be loaded by this.
        spec = object.__getattribute__(module, "__dict__").get("__spec__")
        if isinstance(spec, ModuleSpec) and spec.has_location and not _is_of_others(spec):
            yield name, spec


def _is_of_others(spec: ModuleSpec) -> bool:
    origin = str(spec.origin)
    return not is_held(spec) and (not origin.endswith(".py") or is_installed(origin))


def check_lines_unchanged(path: str) -> None:
    """Raise `TaskCodeError` where a file is other than its lines were when it was loaded; those of
    a cell of a notebook are in no file.
    """
    for name, spec in own_specs():
        if spec.origin == path and not is_held(spec):
            _read(name, spec)
    known: Any = linecache.cache.get(path)
    if known is None or len(known) == 1 or known[1] is None:
        return
    try:
        found = Path(path).stat()
    except OSError:
        return  # of an archive, or gone: nothing tells that it was another
    if (found.st_size, found.st_mtime) != known[:2]:
        raise TaskCodeError(
            f"{path} was changed since it was loaded", hints=["start this Python again"]
        )


def _read(name: str, spec: ModuleSpec) -> ModuleSource:
    is_package = spec.submodule_search_locations is not None
    if not spec.has_location:
        if not is_package:
            raise _no_source(name, spec.origin)
        return ModuleSource(name, "", is_package=True, data=None)
    path, data = str(spec.origin), _data(spec)
    if data is None:
        raise _no_source(name, path)
    _check_unchanged(name, spec, path, data)
    return ModuleSource(name, path, is_package, data)


def _check_unchanged(name: str, spec: ModuleSpec, path: str, data: bytes) -> None:
    """Raise `TaskCodeError` where a module that is loaded was another one then."""
    if getattr(sys.modules.get(name), "__spec__", None) is not spec:
        return
    known = _loaded.get(name)
    if known is None or known[0] is not spec:
        known = _loaded[name] = spec, data
    if known[1] != data and source_digest(path, known[1]) != source_digest(path, data):
        raise _changed(name, path)
    if _compared.get(name) != known:  # it may have been edited before it was first looked at
        tree = parse_source(path, known[1])
        other = difference(sys.modules[name], tree, known[1])
        if other is not None:
            raise _changed(name, f"{path} ({other} is another there than the one loaded)")
        _compared[name] = known


def _changed(name: str, what: str) -> TaskCodeError:
    return TaskCodeError(
        f"{what} was changed since module {name} was imported",
        hints=["start this Python again, or reload the module"],
    )


def _data(spec: ModuleSpec) -> bytes | None:
    """Return the source that a module is loaded from; None where that is no source."""
    if not str(spec.origin).endswith(".py"):
        return None
    try:
        return cast("bytes", cast("Any", spec.loader).get_data(spec.origin))
    except (AttributeError, OSError):
        return None


def search_folders(name: str, folders: Iterable[str]) -> ModuleSpec | None:
    """Return the spec of a module that is in one of some folders (or archives), its package not
    being loaded: a namespace package where several, or none, have a source.
    """
    portions: list[str] = []
    for folder in folders:
        finder: Any = pkgutil.get_importer(folder)
        spec = None if finder is None else finder.find_spec(name)
        if spec is not None and spec.loader is not None:
            return cast("ModuleSpec", spec)
        portions += (spec and spec.submodule_search_locations) or ()
    return namespace_spec(name, portions) if portions else None


def _search(name: str) -> ModuleSpec | None:
    """Return what Python's finders find, those of editable installations among them; not what is
    held.
    """
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = None if find is None else find(name, None)
        if spec is not None and not is_held(spec):
            return cast("ModuleSpec", spec)
    return None


def _is_same(one: ModuleSpec, other: ModuleSpec) -> bool:
    return os.path.realpath(str(one.origin)) == os.path.realpath(str(other.origin))


def _no_source(name: str, where: object) -> TaskCodeError:
    return TaskCodeError(
        f"module {name} has no source: {where}",
        hints=["install it as a package: then its version counts"],
    )
