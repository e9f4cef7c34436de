"""Versions of what the front ends and `lint` stand on, for the fingerprints of tasks.

They are found without loading a parser: a plan names them, and most plans parse nothing.
"""

from __future__ import annotations

import functools
import importlib
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType

_SUFFIX = ".dist-info"
_ECMASCRIPT = ("tree-sitter", "tree-sitter-javascript", "tree-sitter-typescript")


@functools.cache
def parser_versions() -> Mapping[str, str]:
    """Everything whose change may change what a front end answers.

    A Python tree depends on the minor version only, and on who implements the parser; any other
    on the packages of the parser and of its grammars. ModuleNotFoundError where one is missing.
    """
    major, minor = sys.version_info[:2]
    python = {"implementation": platform.python_implementation(), "python": f"{major}.{minor}"}
    return MappingProxyType(python | {name: package_version(name) for name in _ECMASCRIPT})


@functools.cache
def package_version(package: str) -> str:
    """The version of an installed package; ModuleNotFoundError where there is none.

    The name of its metadata folder tells. Where it is not found that way, or more than once, the
    standard library decides, which takes a while to load.
    """
    for folder in sys.path:
        found = [*_versions_in(folder, _normalized(package))]
        if len(found) == 1:
            return found[0]
        if found:
            break
    return str(importlib.import_module("importlib.metadata").version(package))


def _versions_in(folder: str, package: str) -> Iterator[str]:
    try:
        names = os.listdir(folder or ".")
    except OSError:  # not every entry of the path is a folder that is there
        return
    for name in names:
        if name.endswith(_SUFFIX):
            distribution, _, version = name.removesuffix(_SUFFIX).partition("-")
            if version and _normalized(distribution) == package:
                yield version


def _normalized(name: str) -> str:
    """As the packaging standards compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()
