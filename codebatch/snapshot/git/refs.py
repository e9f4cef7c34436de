"""The refs of a repository: loose ones and packed ones, read with bounds."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cached_property

from codebatch.snapshot.descriptors import Folder

BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
REMOTES = "refs/remotes/"

_HASH = re.compile(r"([0-9a-f]{40}(?:[0-9a-f]{24})?)(?:\s|\Z)")
_OWN = re.compile(r"[A-Z_]+\Z")
_SYMBOLIC = "ref: "
_LARGEST_REF = 2**12
_LARGEST_PACKED = 2**26
_MOST_STEPS = 5
_MOST_REFS = 2**18
_DEEPEST = 32


class Refs:
    """The refs of one work tree: ``own`` is its git folder, ``common`` what it shares."""

    def __init__(self, own: Folder, common: Folder) -> None:
        self._own = own
        self._common = common

    def branch(self) -> str | None:
        """Return the name of the branch that the work tree is at; None for none."""
        target = self.target("HEAD") or ""
        return target[len(BRANCHES) :] if target.startswith(BRANCHES) else None

    def target(self, name: str) -> str | None:
        """Return the full name of the ref that a symbolic one stands for; None of another."""
        value = self._value(name) or ""
        return value[len(_SYMBOLIC) :].strip() if value.startswith(_SYMBOLIC) else None

    def hash(self, name: str) -> str | None:
        """Return the hash that a ref of this full name leads to, which may be that of a tag."""
        for _ in range(_MOST_STEPS):
            value = self._value(name)
            if value is None or not value.startswith(_SYMBOLIC):
                match = value and _HASH.match(value)
                return match[1] if match else None
            name = value.removeprefix(_SYMBOLIC).strip()
        return None

    def names(self, start: str) -> list[str]:
        """Return the full names of the refs in a folder of them, such as ``refs/tags/``, sorted."""
        place = os.fsencode(start)
        found = {name for name in self._packed if name.startswith(place)}
        pending = [place.rstrip(b"/")]
        while pending and len(found) < _MOST_REFS:
            path = pending.pop()
            with (
                suppress(OSError),
                self._common.open(path) as folder,
                os.scandir(folder.descriptor) as entries,
            ):
                for entry in entries:
                    inner = path + b"/" + os.fsencode(entry.name)
                    if not entry.is_dir(follow_symlinks=False):
                        found.add(inner)
                    elif inner.count(b"/") < _DEEPEST:
                        pending.append(inner)
        return sorted(map(os.fsdecode, found))

    def _value(self, name: str) -> str | None:
        if not is_safe(name):
            return None
        if not name.startswith("refs/"):
            if not _OWN.match(name):
                return None
            return _decoded(self._own, name.encode())
        path = os.fsencode(name)
        if (loose := _decoded(self._common, path)) is not None:
            return loose
        packed = self._packed.get(path)
        return packed.decode("ascii", "replace") if packed else None

    @cached_property
    def _packed(self) -> dict[bytes, bytes]:
        lines: list[bytes] = []
        with suppress(OSError):
            lines = (self._common.read(b"packed-refs", _LARGEST_PACKED) or b"").splitlines()
        pairs = (line.partition(b" ") for line in lines if line[:1] not in b"#^")
        return {name: found for found, _, name in pairs}


def _decoded(folder: Folder, path: bytes) -> str | None:
    try:
        data = folder.read(path, _LARGEST_REF)
    except OSError:
        return None  # a folder of refs, perhaps, or nothing that may be followed
    return None if data is None else data.decode("utf-8", "replace").strip()


def is_safe(name: str) -> bool:
    """Return True if a name can be a path, no part of which leads elsewhere in the file system."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return "\0" not in name and not {"", ".", ".."} & set(name.split("/"))
