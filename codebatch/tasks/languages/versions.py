"""Versions of what the front ends and `lint` stand on, for the fingerprints of tasks.

They are found without loading a parser, or `importlib.metadata`, which takes 25 ms: a plan names
them, and most plans parse nothing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import platform
import re
import sys
from collections.abc import Mapping
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
    folder = metadata_folder(package)
    if folder is not None:
        return _parts(os.path.basename(folder))[1]
    return str(importlib.import_module("importlib.metadata").version(package))


@functools.cache
def metadata_folder(package: str) -> str | None:
    """The folder with the metadata of an installed package; None where it is not in one place.

    What the path has relative to the current folder is not where packages are installed.
    """
    for folder in filter(os.path.isabs, sys.path):
        found = _installed(folder).get(_normalized(package))
        if found:
            return os.path.join(folder, found[0]) if len(found) == 1 else None
    return None


@functools.cache
def _installed(folder: str) -> Mapping[str, list[str]]:
    """The metadata folders in a folder of the path, by package."""
    found: dict[str, list[str]] = {}
    with contextlib.suppress(OSError):  # not every entry of the path is a folder that is there
        for name in os.listdir(folder):
            if name.endswith(_SUFFIX):
                found.setdefault(_parts(name)[0], []).append(name)
    return found


def _parts(name: str) -> tuple[str, str]:
    """The package and the version that the name of a metadata folder tells; empty for others."""
    distribution, _, version = name.removesuffix(_SUFFIX).partition("-")
    known = name.endswith(_SUFFIX) and version
    return (_normalized(distribution), version) if known else ("", "")


def _normalized(name: str) -> str:
    """Return the name in the form in which the packaging standards compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()
