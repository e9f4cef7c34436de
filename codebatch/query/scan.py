"""Find the records that a filter wants among the lines of a shard, parsing few others.

Lines are canonical JSON. A quote inside a string is escaped there, so ``"kind":"metric"`` in a
line is that key with that value, at the top or in an inner object: a line without it cannot
match, one with it may. What is left is parsed and asked again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from codebatch.model.checks import check_record
from codebatch.model.digest import canonical_json
from codebatch.model.errors import StoreDamagedError
from codebatch.model.records import Record
from codebatch.query.filters import RecordFilter

_PATH = '"path":"'
_decode = json.JSONDecoder().raw_decode


def matching(data: bytes, filters: RecordFilter) -> Iterator[Record]:
    """The records that fulfil every condition but the language; `StoreDamagedError` where a line
    that may be one is none.
    """
    try:
        for line in _candidates(data.decode().split("\n"), filters):
            record, end = _decode(line)
            if end != len(line):
                raise ValueError("one record is a line")
            if filters.matches(check_record(record)):
                yield record
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StoreDamagedError(f"an index line is not what the format says: {error}") from error


def _candidates(lines: list[str], filters: RecordFilter) -> list[str]:
    """The lines in which all is that the conditions ask for."""
    found = list(filter(None, lines))
    for field, values in filters.wanted.items():
        texts = [_text_of(field, value) for value in sorted(values)]
        if len(texts) == 1:
            text = texts[0]
            found = [line for line in found if text in line]
        else:
            found = [line for line in found if any(text in line for text in texts)]
    return found if filters.path is None else list(filter(_path_test(filters), found))


def _text_of(field: str, value: str) -> str:
    return canonical_json({field: value})[1:-1].decode()


def _path_test(filters: RecordFilter) -> Callable[[str], bool]:
    """Whether the path of a line may fit; lines of one path follow one another."""
    last, fits = "", False

    def test(line: str) -> bool:
        nonlocal last, fits
        begin = line.find(_PATH) + len(_PATH)
        path = line[begin : line.find('"', begin)]
        if "\\" in path or line.find(_PATH, begin) != -1:
            return True  # spelled with escapes, or one of two: to be parsed
        if path != last:
            last, fits = path, filters.matches_path(path)
        return fits

    return test
