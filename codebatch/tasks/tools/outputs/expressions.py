"""What a regular expression of a description may cost: `re` tries all ways in which it may match.

Repetitions within one another, and choices within a repetition, take exponential time; repetitions
that can each give up characters to what follows multiply. Neither is found out by running it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_MOST_WAYS = 100_000  # in which choices alone may be taken
_MOST_NEIGHBOURS, _MOST_DEGREE = 3, 4
# How one begins that is found at the start of a line alone, or there if it is found at all.
_START = re.compile(r"(?:\((?:\?(?:P<\w+>|:))?)*(?:(?P<anchor>\^|\\A)|\.[*+])")
# The start of a group, a character with what it is escaped by, a class, a quantifier, or any other.
_TOKEN = re.compile(
    r"(?P<open>\((?:\?(?:P<\w+>|[a-zA-Z-]*:|>|<?[=!]))?)|(?P<anchor>\(\?[a-zA-Z]+\)|[$^]|\\[AbBZ])"
    r"|(?P<any>\(\?P=\w+\)|\\[1-9]\d*)|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|(?P<many>[*+]|\{[0-9]*,[0-9]*\}|\{[0-9]+\})[?+]?|(?P<maybe>\?)[?+]?|.",
    re.DOTALL,
)
_SAMPLE = frozenset((*map(chr, range(128)), "é", "中"))


@dataclass
class _Piece:
    """A character of an expression, as the ``characters`` of `_SAMPLE` that it may be. One that
    need not be there is passed by with the pieces from ``start`` up to ``end``.
    """

    characters: frozenset[str]
    is_loop: bool = False
    start: int = -1
    end: int = -1


@dataclass
class _Group:
    """A group: where its pieces begin, and those of the branch that is read, how many branches it
    has, and what a quantifier behind it meets.
    """

    start: int = 0
    branch: int = 0
    branches: int = 1
    has_repetition: bool = False
    has_choice: bool = False


class Cost:
    """What an expression, which compiles, may cost.

    ``problem`` is a reason to refuse it, or "". ``degree`` is about the power of the length of a
    text that the time grows with: it counts the repetitions that can give up characters to what
    follows, and one for having to try every place. ``takes_any_start`` says that it is found at the
    start of a line if it is found in it.
    """

    def __init__(self, expression: str) -> None:
        self.problem = ""
        self._ways, self._begins_with_first = 1, True
        self._pieces: list[_Piece] = []
        self._read(expression)
        start = _START.match(expression)
        self.takes_any_start = bool(start and not start["anchor"] and self._begins_with_first)
        shared = sum(any(True for _ in self._shared(at)) for at in range(len(self._pieces)))
        self.degree = shared + (not start)
        if self._ways > _MOST_WAYS:
            self.problem = self.problem or "it has too many '?' and '|', which may take ages"
        if self._neighbours() > _MOST_NEIGHBOURS or self.degree > _MOST_DEGREE:
            self.problem = self.problem or (
                "too many repetitions share what they match, which may take ages"
            )

    def _read(self, expression: str) -> None:
        groups, last = [_Group()], _Group()
        for token in _TOKEN.finditer(expression):
            kind, text = token.lastgroup, token[0]
            if kind == "open":
                groups.append(_Group(len(self._pieces), len(self._pieces)))
            elif text == ")" and len(groups) > 1:
                last = self._closed(groups.pop())
                groups[-1].has_repetition |= last.has_repetition
                groups[-1].has_choice |= last.has_choice
            elif text == "|":
                self._pass_by(groups[-1].branch)
                groups[-1].branches += 1
                groups[-1].branch = len(self._pieces)
            elif kind in ("many", "maybe"):
                self._repeat(last, token["many"] or "?")
                groups[-1].has_repetition |= last.has_repetition
                groups[-1].has_choice |= last.has_choice
            elif kind != "anchor":
                last = _Group(len(self._pieces))
                self._pieces.append(_Piece(_SAMPLE if kind == "any" else _characters(text)))
        self._closed(groups[0])

    def _closed(self, group: _Group) -> _Group:
        """Take note of the branches of a group, and return it."""
        self._ways *= group.branches
        if group.branches > 1:
            group.has_choice = True
            self._pass_by(group.branch)
        return group

    def _pass_by(self, start: int) -> None:
        """Take note that the pieces from ``start`` on need not be there."""
        if start == 0 and len(self._pieces) > 1:
            self._begins_with_first = False
        for piece in self._pieces[start:]:
            if piece.end < 0:
                piece.start, piece.end = start, len(self._pieces)

    def _repeat(self, what: _Group, quantifier: str) -> None:
        if quantifier == "?":
            self._ways *= 2
            what.has_choice = True
        elif what.has_repetition:
            self.problem = (
                "a group with '*', '+' or '{}' in it is repeated itself, which may take ages"
            )
        elif what.has_choice:
            self.problem = "a group with '?' or '|' in it is repeated, which may take ages"
        if quantifier[0] in "*+" or "," in quantifier:  # a fixed number is no choice
            what.has_repetition = True
            pieces = self._pieces[what.start :]
            every = frozenset[str]().union(*(piece.characters for piece in pieces))
            self._pieces[what.start :] = [_Piece(every, is_loop=True)]
        if quantifier[0] in "?*" or quantifier.startswith(("{0", "{,")):
            self._pass_by(what.start)

    def _shared(self, at: int) -> Iterator[int]:
        """Yield the places of what may follow a repetition and match what it matches."""
        piece = self._pieces[at]
        here = at + 1 if piece.is_loop else len(self._pieces)
        while at < here < len(self._pieces):
            other = self._pieces[here]
            if other.characters & piece.characters:
                yield here
            here = other.end if other.start > at else -1

    def _neighbours(self) -> int:
        """Return how many repetitions stand in a row that may match the same, at most."""
        rows = [0] * len(self._pieces)
        for at in reversed(range(len(self._pieces))):
            if self._pieces[at].is_loop:
                rows[at] = 1 + max((rows[other] for other in self._shared(at)), default=0)
        return max(rows, default=0)


@lru_cache(maxsize=1024)
def _characters(text: str) -> frozenset[str]:
    try:
        pattern = re.compile(text, re.IGNORECASE | re.DOTALL)
    except re.error:  # of a piece that means something within the whole alone
        return _SAMPLE
    return frozenset(filter(pattern.fullmatch, _SAMPLE))
