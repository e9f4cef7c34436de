"""Unified diffs of bytes: what they make, where they apply, and how long that takes."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from codebatch.model.unified import (
    PatchMisfitError,
    apply_diff,
    diff_hunks,
    file_header,
    normal_form,
    read_hunks,
    split_lines,
    unquoted,
)

LINES = [b"a\n", b"b\n", b"\r\n", b"\n", b"x\0\n", b"\xff\n", b"-- q\n", b"@@ z\n", b"a\r\n"]
CHANGES = {
    "a line": (b"a\nb\nc\n", b"a\nB\nc\n"),
    "nothing before": (b"", b"a\nb\n"),
    "nothing after": (b"a\nb\n", b""),
    "no end before": (b"a\nb", b"a\nb\n"),
    "no end after": (b"a\nb\n", b"a\nb"),
    "no end at all": (b"a", b"b"),
    "ends of lines": (b"a\r\nb\r\n", b"a\nb\n"),
    "bytes that are no text": (b"\xff\xfe\0\n\x80", b"\xff\xfe\0\n\x81"),
    "lone returns": (b"a\rb\rc", b"a\rB\rc"),
    "lines like a diff": (b"--- a\n+++ b\n@@ -1 +1 @@\n", b"--- a\n@@ -1 +1 @@\n\\ No\n"),
    "far apart": (
        b"".join(b"%d\n" % n for n in range(50)),
        b"".join(b"%d\n" % n for n in (*range(20), 99, *range(20, 49))),
    ),
}


def edited(chance: random.Random, text: bytes) -> bytes:
    lines = split_lines(text)
    for _ in range(chance.randrange(5)):
        at = chance.randrange(len(lines) + 1)
        lines[at : at + chance.randrange(3)] = [chance.choice(LINES)] * chance.randrange(2)
    inner = [line if line.endswith(b"\n") else line + b"\n" for line in lines[:-1]]
    return b"".join(inner + lines[-1:])


def some_text(chance: random.Random) -> bytes:
    text = b"".join(chance.choice(LINES) for _ in range(chance.randrange(30)))
    return text[:-1] if chance.random() < 0.3 else text


def test_a_diff_makes_one_content_of_the_other() -> None:
    chance = random.Random(3)
    for _ in range(2_000):
        before = some_text(chance)
        after = edited(chance, before) if chance.random() < 0.7 else some_text(chance)
        diff = diff_hunks(before, after)
        assert apply_diff(before, diff) == after
        assert (diff == b"") == (before == after)
        assert normal_form(read_hunks(diff)) == diff


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("program", [["git", "apply", "-p1", "-"], ["patch", "-sp1", "--binary"]])
def test_other_programs_take_a_diff(
    change: tuple[bytes, bytes], program: list[str], tmp_path: Path
) -> None:
    before, after = change
    diff = file_header(b"file") + diff_hunks(before, after)
    (tmp_path / "file").write_bytes(before)
    done = subprocess.run(program, input=diff, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert (tmp_path / "file").read_bytes() == after


def test_a_diff_has_three_lines_around_a_change() -> None:
    before, after = CHANGES["far apart"]
    assert diff_hunks(before, after) == (
        b"@@ -18,6 +18,7 @@\n 17\n 18\n 19\n+99\n 20\n 21\n 22\n"
        b"@@ -47,4 +48,3 @@\n 46\n 47\n 48\n-49\n"
    )


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        (b"@@ -1 +1 @@\n-b\n+c\n", r"line 1 is not 'b\n'"),
        (b"@@ -2,2 +2 @@\n-b\n-c\n+d\n", "line 3 is not"),
        (b"@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n", "line 1 is not 'a'"),
        (b"@@ -9 +9 @@\n-a\n+b\n", "the hunk at line 9 is out of place"),
        (b"@@ -1 +1 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+b\n", "the hunk at line 1 is out of place"),
        (b"@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n", "is not the last one"),
        (b"@@ -1,2 +1 @@\n-a\n", "line 1 of the diff ends too early"),
        (b"@@ -1,2 +1 @@\n-a\n+b\n+c\n+d\n", "has other lines than it says"),
        (b"@@ -1 +1 @@\n-a\n+b\n--- other\n", "line 4 of the diff begins no hunk"),
        (b"@@ -one +1 @@\n", "line 1 of the diff begins no hunk"),
        (b"not a diff\n", "it has no hunks"),
    ],
)
def test_what_does_not_fit_is_refused(diff: bytes, words: str) -> None:
    with pytest.raises(PatchMisfitError) as refused:
        apply_diff(b"a\nb\n", diff)
    assert words in str(refused.value)


def test_what_others_write_is_read() -> None:
    diff = (
        b"Index: a\n--- a\r\n+++ a\r\n@@ -1,3 +1,3 @@ def f():\r\n a\n\n-b\n+c\n"
        b"\\ No newline at end of file\r\n"
    )
    assert apply_diff(b"a\n\nb\n", diff) == b"a\n\nc"
    assert normal_form(read_hunks(diff)).startswith(b"@@ -1,3 +1,3 @@\n a\n \n-b\n")


def numbered(*numbers: int) -> bytes:
    return b"".join(b"%d\n" % number for number in numbers)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a;" * 1_000_000, b"a;" * 1_000_000 + b"b"),
        (b"x\n" * 60_000, b"x\n" * 20_000 + b"y\n" + b"x\n" * 30_000),
        (b"a\nb\nb\n" * 20_000, b"b\na\na\n" * 20_000),
        (numbered(*range(30_000)), numbered(*(n if n % 3 else -n for n in range(30_000)))),
        (numbered(*range(9_000)), numbered(*random.Random(5).sample(range(9_000), 9_000))),
    ],
    ids=["one long line", "equal lines", "two lines", "every third line", "another order"],
)
def test_the_time_is_bounded(before: bytes, after: bytes) -> None:
    began = time.process_time()
    diff = diff_hunks(before, after)
    assert apply_diff(before, diff) == after
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"a b.py", b"a/a b.py"),
        (b'q".py', b'"a/q\\".py"'),
        (b"caf\xc3\xa9", b'"a/caf\\303\\251"'),
        (b"t\t\n\\", b'"a/t\\t\\n\\\\"'),
    ],
)
def test_names_are_quoted_as_git_does(name: bytes, written: bytes) -> None:
    line = file_header(name).splitlines()[1]
    assert line.removeprefix(b"--- ").removesuffix(b"\t") == written
    if written.startswith(b'"'):
        assert unquoted(written) == b"a/" + name


def test_a_quoted_name_has_to_end() -> None:
    with pytest.raises(PatchMisfitError):
        unquoted(b'"a/b')
