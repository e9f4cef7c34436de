"""Diagnostics as records, with fingerprints that survive unrelated edits.

A fingerprint is 16 hex digits of the digest over the code, the text of the line with its white
space folded, and how many findings of the same code and text stand above it in the file. Line
numbers are not in it, so inserting lines elsewhere leaves it as it is; neither is the path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from codebatch.model.digest import DIGEST_PREFIX, numbered_digests
from codebatch.model.records import Record
from codebatch.tasks.rules import RULES

_FINGERPRINT_DIGITS = 16


class Finding(NamedTuple):
    """One finding of a rule; ``rule`` is the name the tool that found it gives the rule."""

    line: int
    column: int
    code: str
    rule: str
    severity: str
    message: str


def diagnostic_records(findings: Iterable[Finding], lines: Sequence[str]) -> Iterator[Record]:
    """The findings of one file as records, ordered by place and code."""
    seen: Counter[tuple[str, str]] = Counter()
    for number, some in groupby(sorted(findings), key=attrgetter("line")):
        # Once a line: a file may be one line, and have thousands of findings there.
        text = " ".join(lines[number - 1].split()) if number <= len(lines) else ""
        digests: dict[str, Callable[[int], str]] = {}
        for finding in some:
            code = finding.code
            if code not in digests:
                digests[code] = numbered_digests("finding", [code, text])
            digest = digests[code](seen[code, text])
            seen[code, text] += 1
            yield _record(finding, digest[len(DIGEST_PREFIX) :][:_FINGERPRINT_DIGITS])


def _record(finding: Finding, fingerprint: str) -> Record:
    return {"kind": "diagnostic", **finding._asdict(), "fingerprint": fingerprint}


def failure_record(code: str, message: str) -> Record:
    """The record of a file on which a task failed: it is about the file, not a place in it."""
    rule = RULES[code]
    (record,) = diagnostic_records([Finding(1, 1, code, rule.name, rule.severity, message)], ())
    return record
