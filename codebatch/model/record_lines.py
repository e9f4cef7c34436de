"""The records of one file as lines of canonical JSON, with the path left open.

What a task yields about a file does not depend on the file's path, so its lines are kept without
one: a NUL byte, which canonical JSON never holds, stands where each record's path belongs, and
`fill_path` puts any path there.

In files and messages such lines are an *entry*, ``[key, lines, counts, objects, batch]``: the 32
bytes of the key; the lines; ``[records, by_kind, by_severity, by_code, by_skip_reason]``; the 32
bytes of each object that the lines refer to; and the id of the batch that computed them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, starmap
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, NamedTuple

from codebatch.model.digest import DIGEST_PREFIX, canonical_json, digest_bytes
from codebatch.model.records import Counts, Record

Entry = tuple[Any, ...]

_OPEN = b"\0"


@dataclass
class FileLines:
    """The lines that one task yields about one file, with the path open. Never changed, though to
    have that checked takes too long: there are several for each file.

    ``objects`` are the digests of what the lines refer to, ``batch_id`` names the batch that
    computed them.
    """

    lines: bytes
    counts: Counts
    objects: tuple[str, ...] = ()
    batch_id: str = ""

    @cached_property
    def digest(self) -> str:
        """Digest of the lines: what the keys of later tasks cover."""
        return digest_bytes(self.lines)


class _Form(NamedTuple):
    """The written form of records of one kind and set of keys: a template, its values in order, and
    for each of these what writes it, by the types that were found to fit. To have each record
    written as JSON takes 4 % of the processor time of a scan of Django.
    """

    template: str
    values: Callable[[Record], tuple[Any, ...]]
    writers: tuple[dict[type, Callable[[Any], str]], ...]
    names: tuple[str, ...]
    kinds: dict[object, str]


# Values of exactly these types; any other is written by `canonical_json`.
_WRITERS: Mapping[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    bool: {False: "false", True: "true"}.__getitem__,
    type(None): lambda _: "null",
}
_MOST_FORMS = 1024


class LineWriter:
    """Writes records as lines. ``check`` is given a record of each kind and set of keys whose
    fields have types that it has not seen, and raises where such a one is not to be written.

    State: ``_forms`` has the form of each kind and set of keys.
    """

    def __init__(self, check: Callable[[Record], None] = lambda _: None) -> None:
        self._check = check
        self._forms: dict[tuple[object, ...], _Form] = {}

    def lines(self, records: Iterable[Record]) -> bytes:
        """One line a record, path open; b"" for no records."""
        lines: list[str] = []
        for names, alike in groupby(records, tuple):
            rows = [*alike]
            form = self._forms.get(names) or self._new_form(rows[0])
            try:
                columns = zip(form.writers, zip(*map(form.values, rows)))  # noqa: B905
                texts = [*zip(*starmap(_texts, columns))]  # noqa: B905
            except KeyError:
                texts = [tuple(self._texts(form, record)) for record in rows]
            lines += map(form.template.__mod__, texts)
        return "".join(lines).encode("utf-8", "backslashreplace")

    def _new_form(self, record: Record) -> _Form:
        if len(self._forms) >= _MOST_FORMS:
            self._forms.clear()
        form = self._forms[tuple(record)] = _form_of(record)
        return form

    def _texts(self, form: _Form, record: Record) -> list[str]:
        """Return the texts of the values of a record, which may be the first one with such."""
        with contextlib.suppress(KeyError):
            return [w[type(v)](v) for w, v in zip(form.writers, form.values(record), strict=True)]
        self._check(record)
        for name, writer in zip(form.names, form.writers, strict=True):
            value = record[name]
            if name == "kind" and type(value) is str:
                form.kinds[value] = _text_of(value)
            else:
                writer.setdefault(type(value), _WRITERS.get(type(value), _text_of))
        return [w[type(v)](v) for w, v in zip(form.writers, form.values(record), strict=True)]


def _texts(writer: dict[type, Callable[[Any], str]], column: Sequence[object]) -> list[str]:
    """Return the texts of the values of one field of several records."""
    types = {*map(type, column)}
    if len(types) == 1:
        return [*map(writer[types.pop()], column)]
    return [writer[type(value)](value) for value in column]


def _form_of(record: Record) -> _Form:
    names = sorted({*record, "path"})
    fields = (
        encode_basestring(name).replace("%", "%%") + (":\0" if name == "path" else ":%s")
        for name in names
    )
    taken = [name for name in names if name != "path"]
    values = itemgetter(*taken) if len(taken) > 1 else lambda record: (record[taken[0]],)
    kinds: dict[object, str] = {}
    writers: list[dict[type, Callable[[Any], str]]] = [
        dict.fromkeys((str,), kinds.__getitem__) if name == "kind" else {} for name in taken
    ]
    return _Form("{" + ",".join(fields) + "}\n", values, tuple(writers), tuple(taken), kinds)


def _text_of(value: object) -> str:
    return canonical_json(value).decode()


encode_lines = LineWriter().lines


def fill_path(lines: bytes, path: str) -> bytes:
    """The lines as they stand in an index, each with the path."""
    return lines.replace(_OPEN, canonical_json(path))


def open_path(lines: bytes) -> bytes:
    """The inverse of `fill_path`: lines as they stand in an index, with the path open."""
    return encode_lines(_without_path(lines))


def decode_lines(lines: bytes) -> list[Record]:
    """The records in lines whose path is open, without a path."""
    return _without_path(lines.replace(_OPEN, b"0"))


def count_lines_of(outputs: bytes) -> Counts:
    """Return the counts of lines as they stand in an index."""
    return Counts.of(_parsed(outputs))


def _parsed(lines: bytes) -> list[Record]:
    """Return records, which are read as one array: there may be thousands."""
    records: list[Record] = json.loads(b"[%b]" % b",".join(lines.splitlines()))
    return records


def _without_path(lines: bytes) -> list[Record]:
    records = _parsed(lines)
    for record in records:
        del record["path"]
    return records


def to_entry(key: str, result: FileLines) -> Entry:
    """A result under its key as an entry."""
    counts = tuple(vars(result.counts).values())
    objects = [entry_key(digest) for digest in result.objects]
    return entry_key(key), result.lines, counts, objects, result.batch_id


def from_entry(entry: Entry) -> FileLines:
    """The result in an entry."""
    _, lines, counts, objects, batch_id = entry
    digests = tuple(DIGEST_PREFIX + digest.hex() for digest in objects)
    return FileLines(lines, Counts(*counts), digests, batch_id)


def entry_key(key: str) -> bytes:
    """The key of a result as an entry has it."""
    return bytes.fromhex(key[len(DIGEST_PREFIX) :])


def key_of(entry: Entry) -> str:
    """The key of an entry."""
    return DIGEST_PREFIX + str(entry[0].hex())


def is_entry(value: object) -> bool:
    """Return whether a value is an entry and its counts are right."""
    if type(value) is not tuple or len(value) != 5:
        return False
    key, lines, counts, objects, batch_id = value
    return (
        _is_digest(key)
        and type(lines) is bytes
        and (not lines or lines.endswith(b"\n"))
        and _are_counts(counts)
        and counts[0] == sum(counts[1].values()) == lines.count(b"\n") == lines.count(_OPEN)
        and type(objects) is tuple
        and (not objects or all(map(_is_digest, objects)))
        and type(batch_id) is str
    )


def _is_digest(value: object) -> bool:
    return type(value) is bytes and len(value) == 32


def _are_counts(counts: object) -> bool:
    if type(counts) is not tuple or len(counts) != 5 or type(counts[0]) is not int:
        return False
    for tally in counts[1:]:
        if type(tally) is not dict:
            return False
        for name, number in tally.items() if tally else ():  # most are empty
            if type(name) is not str or type(number) is not int or number < 0:
                return False
    return True
