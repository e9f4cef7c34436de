"""Canonical values of what functions outside of modules read: globals, closures, defaults.

A value is plain data, a module, a function, a class, or an object that can be taken apart as pickle
does it, into such values: equal ones have equal documents in every process. What has an identity
of its own (an open file, a lock, a socket) cannot be taken apart, and is an error that names it.
"""

from __future__ import annotations

import ast
import copyreg
import dataclasses
import functools
import inspect
import reprlib
import sys
import textwrap
from collections.abc import Iterator, Sequence
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

from codebatch.model.digest import canonical_json, digest_document
from codebatch.model.errors import TaskCodeError
from codebatch.tasks.code.bytecode import (
    all_names,
    code_document,
    global_names,
    names_set_around,
    reads_any_name,
)
from codebatch.tasks.code.imports import imports_of
from codebatch.tasks.code.modules import check_lines_unchanged, tree_digest
from codebatch.tasks.code.reach import Reach

MAIN = ("__main__", "__mp_main__")

_PROTOCOL = 4
_TYPING = "typing"  # its variables of types are pickled by name, and do nothing
_LAMBDA = "<lambda>"
# Of all text that `exec` runs; Python 3.13 and later know by this name the lines of ``python -c``.
_EXECUTED = "<string>"
_RUN_ANY_NAME = (globals, eval, exec)
_COLLECTIONS = (list, tuple, dict, set, frozenset)
_DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType)
# What a class has beside what its source gives it.
_OF_EVERY_CLASS = frozenset(
    {"__module__", "__dict__", "__weakref__", "__qualname__", "__firstlineno__"}
    | {"__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
    | {"__abstractmethods__", "_abc_impl", "__dataclass_fields__", "__dataclass_params__"}
)
_OF_FIELDS = ("type", "default", "default_factory", "init", "repr", "hash", "compare", "kw_only")
_MAKERS = (dataclasses.__file__, reprlib.__file__)
_CACHE_WRAPPER = type(functools.lru_cache(len))


class Values:
    """Makes documents of values; modules that they are from are added to a `Reach`.

    State: ``_within`` are the ids of the values that the one at hand is in, outermost first;
    ``_readers`` and ``_setters`` the functions that read and set a variable, by its place.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._within: list[int] = []
        self._readers: dict[tuple[int, str], str] = {}
        self._setters: dict[tuple[int, str], str] = {}

    def digest(self, value: object, where: str) -> str:
        """Return the digest of a value; ``where`` says in an error what it is."""
        return digest_document("task-value", self.document(value, where))

    def document(self, value: object, where: str) -> object:
        """Return the canonical document of a value."""
        plain = _plain(value)
        if plain is not None:
            return plain
        if id(value) in self._within:
            return ["within", self._within.index(id(value))]
        self._within.append(id(value))
        try:
            return self._of_object(value, where)
        finally:
            self._within.pop()

    def reads(self, function: FunctionType) -> Iterator[tuple[str, object]]:
        """Yield what a function reads beside its arguments, by name: globals and closures."""
        read = global_names(function.__code__)[0]
        for name in sorted(read & function.__globals__.keys()):
            yield name, function.__globals__[name]
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            yield name, _content(cell)

    def attributes(self, function: FunctionType) -> dict[str, object]:
        """Return what a function has as attributes, but for what it reads anyway."""
        read = [value for _, value in self.reads(function)]
        given = sorted(vars(function).items())
        return {name: v for name, v in given if not any(v is one for one in read)}

    def source(self, function: FunctionType, where: str) -> str:
        """Return the digest of the source of a function; what it imports is added."""
        tree, file = _source_tree(function, where)
        package = str(function.__globals__.get("__package__") or "")
        self._reach.add_imports(tree, package, file)
        self._add_submodules(function)
        if not _is_of_the_standard_library(function):
            self._check_names(function, [one.name for one in imports_of(tree, package)])
        digest = tree_digest(file, tree)
        if function.__code__.co_name != _LAMBDA:
            return digest
        # There may be others on its line.
        document = code_document(function.__code__, lambda one: self.document(one, where))
        return digest_document("task-value", [digest, document])

    def _check_names(self, function: FunctionType, imported: Sequence[str]) -> None:
        """Raise `TaskCodeError` where a function reads what cannot be known when it is planned."""
        name, code = function.__qualname__, function.__code__
        if any(one in MAIN for one in imported):
            raise _unknown(f"{name}() imports __main__: what it reads of it")
        if by := reads_any_name(code):
            raise _unknown(f"{name}() uses {by}: what it reads by it")
        read, written = global_names(code)
        cells = dict(zip(code.co_freevars, map(id, function.__closure__ or ()), strict=True))
        of_all = id(function.__globals__)
        self._readers.update(((of_all, one), name) for one in read)
        self._readers.update(((cell, one), name) for one, cell in cells.items())
        self._setters.update(((of_all, one), name) for one in written)
        self._setters.update(((cells[one], one), name) for one in names_set_around(code))
        for place in sorted(self._readers.keys() & self._setters.keys()):
            reader, setter = self._readers[place], self._setters[place]
            raise _unknown(f"{reader}() reads {place[1]}, which {setter}() sets: its value")

    def _of_object(self, value: object, where: str) -> object:
        if _is_any_name(value):
            raise _unhashable(value, where, "what is read of it is not known before")
        if type(value) in _COLLECTIONS:
            return self._of_collection(value, where)
        if isinstance(value, ModuleType):
            self._reach.add_module(value.__name__)
            return ["module", value.__name__]
        # In Python 3.10 `set[str]` says that it is a type.
        is_alias = type(value) is GenericAlias
        if isinstance(value, (type, FunctionType, BuiltinFunctionType)) and not is_alias:
            return self._of_named(value, where)
        if isinstance(value, MethodType):
            own = self.document(value.__self__, where)
            return ["method", own, self.document(value.__func__, where)]
        return self._of_wrapper(value, where)

    def _of_collection(self, value: Any, where: str) -> object:
        kind = type(value).__name__
        if isinstance(value, dict):
            pairs = value.items()
            return [kind, [[self.document(k, where), self.document(v, where)] for k, v in pairs]]
        items = [self.document(item, where) for item in value]
        if isinstance(value, (set, frozenset)):  # their order differs from process to process
            items.sort(key=canonical_json)
        return [kind, items]

    def _of_named(self, value: Any, where: str) -> object:
        """Return the document of a function or class: its name where it can be imported."""
        module = getattr(value, "__module__", None)
        owner = getattr(value, "__self__", None)
        if isinstance(owner, ModuleType):  # of a function that is written in C
            module = owner.__name__
        elif isinstance(value, BuiltinFunctionType) and owner is not None:
            return ["method", self.document(owner, where), value.__name__]
        if _can_import(value, module):
            self._reach.add_module(str(module))
            return ["name", module, value.__qualname__]
        if isinstance(value, FunctionType):
            return self._of_function(value, where)
        if isinstance(value, type):
            return self._of_class(value, where)
        raise _unhashable(value, where, "it cannot be imported by a name")

    def _of_function(self, function: FunctionType, where: str) -> object:
        name = function.__qualname__
        inner = f"{where}, read by {name}" if where else name
        reads = [
            [one, self.document(v, f"{one}, which {name}() reads")]
            for one, v in self.reads(function)
        ]
        defaults = self.document(function.__defaults__, inner)
        named = self.document(function.__kwdefaults__, inner)
        given = self.document(self.attributes(function), inner)
        return ["function", self.source(function, inner), reads, defaults, named, given]

    def _of_class(self, cls: type, where: str) -> object:
        """Return the document of a class that is in no module: by all it consists of."""
        inner = f"class {cls.__qualname__}"
        generated = _is_generated(cls)
        members: list[object] = []
        if "__dataclass_params__" not in vars(cls):  # it makes one that spells addresses
            members.append(["__doc__", self.document(vars(cls).get("__doc__"), inner)])
        for name, value in sorted(vars(cls).items()):
            if name in _OF_EVERY_CLASS or name == "__doc__" or isinstance(value, _DESCRIPTORS):
                continue
            function = _function_of(value)
            if generated and function is not None and _is_from_fields(function):
                continue
            members.append([name, self._of_member(value, f"{inner}.{name}")])
        bases = [self.document(base, where) for base in cls.__bases__]
        fields = getattr(cls, "__dataclass_fields__", {}).values()
        shown = [self._of_field(field, f"{inner}.{field.name}") for field in fields]
        options = repr(getattr(cls, "__dataclass_params__", None))
        made_by = self.document(type(cls), f"the metaclass of {inner}")
        return ["class", cls.__qualname__, made_by, bases, members, shown, options]

    def _of_field(self, field: Any, where: str) -> object:
        """Return the document of a field of a dataclass: all that its methods are made from."""
        given = {name: getattr(field, name) for name in _OF_FIELDS if hasattr(field, name)}
        given["metadata"] = dict(field.metadata)
        kind = str(getattr(field, "_field_type", ""))  # those of class variables are among them
        options = [
            [name, "missing" if value is dataclasses.MISSING else self.document(value, where)]
            for name, value in sorted(given.items())
        ]
        return [field.name, kind, options]

    def _of_member(self, value: object, where: str) -> object:
        if isinstance(value, (staticmethod, classmethod)):
            return [type(value).__name__, self.document(value.__func__, where)]
        if isinstance(value, property):
            parts = (value.fget, value.fset, value.fdel)
            return ["property", *(self.document(part, where) for part in parts)]
        if isinstance(value, functools.cached_property):
            return ["property", self.document(value.func, where)]
        return self.document(value, where)

    def _of_wrapper(self, value: Any, where: str) -> object:
        if isinstance(value, _CACHE_WRAPPER):
            given = {name: v for name, v in vars(value).items() if name != "__wrapped__"}
            return ["cached", self.document(value.__wrapped__, where), self.document(given, where)]
        return ["object", self._taken_apart(value, where)]

    def _taken_apart(self, value: object, where: str) -> object:
        """Return the document of what pickle would make an object of."""
        try:
            reducer = copyreg.dispatch_table.get(type(value))
            parts = reducer(value) if reducer else value.__reduce_ex__(_PROTOCOL)
        except Exception as error:
            raise _unhashable(value, where, str(error)) from error
        if isinstance(parts, str):
            module = getattr(value, "__module__", type(value).__module__)
            if module in MAIN and type(value).__module__ != _TYPING:
                raise _unhashable(value, where, "it is pickled by a name")
            self._reach.add_module(module)
            return [module, parts]
        made_by, arguments, state, *items = [*parts, None, None, None][:5]
        if isinstance(value, (set, frozenset)):  # of a class of its own
            arguments = tuple(frozenset(one) if type(one) is list else one for one in arguments)
        lists = [list(one) if one is not None else None for one in items]
        return [self.document(one, where) for one in (made_by, arguments, state, *lists)]

    def _add_submodules(self, function: FunctionType) -> None:
        """Add modules that a function reaches as attributes of packages: another cell, or another
        module, has imported them.
        """
        names = all_names(function.__code__)
        packages = [v.__name__ for _, v in self.reads(function) if isinstance(v, ModuleType)]
        while packages:
            package = packages.pop()
            found = [one for name in names if (one := f"{package}.{name}") in sys.modules]
            for one in found:
                self._reach.add_module(one)
            packages += found


def _plain(value: object) -> object:
    """Return the document of a value without parts; None for any other."""
    if value is None or value is Ellipsis or value is NotImplemented:
        return [str(value)]
    kind = type(value)
    if kind in (bool, int, complex, str):
        return [kind.__name__, value if kind is str else repr(value)]
    if isinstance(value, float) and kind is float:
        return ["float", value.hex()]
    if isinstance(value, bytes) and kind is bytes:
        return ["bytes", value.hex()]
    return None


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it was not set yet
        return "not set"


def _source_lines(function: FunctionType) -> list[str] | None:
    """Return the source of a function by itself, not of one that it wraps; None without any."""
    if function.__code__.co_filename == _EXECUTED:
        return None
    try:
        return inspect.getsourcelines(function.__code__)[0]
    except (OSError, TypeError):
        return None


def _source_tree(function: FunctionType, where: str) -> tuple[ast.AST, str]:
    """Return the syntax tree of a function, and its file."""
    file = function.__code__.co_filename
    check_lines_unchanged(file)
    lines = _source_lines(function)
    if lines is None:
        raise TaskCodeError(
            f"{where or function.__qualname__}: there is no source of {function.__qualname__}() "
            f"({file})",
            hints=["put the task into a file, or a cell of a notebook"],
        )
    text = textwrap.dedent("".join(lines))
    before = function.__code__.co_firstlineno - 1
    try:
        return ast.increment_lineno(ast.parse(text), before), file
    except SyntaxError as error:
        raise TaskCodeError(
            f"the source of {function.__qualname__}() in {file}:{before + 1} cannot be told from "
            "what is around it",
            hints=["define it with def, in lines of its own"],
        ) from error


def _is_of_the_standard_library(function: FunctionType) -> bool:
    module = str(function.__module__).partition(".")[0]
    return module not in MAIN and module in sys.stdlib_module_names


def _is_any_name(value: object) -> bool:
    """Return whether a value gives all that a notebook or a script has, by any name."""
    if isinstance(value, ModuleType):
        return value.__name__ in MAIN
    if isinstance(value, dict):
        of_main = [vars(sys.modules[name]) for name in MAIN if name in sys.modules]
        return any(value is one for one in (sys.modules, *of_main))
    return any(value is one for one in _RUN_ANY_NAME)


def _function_of(value: object) -> FunctionType | None:
    inner = getattr(value, "__func__", value)
    return inner if isinstance(inner, FunctionType) else None


def _is_generated(cls: type) -> bool:
    """Return whether methods of a class may be made by the standard library from its fields."""
    return hasattr(cls, "__dataclass_params__") or hasattr(cls, "_fields")


def _is_from_fields(function: FunctionType) -> bool:
    """Return whether a method of such a class is made from its fields, which are covered."""
    made_in = function.__code__.co_filename
    special = function.__name__.startswith("__")
    return made_in in _MAKERS or (special and _source_lines(function) is None)


def _can_import(value: Any, module: str | None) -> bool:
    """Return whether the name of a function or class gives that very object everywhere."""
    if module is None or module in MAIN or module not in sys.modules:
        return False
    found: object = sys.modules[module]
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _unknown(what: str) -> TaskCodeError:
    return TaskCodeError(
        f"{what} is not known before it runs",
        hints=["read what it needs by its name, or pass it in the task's config"],
    )


def _unhashable(value: object, where: str, reason: str) -> TaskCodeError:
    kind = type(value)
    return TaskCodeError(
        f"{where}: a {kind.__module__}.{kind.__qualname__} is no part of a key ({reason})",
        hints=["make it within the task, or pass what it is made from in the task's config"],
    )
