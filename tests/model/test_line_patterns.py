"""Patterns of lines: what matches is right, and what a scan writes matches."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from conftest import Scanned, read_outputs

from codebatch.model.checks import REQUIRED, check_record
from codebatch.model.digest import canonical_json
from codebatch.model.line_patterns import lines_pattern

ALL = lines_pattern(REQUIRED)
TEXTS = ("", "a", 'q"\\', "\t\n", "é\u2028", "\udc80", "/", '","path":"x')


def lines_of(scanned: Scanned) -> Iterator[bytes]:
    for path in sorted(scanned.path.glob("batches/*/tasks/*/shards/*/outputs.index.jsonl.zst")):
        yield from read_outputs(path).splitlines(keepends=True)


def made() -> Iterator[bytes]:
    """Lines of each kind with texts that have to be escaped."""
    for text in TEXTS:
        for value in (text, -1, 0, 10**17, 1.5):
            yield canonical_json({"kind": "metric", "path": "a", "metric": text, "value": value})
        yield canonical_json({"kind": "skip", "path": f"p{text}", "reason": text})
        edge = {"kind": "edge", "path": "a", "edge_type": text, "target": text, "line": 1}
        yield canonical_json(edge)
        yield canonical_json({**edge, "alias": text, "name": text})


def is_text(line: bytes) -> bool:
    try:
        return line.decode().count("\n") == 1
    except UnicodeDecodeError:
        return False


def test_lines_that_are_written_match(scanned: Scanned) -> None:
    assert ALL
    lines = [*lines_of(scanned), *(line + b"\n" for line in made())]
    assert len(lines) > 100
    for line in lines:
        match = ALL.fullmatch(line)
        assert match, line
        assert json.loads(match[1]) == json.loads(line)["path"]


def test_lines_that_match_are_right(scanned: Scanned) -> None:
    """Whatever happens to the bytes of a line: what still matches has the fields of its kind."""
    assert ALL
    chance = random.Random(7)
    lines = [*lines_of(scanned), *(line + b"\n" for line in made())]
    letters = [bytes([one]) for one in b'"\\,:{}019-.eudtrx\0\x1f\n'] + [b"", b"\xff", b"00", b'""']
    matching = 0
    for _ in range(20_000):
        line = chance.choice(lines)
        at = chance.randrange(len(line))
        changed = line[:at] + chance.choice(letters) + line[at + chance.randint(0, 1) :]
        match = ALL.fullmatch(changed)
        if match is None or not is_text(changed):
            continue
        matching += 1
        pairs = json.loads(changed, object_pairs_hook=list)
        assert len(dict(pairs)) == len(pairs)
        check_record(dict(pairs) | {"path": "a"})
    assert matching > 1_000


def test_kinds_of_tasks_have_no_pattern() -> None:
    assert lines_pattern(["symbol", "todo"]) is None
