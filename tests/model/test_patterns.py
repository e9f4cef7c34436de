"""Patterns for paths, said of another folder than that which they are relative to."""

from __future__ import annotations

import pytest

from codebatch.model.patterns import PathPattern, rebased


@pytest.mark.parametrize(
    ("pattern", "root", "found"),
    [
        ("*.py", "/p", ["*.py"]),
        ("*.py", "/p/src", ["/**/*.py"]),
        ("/src/gen/", "/p/src", ["/gen/"]),
        ("src/gen/*.py", "/p/src", ["/gen/*.py"]),
        ("s*/a", "/p/src", ["/a"]),
        ("/src/", "/p/src", ["*"]),
        ("!/src/", "/p/src", ["!*"]),
        ("/src/**", "/p/src", ["/**"]),
        ("/docs/", "/p/src", []),
        ("src", "/p/src", ["/**/src", "*"]),
        ("**/src/a", "/p/src", ["/**/src/a", "/a"]),
        ("a/**/b", "/p/a/x", ["/**/b"]),
        ("/a/", "/", ["/p/a/"]),
        ("!a.py", "/", ["!/p/**/a.py"]),
        ("/a.py", "/elsewhere", ["/a.py"]),
    ],
)
def test_patterns_of_another_folder(pattern: str, root: str, found: list[str]) -> None:
    assert rebased([pattern], "/p", root) == found


def test_names_of_folders_are_no_patterns() -> None:
    (pattern,) = rebased(["/*.py"], "/top/[a]*", "/top")
    assert PathPattern(pattern).matches("[a]*/x.py")
    assert not PathPattern(pattern).matches("ab/x.py")


def test_many_stars_take_no_longer_than_they_are() -> None:
    way = "/".join(["a"] * 40)
    found = rebased(["**/a/" * 200 + "x"], "/", f"/{way}")
    assert 0 < len(found) <= 401
