"""The diff that a program prints, taken apart by file."""

from __future__ import annotations

import pytest

from codebatch.tasks.tools.outputs.changes import (
    PatchMisfitError,
    apply_diff,
    diff_bytes,
    patches_of_diff,
)

HUNK = b"@@ -1 +1 @@\n-a\n+b\n"
NAMES = {
    "plain": (b"--- x.py\n+++ x.py\n", "x.py"),
    "as git": (
        b"diff --git a/d/x.py b/d/x.py\nindex 1..2 100644\n--- a/d/x.py\n+++ b/d/x.py\n",
        "d/x.py",
    ),
    "in words": (b"--- before/d/x.py\n+++ after/d/x.py\n", "d/x.py"),
    "renamed": (b"--- d/x.py\n+++ d/y.py\n", "d/y.py"),
    "in a folder a": (b"--- a/x.py\n+++ a/x.py\n", "a/x.py"),
    "with times": (b"--- x y.py\t2026-01-02\n+++ x y.py\t2026-01-03\n", "x y.py"),
    "of the original": (b"diff x.go.orig x.go\n--- x.go.orig\n+++ x.go\n", "x.go"),
    "quoted": (b'--- "a/\\303\\251\\".py"\n+++ "b/\\303\\251\\".py"\n', 'é".py'),
    "with returns": (b"--- x.py\r\n+++ x.py\r\n", "x.py"),
    "no text": (b"--- \xff.py\n+++ \xff.py\n", "\udcff.py"),
    "new": (b"--- /dev/null\n+++ b/x.py\n", "x.py"),
    "gone": (b"--- a/x.py\n+++ /dev/null\n", "x.py"),
}


@pytest.mark.parametrize(("head", "name"), NAMES.values(), ids=NAMES)
def test_the_name_of_a_file(head: bytes, name: str) -> None:
    assert [*patches_of_diff(head + HUNK)] == [(name, HUNK)]


def test_several_files_among_other_words() -> None:
    said = b"would reformat x.py\n--- x.py\n+++ x.py\n%b\n--- y.py\n+++ y.py\n%bAll done!\n"
    assert [*patches_of_diff(said % (HUNK, HUNK))] == [("x.py", HUNK), ("y.py", HUNK)]
    assert [*patches_of_diff(b"nothing to do\n--- \n")] == []


def test_lines_that_look_like_the_next_file() -> None:
    before, after = b"-- a\n-- b\n@@ c\n", b"++ a\n++ b\n@@ c\n"
    diff = diff_bytes(before, after, "x.sql")
    assert b"--- a\n--- b\n+++ a\n+++ b\n" in diff
    (found,) = patches_of_diff(diff)
    assert found[0] == "x.sql"
    assert apply_diff(before, found[1]) == after


def test_a_diff_that_breaks_off() -> None:
    with pytest.raises(PatchMisfitError):
        [*patches_of_diff(b"--- x\n+++ x\n@@ -1,2 +1,2 @@\n-a\n")]


def test_equal_contents_have_no_diff() -> None:
    assert diff_bytes(b"a", b"a", "x") == b""
