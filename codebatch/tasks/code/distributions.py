"""Installed distributions: which one a module is from, and its version."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from codebatch.runtime.lazy import lazily

with lazily():
    from importlib import metadata  # 10 ms, for users' tasks alone

MISSING = ""  # the version of what is not there

_INSTALLED = frozenset({"site-packages", "dist-packages"})


def version_of(distribution: str) -> str:
    """Return the version of an installed distribution, `MISSING` where there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return MISSING


@lru_cache(maxsize=4096)  # the places alone take half a millisecond
def is_installed(origin: str) -> bool:
    """Return whether a file is where distributions are installed to."""
    path = Path(origin)
    places = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return not _INSTALLED.isdisjoint(path.parts) or any(path.is_relative_to(one) for one in places)


def distributions_of(module: str) -> tuple[str, ...]:
    """Return the names of the distributions that a module is from: several where they share a
    namespace package and all have a part of it.
    """
    top = module.partition(".")[0]
    named = _named(top)  # as most are after their package: to look at all of them is slow
    if named is not None:
        return (named,)
    found = _distributions_by_module(_folders()).get(top, ())
    if len(found) > 1:
        place = module.replace(".", "/")
        found = tuple(name for name in found if _has_file(name, place)) or found
    return found


def _named(top: str) -> str | None:
    """Return the distribution that has the name of a module, if the module is from it."""
    try:
        found = metadata.distribution(top)
    except metadata.PackageNotFoundError:
        return None
    return found.metadata["Name"] if top in _top_modules(found) else None


def _folders() -> tuple[tuple[str, int], ...]:
    """Return what is imported from, and when something was last installed there."""
    return tuple((place, os.stat(place).st_mtime_ns) for place in sys.path if os.path.isdir(place))


@lru_cache(maxsize=1)
def _distributions_by_module(_folders: object) -> dict[str, tuple[str, ...]]:
    """Return the distributions that each module at the top is from."""
    found: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        for top in _top_modules(distribution):
            found.setdefault(top, set()).add(distribution.metadata["Name"])
    return {top: tuple(sorted(names)) for top, names in found.items()}


def _top_modules(distribution: metadata.Distribution) -> set[str]:
    """Return the names of the modules and packages that a distribution has at the top."""
    declared = (distribution.read_text("top_level.txt") or "").split()
    return {*declared, *map(_top_module, _files(distribution))}


def _top_module(file: str) -> str:
    first, _, rest = file.partition("/")
    return first if rest else first.partition(".")[0]


def _has_file(distribution: str, place: str) -> bool:
    files = _files(metadata.distribution(distribution))
    return any(file.startswith((f"{place}/", f"{place}.")) for file in files)


def _files(distribution: metadata.Distribution) -> Iterator[str]:
    files: Sequence[metadata.PackagePath] = distribution.files or ()
    return (file.as_posix() for file in files if file.suffix in (".py", ".so", ".pyd"))
