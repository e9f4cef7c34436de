"""Results as plain values: the lines of a task on a file under their key, for files and messages.

An entry is ``[key, lines, counts, objects, batch]``: the 32 bytes of the key; lines with the path
open (a NUL byte, see `model.record_lines`); ``[records, by_kind, by_severity, by_code,
by_skip_reason]``; the 32 bytes of each object that the lines refer to; and the id of the batch
that computed them.
"""

from __future__ import annotations

import hashlib
from typing import Any

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.record_lines import FileLines
from codebatch.model.records import Counts

Entry = tuple[Any, ...]


def to_entry(key: str, result: FileLines) -> Entry:
    """A result under its key as an entry."""
    counts = result.counts
    return (
        entry_key(key),
        result.lines,
        (
            counts.records,
            dict(counts.by_kind),
            dict(counts.by_severity),
            dict(counts.by_code),
            dict(counts.by_skip_reason),
        ),
        [bytes.fromhex(digest[len(DIGEST_PREFIX) :]) for digest in result.objects],
        result.batch_id,
    )


def from_entry(entry: Entry) -> FileLines:
    """The result in an entry."""
    _, lines, (records, *tallies), objects, batch_id = entry
    return FileLines(
        lines=lines,
        counts=Counts(records, *tallies),
        objects=tuple(DIGEST_PREFIX + digest.hex() for digest in objects),
        batch_id=batch_id,
    )


def entry_key(key: str) -> bytes:
    """The key of a result as an entry has it."""
    return bytes.fromhex(key[len(DIGEST_PREFIX) :])


def key_of(entry: Entry) -> str:
    """The key of an entry."""
    return DIGEST_PREFIX + str(entry[0].hex())


def has_key(value: object) -> bool:
    """Return whether a value has the form of an entry and a key; the rest is not checked."""
    return isinstance(value, tuple) and len(value) == 5 and _is_digest(value[0])


def is_entry(entry: Entry) -> bool:
    """Return whether a value that `has_key` is a whole entry and its counts are right."""
    _, lines, counts, objects, batch_id = entry
    return (
        isinstance(lines, bytes)
        and (not lines or lines.endswith(b"\n"))
        and _are_counts(counts)
        and counts[0] == sum(counts[1].values()) == lines.count(b"\n") == lines.count(b"\0")
        and isinstance(objects, tuple)
        and all(map(_is_digest, objects))
        and isinstance(batch_id, str)
    )


def _is_digest(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == hashlib.sha256().digest_size


def _are_counts(counts: object) -> bool:
    if not (isinstance(counts, tuple) and len(counts) == 5 and type(counts[0]) is int):
        return False
    for tally in counts[1:]:
        if type(tally) is not dict:
            return False
        for name, number in tally.items():
            if type(name) is not str or type(number) is not int or number < 0:
                return False
    return True
