"""Findings of ruff over many files in one process, which works while its caller does other things.

Ruff judges a file by its content and by its name (``__init__.py`` and ``.pyi`` are special), and
reads neither configuration nor neighbours here: every source is copied under a name that says its
role and nothing else: a number, which no import can name. What comes back depends on content,
role, rules, and ruff's version and limits alone. Inline ``noqa`` is honoured: of files that have
the word, ruff is asked a second time what it would say without, to know what was suppressed.

Ruff's parser also knows which Python accepts a file that this one rejects: it reads for the oldest
Python that runs this program, and says of newer syntax with which version it came.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from codebatch.tasks.base import ToolCrashedError
from codebatch.tasks.languages.base import NameFinding
from codebatch.tasks.native_tool import NativeTool, ToolError, ToolRun
from codebatch.tasks.rules import TASK_CRASHED
from codebatch.tasks.source import declared_encoding

RUFF = NativeTool("ruff")
RUFF_RULES = {
    "F401": "L101",
    "F841": "L102",
    **dict.fromkeys(("A001", "A002", "A004", "F402"), "L103"),
}

_NAMES = {"init": "{}/__init__.py", "stub": "{}.pyi"}
_MODULE = "{}.py"
_PRIVATE = "_"  # before the number, for rules that ask whether a module is public

# A file of our own among the others: one alone would be read in the first thread, whose stack is
# the caller's to limit; and its fault, which ruff always reports, tells that all was said.
_COMPANY = "company.py"
_NO_PYTHON = b"(\n"

_ARGUMENTS = (
    *("check", "--isolated", "--no-cache", "--quiet", "--exit-zero"),
    *("--no-force-exclude", "--no-respect-gitignore", "--output-format", "json-lines"),
    *("--target-version", "py310"),  # the oldest that runs this program
)

# Levels of a tree. ruff recurses over it, and some rules take a level's time squared. Far
# above what people and generators write: the longest chains of operators and of ``elif`` that are
# met have some thousand links.
DEEPEST = 20_000

_NOQA = b"noqa"  # without which no comment silences ruff
_MARKS = b"([{.:+-*/%@&|^~<>!"
_WORDS = (b"not", b"await", b"if", b"for", b"yield")

# Faults (``invalid-syntax``) are the parse task's to report; rule codes look like F401.
_RULE_CODE = re.compile(r"[A-Z]+[0-9]+")


def may_nest_deeply(content: bytes) -> bool:
    """Return whether a source has enough of what nests to be deeper than `DEEPEST`."""
    if len(content) <= DEEPEST:
        return False
    marks = len(content) - len(content.translate(None, _MARKS))
    return marks + sum(map(content.count, _WORDS)) > DEEPEST


class RuffInput(NamedTuple):
    """A file: its bytes, its role (``init``, ``stub``, anything else being a module), and whether
    it is private.
    """

    content: bytes
    role: str
    is_private: bool = False

    def name(self, number: int) -> str:
        """Return the name under which ruff sees it."""
        numbered = f"{_PRIVATE if self.is_private else ''}{number}"
        return _NAMES.get(self.role, _MODULE).format(numbered)


class RuffRun:
    """Ruff at work on some files. Whoever starts one asks for its findings, or cancels it.

    State: ``_run`` is None where there is nothing to do, ``_again`` is at work on files with noqa.
    """

    def __init__(self, sources: Sequence[RuffInput], rules: Sequence[str]) -> None:
        """Start it with the arguments that name its ``rules``; without any nothing is done."""
        self._count = len(sources)
        files: dict[str, bytes] = {}
        for index, source in enumerate(sources if rules else ()):
            content = _as_utf8(source.content)
            if content is not None:
                files[source.name(index)] = content
        silent = {name: content for name, content in files.items() if _NOQA in content.lower()}
        self._run = _started(files, rules)
        try:
            self._again = _started(silent, [*rules, "--ignore-noqa"])
        except BaseException:
            self.cancel()
            raise

    def findings(self) -> list[list[NameFinding]]:
        """Findings per file, in the files' order, sorted by place, rule and message.

        A file that does not decode, or does not parse, has none.
        """
        findings: list[list[NameFinding]] = [[] for _ in range(self._count)]
        try:
            for index, finding in _findings(self._run):
                findings[index].append(finding)
            heard: dict[int, Counter[NameFinding]] = {}
            for index, finding in _findings(self._again):
                left = heard.setdefault(index, Counter(findings[index]))
                left[finding] -= 1
                if left[finding] < 0:
                    findings[index].append(finding._replace(is_silenced=True))
        finally:
            self.cancel()
        for found in findings:
            found.sort(key=lambda one: (one.line, one.column, one.rule, one.message))
        return findings

    def faults(self) -> Iterator[str]:
        """Yield the reasons for which ruff rejects the files, in messages without places."""
        try:
            for item in _said(self._run):
                if not _is_rule(item["code"]):
                    yield item["message"]
        finally:
            self.cancel()

    def cancel(self) -> None:
        """End ruff, if it has not ended, and let go of the files."""
        for run in (self._run, self._again):
            if run is not None:
                run.cancel()


def _started(files: Mapping[str, bytes], arguments: Sequence[str]) -> ToolRun | None:
    """Return ruff at work on files by their names; None where there are none."""
    if not files:
        return None
    given = {**files, _COMPANY: _NO_PYTHON}
    given["files"] = "\n".join(given).encode()
    return ToolRun(RUFF, [*_ARGUMENTS, *arguments, "@files"], given)


def _findings(run: ToolRun | None) -> Iterator[tuple[int, NameFinding]]:
    """Yield the number of a file and a finding in it."""
    for item in _said(run):
        if _is_rule(item["code"]):
            folder, name = os.path.split(item["filename"])
            index = os.path.basename(folder) if name == "__init__.py" else name.split(".")[0]
            yield int(index.removeprefix(_PRIVATE)), _finding(item)


def _said(run: ToolRun | None) -> Iterator[dict[str, Any]]:
    """All that ruff says of the files, one by one: it may be much."""
    if run is None:
        return
    complete = False
    try:
        with run.output() as said:
            for item in map(json.loads, said):
                if os.path.basename(item["filename"]) == _COMPANY:
                    complete = True
                else:
                    yield item
    except ValueError as error:
        raise ToolError(f"ruff cannot be understood: {error}") from error
    finally:
        run.cancel()
    if not complete:
        raise ToolError("ruff did not say all")


def _as_utf8(content: bytes) -> bytes | None:
    """The source in UTF-8, the only encoding ruff reads; None where it is not text.

    The encoding declaration stays as it is: ruff does not look at it.
    """
    encoding = declared_encoding(content)
    if encoding is None:
        return None
    try:
        text = content.decode(encoding)
        return content if encoding.startswith("utf-8") else text.encode()
    except (ValueError, LookupError):
        return None


def _is_rule(code: str | None) -> bool:
    return code is not None and _RULE_CODE.fullmatch(code) is not None


def _finding(item: dict[str, Any]) -> NameFinding:
    """A finding from ruff's JSON.

    F401's advice after the semicolon depends on whether ruff takes a module for first-party.
    """
    code, message, place = item["code"], item["message"], item["location"]
    if code == "F401":
        message = message.partition("; ")[0]
    line, own = place["row"], RUFF_RULES.get(code)
    rule = code if own else item["url"].rpartition("/")[2]
    column, noqa_line = place["column"], item.get("noqa_row") or line
    return NameFinding(own or code, rule, message, line, column, noqa_line)


_ADDED = re.compile(r"on Python 3\.\d+ \(syntax was added in Python 3\.(\d+)\)")


def needed_python(content: bytes) -> str | None:
    """Return the version (``3.12``) that a file needs, if it needs one newer than this Python and
    is faultless there.
    """
    newest = 0
    try:
        for message in RuffRun([RuffInput(content, "module")], ["--select=F401"]).faults():
            added = _ADDED.search(message)
            if added is None:
                return None
            newest = max(newest, int(added[1]))
    except ToolCrashedError as error:
        # By limits that are stated, so everywhere: what nests too deep for it stays a fault.
        if error.rule != TASK_CRASHED:
            raise
        return None
    return f"3.{newest}" if newest > sys.version_info.minor else None
