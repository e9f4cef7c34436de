r"""Regular expressions of paths as globs: the simple ones that configurations are made of.

An expression is searched for in a path from the root. What is known: literals, ``.``, ``.*``,
``.+``, ``[^/]*``, ``[^/]+``, groups of alternatives, ``?`` behind a literal or a group, ``(^|/)``,
``^`` and ``$`` at the ends, and blanks with ``(?x)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

MOST_GLOBS = 64
_MOST_CHARACTERS, _MOST_DEPTH = 2_000, 50
_TOKEN = re.compile(
    r"(?P<start>\(\?:\^\|/\)|\(\^\|/\))|(?P<end>\$|\\Z)|(?P<anchor>\^|\\A)"
    r"|(?P<any>\.[*+])|(?P<name>\[\^/\][*+])|(?P<one>\.)"
    r"|\\(?P<escaped>[^A-Za-z0-9])|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<literal>[A-Za-z0-9_/ @=,~%:#!&<>'\"-])"
)
_GLOB_SPECIAL = re.compile(r"([*?\[\\!#])")
_VERBOSE = "(?x)"
# What stands in the texts of the alternatives until they are globs.
_START, _END, _ANY, _NAME, _ONE, _NAME_START = "\1\2\3\4\5\6"


class _NotSimpleError(Exception):
    """An expression of another form."""


def globs_of(expression: str) -> list[str] | None:
    """Return globs that match what the expression is found in, in order; none for one that is found
    in every path, None where no globs say it.
    """
    if len(expression) > _MOST_CHARACTERS:
        return None
    if expression.startswith(_VERBOSE):
        expression = re.sub(r"\s+", "", expression.removeprefix(_VERBOSE))
    try:
        alternatives, end = _alternatives(expression, 0)
        if end != len(expression):
            return None
        found = [glob for one in alternatives for glob in _globs(one)]
    except _NotSimpleError:
        return None
    unique = [*dict.fromkeys(found)]
    if "**" in unique:
        return []
    return unique if len(unique) <= MOST_GLOBS and "/" not in unique else None


def _alternatives(text: str, at: int, depth: int = 0) -> tuple[list[str], int]:
    """Return the texts that a part of an expression stands for, and where it ends."""
    if depth > _MOST_DEPTH:
        raise _NotSimpleError
    found: list[str] = []
    branch = [""]
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or len(branch) + len(found) > MOST_GLOBS:
            raise _NotSimpleError
        kind = token.lastgroup
        if kind == "close":
            break
        at = token.end()
        if kind == "or":
            found, branch = [*found, *branch], [""]
            continue
        if kind == "open":
            inner, at = _alternatives(text, at, depth + 1)
            if text[at : at + 1] != ")":
                raise _NotSimpleError
            at += 1
        else:
            inner = [_of_token(kind, token)]
        if text[at : at + 1] == "?":
            inner, at = ["", *inner], at + 1
        if text[at : at + 1] and text[at] in "*+{?":
            raise _NotSimpleError
        branch = [before + after for before, after in product(branch, inner)]
    return [*found, *branch], at


def _of_token(kind: str | None, token: re.Match[str]) -> str:
    marks = {"start": _NAME_START, "end": _END, "anchor": _START}
    marks |= {"any": _ANY, "name": _NAME, "one": _ONE}
    return marks.get(kind or "") or token["escaped"] or token["literal"]


def _globs(text: str) -> Iterator[str]:
    """Yield the globs of one alternative, with its marks."""
    at_start, at_name = text.startswith(_START), text.startswith(_NAME_START)
    body = text[1:] if at_start or at_name else text
    at_end = body.endswith(_END)
    body = body.removesuffix(_END)
    if {_START, _END, _NAME_START} & {*body}:
        raise _NotSimpleError
    body = body if at_start or at_name else _ANY + body.lstrip(_ANY)
    body = body if at_end else body.rstrip(_ANY) + _ANY
    first, *rest = (_escaped(piece) for piece in body.split(_ANY))
    found = [first if at_start or not first else f"**/{first}"]
    for piece in rest:
        found = [glob + more for glob in found for more in _joints(glob, piece)]
        if len(found) > MOST_GLOBS:
            raise _NotSimpleError
    yield from (glob if glob.startswith("**") else f"/{glob}" for glob in found)


def _joints(before: str, piece: str) -> tuple[str, ...]:
    """Return how a glob goes on with ``.*`` and a piece: within a name, through folders."""
    if not before or before.endswith("/"):
        return (f"**/*{piece}" if piece else "**",)
    return (f"*{piece}", f"*/**/*{piece}" if piece else "*/**")


def _escaped(piece: str) -> str:
    glob = _GLOB_SPECIAL.sub(r"\\\1", piece)
    return glob.replace(_NAME, "*").replace(_ONE, "?")
