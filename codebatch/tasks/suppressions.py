"""Comments that suppress findings, and what becomes of these: a record of kind ``suppression``.

``noqa`` alone is for `lint`; with codes (``# noqa: L101, T100``) it suppresses findings of any task
with these codes on its line. ``codebatch-ignore`` suppresses those of its line,
``codebatch-ignore-next-line`` of the line behind it, ``codebatch-ignore-file`` of the file: with
codes only these, and after a colon stands the reason. Files that do not parse, and tasks that fail,
are not to be suppressed.

A comment is what the parser of the language takes for one; in other languages, and in files that
do not parse, what looks like one on a line. One that names a code for which a task has looked and
found nothing there is reported (`UNUSED_SUPPRESSION`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, cast

from codebatch.model.records import CODE, Record
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.languages.base import Comment
from codebatch.tasks.rules import FAILURES, RULES, SYNTAX_ERROR, UNUSED_SUPPRESSION

if TYPE_CHECKING:
    from codebatch.tasks.source import SourceFile

NOQA, IGNORE = "noqa", "codebatch-ignore"
NEXT_LINE, WHOLE_FILE = f"{IGNORE}-next-line", f"{IGNORE}-file"
NEVER = FAILURES | {SYNTAX_ERROR, UNUSED_SUPPRESSION}
_WORDS = (NOQA.encode(), IGNORE.encode())
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")

# What begins a comment, by language; `*` goes on with one over lines. `://` is part of an address.
_SLASHES = (r"(?:(?<!:)//|//(?=\s))", r"/\*")
_ANY = ("#", *_SLASHES, "--", ";", "<!--", r"\.\.")
_MARKS = {
    "python": ("#",),
    **dict.fromkeys(("javascript", "jsx", "typescript", "tsx"), _SLASHES),
    "markdown": ("<!--",),
    "restructuredtext": (r"\.\.",),
}
_CODES = r"(?P<codes>\s*:\s*[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)?"
_NOQA_CODE = re.compile(r"[A-Z]+[0-9]+", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\n|\r")
_LONGEST_REASON = 500  # it is part of each record
_SAID = " \t:;,.-\u2013\u2014("  # between codes and a reason


class Directive(NamedTuple):
    """A comment that suppresses: ``codes`` on the lines from ``about`` (if it is not 0) to
    ``target``, or in the file (None); without codes all there. ``wrong`` ones are not understood.
    """

    line: int
    column: int
    how: str
    codes: tuple[str, ...]
    reason: str
    target: int | None
    about: int = 0
    wrong: bool = False


class Suppressions:
    """The comments of one file that suppress, in order.

    They are found by what they suppress, as a file may have as many of them as findings.
    """

    def __init__(self, directives: Sequence[Directive]) -> None:
        self.directives = directives
        self._by_code: dict[tuple[int | None, bool, str], int] = {}  # places of the first ones
        self._noqa: dict[int | None, Directive] = {}
        understood = [(place, one) for place, one in enumerate(directives) if not one.wrong]
        for place, one in understood:
            if one.how == NOQA:
                self._noqa.setdefault(one.target, one)
            for code in one.codes or ("",):
                self._by_code.setdefault((one.target, one.how == NOQA, code), place)
        spans = {(one.about, one.target) for _, one in understood if one.about and one.target}
        self._ends = {line: end for first, end in spans for line in range(first, end or 0)}

    def __bool__(self) -> bool:
        return bool(self.directives)

    def find(
        self, code: str, line: int, aliases: Collection[str] = (), *, of_lint: bool = False
    ) -> Directive | None:
        """Return the comment that suppresses a finding; ``aliases`` are codes that say the same in
        a ``noqa``.
        """
        if code in NEVER:
            return None
        said = [(False, ""), (False, code), *((True, one) for one in (code.upper(), *aliases))]
        said += [(True, "")] if of_lint else []  # codes of a noqa are in capital letters
        for target in (line, self._ends.get(line, line), None):
            keys = ((target, *one) for one in said)
            places = [self._by_code[key] for key in keys if key in self._by_code]
            if places:
                return self.directives[min(places)]
        return None

    def noqa_of(self, line: int) -> Directive | None:
        """Return the ``noqa`` on a line."""
        return self._noqa.get(line) or self._noqa.get(self._ends.get(line, line))


NONE = Suppressions(())


def read_suppressions(source: SourceFile) -> Suppressions:
    """Return the comments of a file that suppress; most files have none of their words."""
    data = source.content.lower()
    if data.startswith(_WIDE):
        data = data.replace(b"\0", b"")
    if not any(word in data for word in _WORDS):
        return NONE
    forms = _forms(source.language)
    return Suppressions([one for each in _comments(source) for one in _directives(each, forms)])


def suppressed(
    records: Sequence[Record],
    source: SourceFile,
    judged: Collection[str],
    *,
    said: Mapping[int, Directive] | None = None,
) -> list[Record]:
    """Return the records of a task on a file with its findings suppressed, and with a finding for
    each comment that names one of the codes ``judged`` in vain. ``said`` are the comments of those
    that the task knows to be suppressed, by their place among the records.
    """
    known = source.suppressions
    if not (known or said):
        return list(records)
    used: dict[int, set[str]] = {}  # by identity: to hash all codes of a comment takes long
    found: list[Record] = []
    for place, record in enumerate(records):
        one = None if said is None else said.get(place)
        if one is None and said is None and record["kind"] == "diagnostic":
            one = known.find(str(record["code"]), cast("int", record["line"]))
        if one is not None:
            used.setdefault(id(one), set()).add(str(record["code"]))
        found.append(record if one is None else suppression_record(record, one))
    unused = _unused(known.directives, judged, used)
    return [*found, *diagnostic_records(unused, source.lines)] if judged else found


def suppression_record(record: Record, by: Directive) -> Record:
    """Return what becomes of a finding: all that it says, the reason, and what suppresses it."""
    return {**record, "kind": "suppression", "how": by.how, "reason": by.reason}


def _unused(
    directives: Iterable[Directive], judged: Collection[str], used: Mapping[int, set[str]]
) -> Iterator[Finding]:
    rule = RULES[UNUSED_SUPPRESSION]
    for one in directives:
        looked_for = [code for code in one.codes if code in judged and code not in NEVER]
        vain = [code for code in looked_for if code not in used.get(id(one), ())]
        if one.wrong and UNUSED_SUPPRESSION in judged:
            message = f"{one.how} is followed by codes with commas, then a colon and the reason"
        elif vain:
            message = f"{one.how} of {', '.join(vain)} suppresses nothing"
        else:
            continue
        yield Finding(one.line, one.column, rule.code, rule.name, rule.severity, message)


def _comments(source: SourceFile) -> Iterator[Comment]:
    """Yield comments, or lines that may have some."""
    parsed = source.parsed if source.is_parsable else None
    comments = None if parsed is None else parsed.comments()
    if comments is not None:
        yield from comments
        return
    for number, line in enumerate(source.lines, 1):
        if IGNORE in line or NOQA in line.lower():
            yield Comment(number, 1, line, number)


class _Forms(NamedTuple):
    """How the comments of a language read, and where the reason of one ends."""

    ignore: re.Pattern[str]
    noqa: re.Pattern[str]
    stop: re.Pattern[str]


@cache
def _forms(language: str) -> _Forms:
    marks = _MARKS.get(language, _ANY)
    in_lines = [r"\*"] if _SLASHES[0] in marks else []
    ignoring = "|".join([*marks, *in_lines, *(["%"] if marks is _ANY else [])])
    mark, noqa = rf"(?<!`)(?:{ignoring})\s*", rf"(?<!`)(?:{'|'.join(marks)})\s*{NOQA}"
    return _Forms(
        re.compile(rf"{mark}(?P<how>{IGNORE}(?:-next-line|-file)?)(?![\w-])"),
        re.compile(rf"{noqa}{_CODES}\b(?P<rest>[^\n]*)", re.IGNORECASE),
        re.compile(rf"\*/|-->|{mark}(?:{NOQA}|{IGNORE})\b"),
    )


def _directives(comment: Comment, forms: _Forms) -> Iterator[Directive]:
    """Yield what a comment says, by its lines."""
    for one in _by_lines(comment, forms):
        is_behind = one.how in (NOQA, IGNORE) and one.target == comment.line
        yield one._replace(about=comment.about) if is_behind else one


def _by_lines(comment: Comment, forms: _Forms) -> Iterator[Directive]:
    line = comment.line
    for extra, said in enumerate(_LINE_END.split(comment.text)):
        first = comment.column if extra == 0 else 1
        for match in forms.ignore.finditer(said):
            stop = forms.stop.search(said, match.end())
            rest = said[match.end() : stop.start() if stop else len(said)]
            yield _ignore(match["how"], rest, line + extra, first + match.start())
        match_noqa = forms.noqa.search(said)
        if match_noqa is not None:
            yield _noqa(match_noqa, line + extra, first + match_noqa.start())


def _ignore(how: str, rest: str, line: int, column: int) -> Directive:
    """Return what a comment says with codes, and the reason behind a colon."""
    target = {IGNORE: line, NEXT_LINE: line + 1, WHOLE_FILE: None}[how]
    listed, _, reason = rest.partition(":")
    codes = [code.strip() for code in listed.split(",")] if listed.strip() else []
    wrong = not all(map(CODE.match, codes))
    known = () if wrong else tuple(dict.fromkeys(codes))
    return Directive(
        line, column, how, known, reason.strip()[:_LONGEST_REASON], target, wrong=wrong
    )


def _noqa(match: re.Match[str], line: int, column: int) -> Directive:
    codes = [code.upper() for code in _NOQA_CODE.findall(match["codes"] or "")]
    reason = re.split(r"\*/|-->|\s#", match["rest"])[0].strip(_SAID).removesuffix(")")
    return Directive(
        line, column, NOQA, tuple(dict.fromkeys(codes)), reason[:_LONGEST_REASON], line
    )
