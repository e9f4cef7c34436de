"""The files of a tree of git as a clean checkout of it has them, read from objects alone.

What is taken and what is skipped is what a walk over that checkout would take and skip: tracked
files are taken whatever git ignores, the project's own ignore files hold, and so do patterns. Of
what a checkout would hold that cannot be known here (submodules, what filters write), the path is
listed with the reason. Trees may say anything: a name that no file can have is listed, too.

Folders in which nothing has changed since a tree was taken are not read: their lines are those of
the manifest of then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

from codebatch.model.digest import canonical_json
from codebatch.model.errors import UsageError
from codebatch.model.records import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, SkippedFile
from codebatch.runtime.interrupts import check
from codebatch.snapshot.git.attributes import ATTRIBUTES_FILE, AttributeRules
from codebatch.snapshot.git.conversion import (
    LARGEST_CONVERTED,
    NO_CONVERSION,
    Conversion,
    ConversionError,
    conversion_of,
)
from codebatch.snapshot.git.objects import Objects
from codebatch.snapshot.git.trees import (
    FILE,
    FOLDER,
    LINK,
    SUBMODULE,
    Entry,
    TreeReader,
    missing_in_tree,
)
from codebatch.snapshot.ignore import (
    LARGEST_RULES,
    OWN_IGNORE_FILE,
    FolderRules,
    is_ignored,
    with_rules,
)
from codebatch.snapshot.known_folders import KnownFolders
from codebatch.snapshot.selection import EVERYTHING, Selection
from codebatch.snapshot.walk import EXCLUDED, IGNORED, NOT_INCLUDED, STORE, TOO_LARGE
from codebatch.store import STORE_DOCUMENT, is_store_document
from codebatch.store.indexes.git_cache import GitBlobs, KnownBlob, KnownFolder, KnownTree

SUBMODULE_REASON = "git submodule"
TOO_DEEP = "nested too deep"
UNREADABLE_OBJECT = "an object of git that is damaged or too large to be read"

# To be raised whenever the same tree is taken in another way.
TREE_VERSION = 2
_STREAM_ABOVE_BYTES = 32 * 2**20
_LARGEST_MARK = 2**20
_DEEPEST = 256
# What the manifest may have, and with it the list of what was skipped.
_MOST_LISTED = 2**28
_SKIPPED_BYTES = 200
_STORE_MARK = STORE_DOCUMENT.encode()
# What a folder came to: files or other reasons, nothing at all, or nothing that is included.
_KEPT, _EMPTY, _UNMATCHED = range(3)


class Sink(Protocol):
    """Where the content of files goes."""

    def put(self, data: bytes) -> tuple[str, int]:
        """Take bytes; return digest and size."""

    def put_stream(self, portions: Iterable[bytes]) -> tuple[str, int]:
        """Take bytes of any length; return digest and size."""

    def has(self, digest: str) -> bool:
        """Return True if the content of that digest need not be given."""


class TreeOptions(NamedTuple):
    """How trees are taken: a selection of what is below ``prefix``, files of at most
    ``max_bytes``; with ``ignore`` false, whatever the project's own ignore files say.
    """

    prefix: bytes
    selection: Selection
    ignore: bool
    max_bytes: int | None

    @property
    def key(self) -> bytes:
        """What tells them from others."""
        limit = -1 if self.max_bytes is None else self.max_bytes
        head = b"%d %d %d %s" % (TREE_VERSION, self.ignore, limit, self.prefix)
        return head + b"\0" + self.selection.key


class _Place(NamedTuple):
    """A folder of a tree: its path below the prefix, what holds in it, and ``context``, which tells
    that from what else could hold there.
    """

    path: bytes
    rules: tuple[FolderRules, ...]
    attributes: AttributeRules
    context: bytes
    is_taken: bool
    is_included: bool
    depth: int

    def inner(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name


class TreeTaking:
    """One taking of a tree. ``known`` is the tree that was taken last, with its manifest.

    State: ``lines`` are those of the manifest, in order, with ``size`` bytes; ``skipped`` is what
    was not taken, ``folders`` what each folder came to, by path, but for those with what was
    ``unreadable``, which may be whole in another repository.
    """

    def __init__(  # noqa: PLR0913 - what is read, from where and to where
        self,
        options: TreeOptions,
        objects: Objects,
        reader: TreeReader,
        sink: Sink,
        *,
        blobs: GitBlobs,
        known: tuple[KnownTree, bytes] | None = None,
        use_blobs: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.lines: list[bytes] = []
        self.size = self.files = self.bytes = self.unreadable = 0
        self.skipped: list[SkippedFile] = []
        self.folders: list[KnownFolder] = []
        self._options = options
        self._selection = options.selection
        self._is_part = self._selection != EVERYTHING
        self._objects = objects
        self._reader = reader
        self._sink = sink
        self._blobs = blobs
        self._use_blobs = use_blobs
        self._known = KnownFolders(*known) if known else None
        self._progress = progress
        self._left = _MOST_LISTED

    def root(self, tree: bytes) -> tuple[bytes, _Place] | None:
        """Return the tree below the prefix, and what holds there; None where it has no folder of
        that path.
        """
        attributes, context = AttributeRules(), b""
        names = self._options.prefix.split(b"/") if self._options.prefix else []
        for depth, name in enumerate(names):
            entries = {entry.name: entry for entry in self._reader.entries(tree, b"")}
            attributes, context = self._with_attributes(
                attributes, context, b"/".join(names[:depth]), entries
            )
            found = entries.get(name)
            if found is None or found.kind != FOLDER:
                return None
            tree = found.object
        chosen = self._selection
        return tree, _Place(
            b"",
            (),
            attributes,
            context,
            is_taken=chosen.is_named(b""),
            is_included=not chosen.include,
            depth=0,
        )

    def take(self, tree: bytes, place: _Place) -> int:
        """Take a folder with all that is in it; return what it came to."""
        key = (tree + place.context).hex()
        if self._known and (found := self._known.folder(place.path, key)):
            return self._reuse(found)
        start = (self.size, self.files, self.bytes, len(self.skipped))
        unreadable = self.unreadable
        entries = self._reader.entries(tree, place.path)
        by_name = {entry.name: entry for entry in reversed(entries)}
        if place.path and self._is_store(by_name, place.path):
            self._skip(place.path, STORE)
            return _KEPT
        place = self._with_own_files(place, by_name)
        kept = unmatched = False
        seen: set[bytes] = set()
        for entry in entries:
            if not (place.is_taken or self._selection.leads_to_named(place.inner(entry.name))):
                continue
            state = self._entry(place, entry, seen)
            kept, unmatched = kept or state == _KEPT, unmatched or state == _UNMATCHED
        state = _KEPT if kept else _UNMATCHED if unmatched else _EMPTY
        if state == _UNMATCHED and place.path and place.is_taken:
            del self.skipped[start[3] :]
            self._skip(place.path, NOT_INCLUDED)
        if self.unreadable == unreadable:
            self._note(place.path, key, start, state)
        return state

    def _entry(self, place: _Place, entry: Entry, seen: set[bytes]) -> int:
        """Take one entry of a folder, or list it as skipped."""
        path, kind = place.inner(entry.name), entry.kind
        is_folder = kind in (FOLDER, SUBMODULE)
        reason = self._reader.unfit(entry, path, seen)
        seen.add(entry.name)
        if reason is None:
            reason = self._left_out(place, path, is_folder=is_folder)
            if reason and kind == FOLDER and self._is_store_tree(entry.object, path):
                reason = STORE
        if reason is None and kind == SUBMODULE:
            reason = SUBMODULE_REASON
        if reason is None and kind == FOLDER and place.depth >= _DEEPEST:
            reason = TOO_DEEP
        if reason is not None:
            self._skip(path, reason)
            return _UNMATCHED if reason is NOT_INCLUDED else _KEPT
        if kind == FOLDER:
            return self.take(entry.object, self._inner(place, path))
        self._take_file(place, entry, path)
        return _KEPT

    def _take_file(self, place: _Place, entry: Entry, path: bytes) -> None:
        mode, conversion = SYMLINK_MODE, NO_CONVERSION
        try:
            if entry.kind == FILE:
                mode = EXECUTABLE_MODE if entry.is_executable else FILE_MODE
                conversion = self._conversion(place, path)
            found = self._content(entry.object, conversion, path)
        except ConversionError as error:
            self._skip(path, str(error))
            return
        text = path.decode("utf-8", "surrogateescape")
        record = {"mode": mode, "object": found.digest, "path": text, "size": found.size}
        self._add(canonical_json(record) + b"\n", 1, found.size)

    def _conversion(self, place: _Place, path: bytes) -> Conversion:
        if place.attributes.is_beyond:
            raise ConversionError("a .gitattributes that is too large, or with too many macros")
        return conversion_of(place.attributes.of(self._in_repository(path)))

    def _content(self, name: bytes, conversion: Conversion, path: bytes) -> KnownBlob:
        """Return digest and size of what a checkout writes, given to the sink;
        `ConversionError` with the reason where it is not to be had.
        """
        if conversion == NO_CONVERSION and self._use_blobs:
            known = self._blobs.get(name)
            if known is not None:
                self._check_size(known.size)
                if self._sink.has(known.digest):
                    return known
        stream = self._objects.stream(name)
        if stream is None or stream.type != b"blob":
            if stream is None and not self._objects.has(name):
                raise missing_in_tree(path)
            raise self._damaged()
        try:
            if conversion != NO_CONVERSION:
                if stream.size > LARGEST_CONVERTED:
                    raise ConversionError("too large to be converted as its attributes say")
                data = conversion.apply(b"".join(stream.portions), name)
                self._check_size(len(data))
                return KnownBlob(*self._sink.put(data))
            self._check_size(stream.size)
            if stream.size > _STREAM_ABOVE_BYTES:
                found = KnownBlob(*self._sink.put_stream(stream.portions))
            else:
                found = KnownBlob(*self._sink.put(b"".join(stream.portions)))
        except ConversionError:
            raise
        except (OSError, ValueError):
            raise self._damaged() from None
        self._blobs.add(name, found)
        return found

    def _damaged(self) -> ConversionError:
        self.unreadable += 1
        return ConversionError(UNREADABLE_OBJECT)

    def _check_size(self, size: int) -> None:
        if self._options.max_bytes is not None and size > self._options.max_bytes:
            raise ConversionError(f"{TOO_LARGE} {self._options.max_bytes} bytes")

    def _add(self, lines: bytes, files: int, size: int) -> None:
        self.lines.append(lines)
        self._account(len(lines))
        self.size += len(lines)
        self.files += files
        self.bytes += size
        check()
        if self._progress is not None:
            self._progress(self.files, self.bytes)

    def _skip(self, path: bytes, reason: str) -> None:
        self._account(len(path) + _SKIPPED_BYTES)
        self.skipped.append(SkippedFile(path.decode("utf-8", "surrogateescape"), reason))

    def _account(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise UsageError(f"a tree of git with more than {_MOST_LISTED:,} bytes of paths")

    def _note(self, path: bytes, key: str, start: tuple[int, int, int, int], state: int) -> None:
        text = path.decode("utf-8", "surrogateescape")
        files, size = self.files - start[1], self.bytes - start[2]
        self.folders.append(KnownFolder(text, key, start[0], self.size, files, size, state))

    def _reuse(self, found: KnownFolder) -> int:
        known, shift = self._known, self.size - found.start
        assert known is not None  # noqa: S101 - it has found this
        for inner in known.below(found.path):
            self.folders.append(inner._replace(start=inner.start + shift, end=inner.end + shift))
        self.skipped += known.skipped_below(found)
        self._add(known.manifest[found.start : found.end], found.files, found.bytes)
        return found.state

    def _in_repository(self, path: bytes) -> bytes:
        prefix = self._options.prefix
        return prefix + b"/" + path if prefix and path else prefix or path

    def _left_out(self, place: _Place, path: bytes, *, is_folder: bool) -> str | None:
        """Return why ignore files or patterns leave something out."""
        chosen, reason = self._selection, None
        if self._options.ignore and not (self._is_part and chosen.leads_to_named(path)):
            reason = IGNORED if is_ignored(place.rules, path, is_folder=is_folder) else None
        if self._is_part:
            if chosen.excludes(path, is_folder=is_folder):
                return EXCLUDED
            if not (is_folder or place.is_included or chosen.includes(path, is_folder=False)):
                return reason or NOT_INCLUDED
        return reason

    def _inner(self, place: _Place, path: bytes) -> _Place:
        chosen = self._selection
        return place._replace(
            path=path,
            is_taken=place.is_taken or chosen.is_named(path),
            is_included=place.is_included or chosen.includes(path, is_folder=True),
            depth=place.depth + 1,
        )

    def _with_own_files(self, place: _Place, entries: Mapping[bytes, Entry]) -> _Place:
        """Return the folder with what its own ignore file and its own attributes add."""
        attributes, context = self._with_attributes(
            place.attributes, place.context, self._in_repository(place.path), entries
        )
        rules, own = place.rules, entries.get(OWN_IGNORE_FILE)
        if self._options.ignore and own is not None and own.kind == FILE:
            path = place.inner(own.name)
            text = self._reader.text(own, path, LARGEST_RULES)
            with suppress(ConversionError):  # the file itself is listed as skipped
                inner = place._replace(attributes=attributes)
                text = text and self._conversion(inner, path).apply(text, own.object)
            rules = with_rules(rules, FolderRules(place.path, text) if text else None)
            context = _context(b"ignore", context, own, self._in_repository(place.path))
        return place._replace(rules=rules, attributes=attributes, context=context)

    def _with_attributes(
        self, rules: AttributeRules, context: bytes, folder: bytes, entries: Mapping[bytes, Entry]
    ) -> tuple[AttributeRules, bytes]:
        own = entries.get(ATTRIBUTES_FILE)
        if own is None or own.kind not in (FILE, LINK):
            return rules, context
        # Git reads it from the objects, too, of a link what that leads to.
        path = folder + b"/" + own.name if folder else own.name
        found = rules.with_file(folder, self._reader.text(own, path, LARGEST_RULES))
        return found, _context(b"attributes", context, own, folder)

    def _is_store_tree(self, tree: bytes, path: bytes) -> bool:
        return self._is_store({e.name: e for e in self._reader.entries(tree, path)}, path)

    def _is_store(self, entries: Mapping[bytes, Entry], path: bytes) -> bool:
        mark = entries.get(_STORE_MARK)
        if mark is None or mark.kind != FILE:
            return False
        data = self._reader.text(mark, path + b"/" + mark.name, _LARGEST_MARK)
        return data is not None and is_store_document(data)


def _context(kind: bytes, around: bytes, own: Entry, folder: bytes) -> bytes:
    """Return what tells the rules of a file from others. They are relative to its folder."""
    return hashlib.sha256(b"\0".join((kind, around, own.object, folder))).digest()
