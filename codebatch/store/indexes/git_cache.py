"""What is known of the objects of git repositories, so that they are not read again.

Two kinds of files below ``indexes/git/``, each a checksum, a line of JSON, and what that says. Of
blobs, in 16 files by the first digit of their names, the digest and the size of their content; of
the trees that were taken last in some way, what each folder of them came to. Names that git gives
follow from the content, and whoever fills this has checked that, so it holds for all repositories.
A file that is damaged, or is not what it should be, counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple, cast

from codebatch.model.digest import DIGEST_PREFIX, Document, canonical_json
from codebatch.model.errors import StoreError
from codebatch.model.json_types import to_count, to_text
from codebatch.store.files import read_file, write_file
from codebatch.store.layout import Layout

_BLOBS_FORMAT = "codebatch-git-blobs/1"
_TREES_FORMAT = "codebatch-git-trees/1"
_CHECKSUM_BYTES = 64
_DIGEST_BYTES, _SIZE_BYTES = 32, 8
# A file of blobs that would have more is begun anew; one of trees that would be larger is not kept.
_MOST_BLOBS = 2**18
_LARGEST = 2**25


class KnownBlob(NamedTuple):
    """The digest and the size of the content of a blob."""

    digest: str
    size: int


class GitBlobs:
    """The blobs that are known, of names of so many bytes. State: ``_files`` are those that were
    read, ``_changed`` those to which something was added.
    """

    def __init__(self, layout: Layout, hash_size: int) -> None:
        self._layout = layout
        self._hash_size = hash_size
        self._files: dict[int, dict[bytes, bytes]] = {}
        self._changed: set[int] = set()

    def get(self, name: bytes) -> KnownBlob | None:
        """Return what is known of a blob."""
        found = self._file(name[0] >> 4).get(name)
        if found is None:
            return None
        size = int.from_bytes(found[_DIGEST_BYTES:], "big")
        return KnownBlob(DIGEST_PREFIX + found[:_DIGEST_BYTES].hex(), size)

    def add(self, name: bytes, known: KnownBlob) -> None:
        """Add a blob whose content was checked against its name."""
        digest = bytes.fromhex(known.digest[len(DIGEST_PREFIX) :])
        self._file(name[0] >> 4)[name] = digest + known.size.to_bytes(_SIZE_BYTES, "big")
        self._changed.add(name[0] >> 4)

    def save(self) -> None:
        """Keep what was added; where nothing can be written, nothing is."""
        for digit in self._changed:
            blobs = self._files[digit]
            if len(blobs) > _MOST_BLOBS:
                blobs.clear()
            header = {"format": _BLOBS_FORMAT, "name_bytes": self._hash_size}
            records = b"".join(name + blobs[name] for name in sorted(blobs))
            _save(self._layout, self._label(digit), canonical_json(header) + b"\n" + records)
        self._changed.clear()

    def _label(self, digit: int) -> bytes:
        return b"blobs %d %d" % (self._hash_size, digit)

    def _file(self, digit: int) -> dict[bytes, bytes]:
        if digit not in self._files:
            header, data = _load(self._layout, self._label(digit))
            size = self._hash_size
            step = size + _DIGEST_BYTES + _SIZE_BYTES
            is_ours = header.get("format") == _BLOBS_FORMAT and not len(data) % step
            places = range(0, len(data) if is_ours else 0, step)
            self._files[digit] = {
                data[at : at + size]: data[at + size : at + step] for at in places
            }
        return self._files[digit]


class KnownFolder(NamedTuple):
    """What a folder of a tree came to: ``key`` tells its tree, and what holds in it, from others;
    its files are the bytes from ``start`` to ``end`` of the manifest, so many of so many bytes.
    """

    path: str
    key: str
    start: int
    end: int
    files: int
    bytes: int
    state: int


class KnownTree(NamedTuple):
    """A tree that was taken, with its folders and what was skipped, both in byte order of paths."""

    snapshot_id: str
    folders: list[KnownFolder]
    skipped: list[tuple[str, str]]


class KnownRoot(NamedTuple):
    """The snapshot of a tree that was taken earlier, and what was skipped."""

    snapshot_id: str
    files: int
    bytes: int
    skipped: list[tuple[str, str]]


class GitTrees:
    """The trees that were taken in a way which ``name`` tells from others: the last one with all
    its folders as ``last``, and the ``roots`` of earlier ones by key.
    """

    _MOST_ROOTS = 512
    _MOST_SKIPPED = 100

    def __init__(self, layout: Layout, name: bytes) -> None:
        self._layout = layout
        self._name = b"trees " + name
        self.last: KnownTree | None = None
        self.roots: dict[str, KnownRoot] = {}

    def load(self) -> None:
        """Read what was kept."""
        header, data = _load(self._layout, self._name)
        if header.get("format") != _TREES_FORMAT:
            return
        try:
            found = json.loads(data)
            folders = [_folder(*folder) for folder in found["folders"]]
            last = KnownTree(str(found["snapshot_id"]), folders, _pairs(found["skipped"]))
            roots = {
                str(key): KnownRoot(str(one), int(files), int(size), _pairs(skipped))
                for key, one, files, size, skipped in found["roots"]
            }
        except (KeyError, TypeError, ValueError, RecursionError):
            return  # a checksum that is right does not make the content so
        self.last, self.roots = last, roots

    def save(self, key: str | None, root: KnownRoot, last: KnownTree) -> None:
        """Keep a tree as the last one that was taken, and, if it has a key, under that."""
        if key is not None and len(root.skipped) <= self._MOST_SKIPPED:
            self.roots.pop(key, None)
            self.roots[key] = root
        kept = list(self.roots.items())[-self._MOST_ROOTS :]
        body = {
            "snapshot_id": last.snapshot_id,
            "folders": [list(folder) for folder in last.folders],
            "skipped": [list(pair) for pair in last.skipped],
            "roots": [[one, *known[:3], [list(s) for s in known.skipped]] for one, known in kept],
        }
        header = canonical_json({"format": _TREES_FORMAT})
        _save(self._layout, self._name, header + b"\n" + canonical_json(body))


def _folder(path: object, key: object, *numbers: object) -> KnownFolder:
    start, end, files, size, state = (to_count(number) for number in numbers)
    return KnownFolder(to_text(path), to_text(key), start, end, files, size, state)


def _pairs(found: object) -> list[tuple[str, str]]:
    return [(str(path), str(reason)) for path, reason in cast("list[list[str]]", found)]


def _load(layout: Layout, label: bytes) -> tuple[Document, bytes]:
    """Return the header of a file and what is behind it; nothing where it is not whole."""
    try:
        data = read_file(layout.door, layout.git_cache(_hashed(label)), _LARGEST) or b""
        body = memoryview(data)[_CHECKSUM_BYTES:]
        if hashlib.sha256(body).hexdigest().encode() != data[:_CHECKSUM_BYTES]:
            return {}, b""
        end = data.find(b"\n", _CHECKSUM_BYTES)
        return dict(json.loads(data[_CHECKSUM_BYTES:end])), data[end + 1 :]
    except (OSError, StoreError, TypeError, ValueError, RecursionError):
        return {}, b""


def _save(layout: Layout, label: bytes, body: bytes) -> None:
    data = hashlib.sha256(body).hexdigest().encode() + body
    if len(data) > _LARGEST:
        return
    try:
        write_file(layout.door, layout.git_cache(_hashed(label)), data, durable=False)
    except StoreError:
        return  # it is read again from the repository, and that is all


def _hashed(label: bytes) -> str:
    return hashlib.sha256(label).hexdigest()[:32]
