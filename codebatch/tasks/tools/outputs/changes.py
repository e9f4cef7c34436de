r"""What a program says that it would change: a unified diff of several files, taken apart.

    --- pkg/cart.py<TAB>2026-01-02 03:04:05
    +++ pkg/cart.py<TAB>2026-01-02 03:04:06
    @@ -1 +1 @@

Around the diffs may stand whatever a program likes to say. A name that git has quoted is read as
such, folders that alone tell the two names apart are dropped, as ``a/`` and ``b/``, and a file that
comes or goes has the name that is not ``/dev/null``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from codebatch.model.unified import (
    PatchMisfitError,
    apply_diff,
    diff_hunks,
    file_header,
    normal_form,
    read_hunk,
    split_lines,
    unquoted,
)

__all__ = ["PatchMisfitError", "apply_diff", "diff_bytes", "patches_of_diff"]

_NOTHING = b"/dev/null"


def diff_bytes(before: bytes, after: bytes, path: str) -> bytes:
    """Return the diff of a file between two contents, with its name; b"" where they are equal."""
    hunks = diff_hunks(before, after)
    return file_header(os.fsencode(path)) + hunks if hunks else b""


def patches_of_diff(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the path of each file in a diff, as the program names it, with the hunks of it;
    `PatchMisfitError` where the diff is broken.
    """
    lines, at = split_lines(data), 0
    while at < len(lines):
        names = lines[at : at + 3]
        is_file = (
            len(names) == 3
            and names[0].startswith(b"--- ")
            and names[1].startswith(b"+++ ")
            and names[2].startswith(b"@@ ")
        )
        if not is_file:
            at += 1
            continue
        hunks, at = [], at + 2
        while at < len(lines) and lines[at].startswith(b"@@ "):
            hunk, at = read_hunk(lines, at)
            hunks.append(hunk)
        yield _name(names[0][4:], names[1][4:]), normal_form(hunks)


def _name(old: bytes, new: bytes) -> str:
    """Return the name of the file that the two lines above its hunks name."""
    before, after = map(_path_in, (old, new))
    old_head, _, old_rest = before.partition(b"/")
    head, _, rest = after.partition(b"/")
    if rest and rest == old_rest and head and head != old_head:
        return os.fsdecode(rest)
    if after == _NOTHING:
        return os.fsdecode(before.removeprefix(b"a/"))
    return os.fsdecode(after.removeprefix(b"b/") if before == _NOTHING else after)


def _path_in(line: bytes) -> bytes:
    """Return the path in what stands behind ``---``: up to a tab, or as git quotes it."""
    text = line.rstrip(b"\r\n")
    return unquoted(text) if text.startswith(b'"') else text.partition(b"\t")[0]
