"""The text rules L001 to L005, for any text that a person writes.

Data files are passed by: they are not edited line by line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat

from codebatch.tasks.base import Config
from codebatch.tasks.languages.authorship import DATA_LANGUAGES
from codebatch.tasks.languages.base import NameFinding
from codebatch.tasks.rules import RULES
from codebatch.tasks.source import SourceFile

TOO_MANY_LINES = "too many lines"
MOST_LINES = 200_000  # each may have findings, of a kilobyte each while they are recorded

_PROSE = frozenset({"markdown", "restructuredtext", "text", "latex"})
_TRAILING = " \t\f\v"
_HARD_BREAK = "  "  # two trailing spaces break a line in Markdown


def reason_to_pass_by(source: SourceFile) -> str | None:
    """Return why the text rules do not look at a file, or None."""
    if source.language in DATA_LANGUAGES:
        return "data file"
    return TOO_MANY_LINES if source.exceeds_lines(MOST_LINES) else None


def text_findings(source: SourceFile, config: Config) -> Iterator[NameFinding]:
    """Findings in line order. Most files have none, which whole lists tell at once."""
    stripped = list(map(str.rstrip, source.lines, repeat(_TRAILING)))
    longest, most_blank = config["max_line_length"], config["max_blank_lines"]
    if (
        stripped != source.lines
        or " \t" in source.text
        or max(map(len, stripped), default=0) > longest
        or "\n" * (most_blank + 2) in "\n".join(["", *stripped, ""])
    ):
        yield from _line_findings(source, stripped, longest, most_blank)
    if source.lines and not source.text.endswith(("\n", "\r")):
        last = len(source.lines)
        yield _finding("L004", last, len(source.lines[-1]) + 1, "no newline at end of file")


def _line_findings(
    source: SourceFile, all_stripped: Sequence[str], longest: int, most_blank: int
) -> Iterator[NameFinding]:
    blank = 0
    for number, (line, stripped) in enumerate(
        zip(source.lines, all_stripped, strict=True), start=1
    ):
        if stripped != line and not _is_hard_break(source, line, stripped):
            yield _finding("L001", number, len(stripped) + 1, "trailing whitespace")
        if " \t" in stripped and (column := _mixed_indent(stripped)) > 0:
            yield _finding("L002", number, column, "indentation mixes spaces and tabs")
        if len(line) > longest and not _is_unbreakable(source, line):
            message = f"line too long ({len(line)} > {longest} characters)"
            yield _finding("L003", number, longest + 1, message)
        blank = 0 if stripped else blank + 1
        if blank == most_blank + 1:
            yield _finding("L005", number, 1, f"more than {most_blank} blank lines")


def _finding(code: str, line: int, column: int, message: str) -> NameFinding:
    return NameFinding(code, RULES[code].name, message, line, column, line)


def _is_hard_break(source: SourceFile, line: str, stripped: str) -> bool:
    return source.language == "markdown" and line == stripped + _HARD_BREAK and bool(stripped)


def _mixed_indent(line: str) -> int:
    """Column of a tab that follows a space in the indentation, 0 where there is none."""
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    return indent.find(" \t") + 2 if " \t" in indent else 0


def _is_unbreakable(source: SourceFile, line: str) -> bool:
    """Prose is wrapped by whoever shows it; a single word (a URL) cannot be."""
    return source.language in _PROSE or (len(line.split()) <= 2 and "://" in line)
