"""Modules that are imported when they are first used: a command pays for what it needs.

A module that needs another only on some of its paths names it twice: for the type checker by an
ordinary import, at run time by `lazy` under the same name. The test of the architecture takes
both for imports and compares them.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class _LazyModule(ModuleType):
    """Stands for the module of its name, which the first attribute asked of it imports.

    State: its own dictionary keeps what has been asked for, so that it is looked up once.
    """

    def __getattr__(self, name: str) -> object:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value


def lazy(name: str) -> ModuleType:
    """The module of that full name, imported on first use."""
    return _LazyModule(name)
