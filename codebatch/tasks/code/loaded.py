"""Comparing a module that is loaded with a source: was it loaded from that one?

Python keeps no source of a module. What is left of it are the code of its functions and the values
of its constants; both have to be those that the source gives. A function that is from elsewhere is
not compared.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.machinery import SourceFileLoader
from inspect import CO_ITERABLE_COROUTINE
from types import CodeType, FunctionType, ModuleType
from typing import Any

_OPTIMIZED = 0x1  # a flag of the code of functions: that of a class's body has it not
_PLAIN = (bool, int, float, complex, str, bytes)
_INNER = ("__wrapped__", "function", "prepare", "func")  # what wrappers, and tasks, keep
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def difference(module: ModuleType, tree: ast.Module, data: bytes) -> str | None:
    """Return a name that a module has otherwise than its source, of the syntax ``tree``, gives it;
    None where there is none.
    """
    spec = module.__spec__
    if spec is None or type(spec.loader) is not SourceFileLoader:
        return None  # one that rewrites what it loads makes other code of a source
    path = str(spec.origin)
    compiled: dict[str, set[object]] = {}
    for one in _all_codes(spec.loader.source_to_code(data, path)):
        compiled.setdefault(one.co_name, set()).add(_signature(one))
    names, bound = vars(module), _bindings(tree)
    for name in sorted(bound.keys() & names.keys()):
        for one in _codes_of(names[name], module.__name__, set()):
            there = compiled.get(one.co_name)
            if one.co_filename == path and (there is None or _signature(one) not in there):
                return name
    constants = _constants(tree, bound)
    given = ((one, value) for one, value in constants.items() if one in names)
    return next((one for one, value in given if _exact(names[one]) != value), None)


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_codes(constant)


def _signature(code: CodeType) -> object:
    """Return what code does, as a value; where it stands is no part of that."""
    is_body = not code.co_flags & _OPTIMIZED  # the names in there have no order of their own
    constants = tuple(_constant(one, is_body=is_body) for one in code.co_consts)
    flags = code.co_flags & ~CO_ITERABLE_COROUTINE  # which `types.coroutine` sets afterwards
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, constants, counts, names


def _constant(value: object, *, is_body: bool = False) -> object:
    if isinstance(value, CodeType):
        return _signature(value)
    if isinstance(value, (tuple, frozenset)):
        parts = [_constant(one) for one in value]
        is_set = isinstance(value, frozenset) or is_body
        return type(value).__name__, frozenset(parts) if is_set else tuple(parts)
    return type(value).__name__, repr(value)


def _codes_of(value: Any, module: str, seen: set[int]) -> Iterator[CodeType]:
    """Yield the code of the functions that a module has as one of its values: a function, what
    wraps one, or a class of its own.
    """
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, FunctionType):
        yield value.__code__
    for part in _parts_of(value, module):
        yield from _codes_of(part, module, seen)


def _parts_of(value: Any, module: str) -> list[Any]:
    if isinstance(value, type):
        return list(vars(value).values()) if value.__module__ == module else []
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, partial):
        return [value.func]
    try:
        own = object.__getattribute__(value, "__dict__")  # runs no code of its class
    except AttributeError:
        return []
    return [own[name] for name in _INNER if name in own]


def _bindings(tree: ast.Module) -> Counter[str]:
    """Return how often each name is bound anywhere in a module."""
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found[node.id] += 1
        elif isinstance(node, _SCOPES):
            found[node.name] += 1
        elif isinstance(node, ast.alias):
            found[node.asname or node.name.partition(".")[0]] += 1
        elif isinstance(node, ast.Global):
            found.update(node.names)
    return found


def _constants(tree: ast.Module, bound: Counter[str]) -> dict[str, object]:
    """Return the values of names that a module gives once, in plain words."""
    if bound["*"]:
        return {}
    found = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and bound[target.id] == 1:
                found[target.id] = _exact(_literal(value))
    return {name: exact for name, exact in found.items() if exact is not None}


def _literal(node: Any) -> object:
    """Return the value that an expression spells out; None for any other."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return None


def _exact(value: object) -> object:
    """Return what is equal for equal constants of one type; None for what can be mutated."""
    if type(value) in _PLAIN:
        return type(value).__name__, repr(value)
    if isinstance(value, tuple):
        parts = tuple(_exact(one) for one in value)
        return None if None in parts else parts
    return None
