"""Modules that are imported when they are first used: a command pays for what it needs.

What a module needs on some of its paths alone, it imports in a block ``with lazily():``, which may
import whole modules and nothing else. To the type checker that is an import as any other.

Large regular expressions, which a command may not need, are compiled on first use as well.
"""

from __future__ import annotations

import builtins
import importlib
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, AnyStr, cast

_replacing = threading.RLock()  # the function that imports, which all threads have in common


class _LazyModule(ModuleType):
    """Stands for the module of its name, which the first attribute asked of it imports.

    State: its own dictionary keeps what has been asked for, so that it is looked up once.
    """

    def __getattr__(self, name: str) -> object:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value


class _LazyPackage(ModuleType):
    """Stands for the package of its name, of which modules are asked alone."""

    def __getattr__(self, name: str) -> ModuleType:
        return lazy(f"{self.__name__}.{name}")


def lazy(name: str) -> ModuleType:
    """The module of that full name, imported on first use."""
    return _LazyModule(name)


class _LazyPattern:
    """Stands for a pattern, which the first method asked of it compiles."""

    def __init__(self, *source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> object:
        value = getattr(re.compile(*self._source), name)
        setattr(self, name, value)
        return value


def lazy_pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """The regular expression, compiled on first use."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(text, flags))


@contextmanager
def lazily() -> Iterator[None]:
    """Have what the caller imports in a block imported on first use."""
    caller = sys._getframe(2).f_globals  # noqa: SLF001 - above `contextmanager`

    def import_lazily(name: str, *arguments: Any, **named: Any) -> ModuleType:
        if not arguments or arguments[0] is not caller:  # what another thread imports meanwhile
            found: ModuleType = usual(name, *arguments, **named)
            return found
        package, dot, _ = name.partition(".")
        if arguments[2]:  # the names of what is imported from it
            return _LazyPackage(name)
        return _LazyPackage(package) if dot else lazy(name)

    with _replacing:
        usual = builtins.__import__
        builtins.__import__ = import_lazily
        try:
            yield
        finally:
            builtins.__import__ = usual
