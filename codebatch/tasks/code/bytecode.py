"""What the bytecode of a function tells of the names that it, and those within it, read and set."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import CodeType

_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_STORES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
_STORES_AROUND = frozenset({"STORE_DEREF", "DELETE_DEREF"})
_RUNS_TEXT = ("eval", "exec")
_ALL_GLOBALS = ("globals", "__globals__", "f_globals")
_STARS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def global_names(code: CodeType) -> tuple[set[str], set[str]]:
    """Return the names of the globals that code reads, and of those that it sets."""
    read: set[str] = set()
    written: set[str] = set()
    for one in _all_codes(code):
        for instruction in dis.get_instructions(one):
            if instruction.opname in _LOADS:
                read.add(instruction.argval)
            elif instruction.opname in _STORES:
                written.add(instruction.argval)
    return read, written


def names_set_around(code: CodeType) -> set[str]:
    """Return the names that code sets of the function around it (``nonlocal``)."""
    found = {one.argval for one in dis.get_instructions(code) if one.opname in _STORES_AROUND}
    for inner in _codes_in(code):
        found |= names_set_around(inner)
    return found.intersection(code.co_freevars)


def all_names(code: CodeType) -> set[str]:
    """Return all names of globals, attributes and modules in code."""
    return {name for one in _all_codes(code) for name in one.co_names}


def reads_any_name(code: CodeType) -> str | None:
    """Return by what code may read names that it does not spell out; None where by nothing."""
    found = [name for name in _ALL_GLOBALS if name in all_names(code)]
    found += [name for name in _RUNS_TEXT if name in global_names(code)[0]]
    for one in _all_codes(code):
        names = (instruction.argval for instruction in dis.get_instructions(one))
        if ("sys", "modules") in pairwise(names):
            found.append("sys.modules")
    return found[0] if found else None


def code_document(code: CodeType, constant: Callable[[object], object]) -> object:
    """Return the document of what code does, without positions; ``constant`` makes those of
    constants.
    """
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount]
    constants = [
        code_document(one, constant) if isinstance(one, CodeType) else constant(one)
        for one in code.co_consts
    ]
    shape = [*counts, code.co_flags & _STARS]
    return [code.co_code.hex(), [list(one) for one in names], shape, constants]


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in _codes_in(code):
        yield from _all_codes(inner)
