"""Batches that reports are made of: hostile ones, and large ones.

A script of the page could be reached by a name of a file, a message, a line of source, a rule, or a
record of a kind of a task's own. Each of these has `HOSTILE` texts, and each of them sets the
variable `CANARY` of the page if any browser takes it for more than text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conftest import write_tree

import codebatch

CANARY = "injected"
HOSTILE = (
    f"</script><script>window.{CANARY}=1</script>",
    f"<!--<script>window.{CANARY}=1",
    f"\"'><img src=x onerror=window.{CANARY}=1>",
    f"<svg onload=window.{CANARY}=1>",
    "{{ 7 * 7 }}{% raw %}",
    "</style><style>*{display:none}",
    "&lt;b&gt;\u2028\u2029\u202egnp.exe",
    f"javascript:window.{CANARY}=1",
    "`${1}`\\u003c\\",
    "two\nlines\ttab\r",
)
_LINKS = ("https://a.test/%3Cscript%3E?x=1&y='2'", None, "https://a.test/x")
RULES = [
    codebatch.Rule(f"X{number}", text, help=text, link=_LINKS[number % len(_LINKS)])
    for number, text in enumerate(HOSTILE)
]


@dataclass
class Note:
    """A kind of its own."""

    kind = "note"
    line: int
    text: str
    items: list[str]
    share: float | None = None
    zero: int = 0
    unknown: int | None = None


@codebatch.task(version=1, records=[codebatch.Diagnostic, codebatch.Metric, Note], rules=RULES)
def remarks(file: codebatch.File) -> Iterator[codebatch.Diagnostic | Note | codebatch.Metric]:
    """Findings, notes and metrics of what each line says."""
    for number, text in enumerate(file.text.split("\0"), 1):
        severity = ("error", "warning", "info")[number % 3]
        yield codebatch.Diagnostic(f"X{(number - 1) % len(HOSTILE)}", severity, 1, text)
        yield Note(number, text, [text, "more"], number / 3)
        yield codebatch.Metric("length", len(text), name=text)


def hostile_tree(root: Path) -> Path:
    """Files with such names, in which such texts are."""
    names = [name.replace("/", "|") for name in HOSTILE] + list(HOSTILE)
    write_tree(root, {f"{name}.py": "\0".join(HOSTILE) for name in names})
    (root / b"bytes \xff\xfe.py".decode("utf-8", "surrogateescape")).write_bytes(b"\xff = '\xfe'\n")
    return root


def hostile_batch(folder: Path) -> codebatch.Batch:
    """A batch of that tree, done."""
    batch, report = codebatch.scan(
        hostile_tree(folder / "tree"),
        folder / "store",
        tasks=[remarks],
        pipeline="full",
        scheduler="sync",
    )
    assert report.status == "done"
    return batch


@codebatch.task(version=1)
def many(file: codebatch.File) -> Iterator[codebatch.Diagnostic]:
    """A finding for each line, of one of 25 codes, with a message of its own."""
    for number, line in enumerate(file.lines, 1):
        severity = ("error", "warning", "info", "info")[number % 4]
        message = f"the name `{line.split(' ')[0]}` is set again, and was never read before"
        yield codebatch.Diagnostic(f"M{number % 25:03}", severity, number, message)


def large_batch(folder: Path, findings: int, files: int = 1000) -> codebatch.Batch:
    """A batch with so many findings, done."""
    per_file = findings // files
    tree = {
        f"package_{file % 40:02}/part_{file % 7}/module_{file:04}.py": "".join(
            f"value_{file}_{line} = compute({line}, other={file})  # a line of usual length\n"
            for line in range(per_file)
        )
        for file in range(files)
    }
    batch, report = codebatch.scan(
        write_tree(folder / "tree", tree),
        folder / "store",
        tasks=[many],
        pipeline="analyze",
        scheduler="sync",
    )
    assert report.status == "done"
    return batch


@codebatch.task(version=1, records=[codebatch.Diagnostic])
def levels(file: codebatch.File) -> Iterator[codebatch.Diagnostic]:
    """A finding in the first line, as severe as the second says; files that say so fail."""
    first, second, *_ = [*file.lines, "", ""]
    if second == "fail":
        raise ValueError(first)
    yield codebatch.Diagnostic("C1", "warning" if second == "worse" else "info", 1, "it is said")
