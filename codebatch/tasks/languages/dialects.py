"""Files that look like a language and are written in another, which no parser here reads.

JavaScript with types for Flow says so in its first comments. A template for a file is recognised
by what it becomes: the language rejects it, and accepts it once its tags are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from codebatch.tasks.languages.base import Source

FLOW = "Flow types"
TEMPLATE = "template"
PYTHON_2 = "Python 2"
NEEDS = "needs Python "  # and the version

# Nobody writes larger templates, or larger files for another Python, by hand. To try costs as
# much as to parse, several times.
MOST_CHARACTERS = 2**18

_DIALECTS = frozenset((FLOW, TEMPLATE, PYTHON_2))
_MAY_HAVE_FLOW = frozenset(("javascript", "jsx"))
_PRAGMA = re.compile(r"(?<![\w@.-])@flow(?![\w-])")
_FIRST_COMMENTS = re.compile(
    r"""(?:\s+|\#![^\n]*|//[^\n]*|/\*.*?\*/|(["'])use [^"'\n]*\1;?)*""", re.DOTALL
)

_TAGS = {"{{": "}}", "{%": "%}", "{#": "#}", "<%": "%>"}
_OPENING = re.compile("|".join(map(re.escape, _TAGS)))
_VALUES = ("{{", "<%=", "<%-")  # tags that stand for what they give
_FILLED = "_"


def is_dialect(reason: object) -> bool:
    """Return true for a reason to skip a file that says what the file is written in."""
    return reason in _DIALECTS or (isinstance(reason, str) and reason.startswith(NEEDS))


def reason_not_to_parse(source: Source) -> str | None:
    """Return why a file is none for the parser of its language, as far as it says so itself."""
    if source.language not in _MAY_HAVE_FLOW or b"@flow" not in source.content:
        return None
    comments = _FIRST_COMMENTS.match(source.text)
    return FLOW if comments is not None and _PRAGMA.search(comments[0]) else None


def is_template(text: str, accepts: Callable[[str], bool]) -> bool:
    """Return true if a language that rejects the text accepts what it is a template of: with a
    name, or nothing, for each tag.
    """
    tags = [*_tags(text)] if len(text) <= MOST_CHARACTERS else []
    if not tags:
        return False
    return accepts(_replaced(text, tags, _value)) or accepts(_replaced(text, tags, _nothing))


def _tags(text: str) -> Iterator[tuple[int, int]]:
    """Yield where tags begin and end, in time that grows with the text alone."""
    position, unclosed = 0, set[str]()
    while (opening := _OPENING.search(text, position)) is not None:
        position = opening.end()
        if opening[0] not in unclosed:
            closing = _TAGS[opening[0]]
            end = text.find(closing, position)
            if end < 0:
                unclosed.add(opening[0])
            else:
                position = end + len(closing)
                yield opening.start(), position


def _replaced(text: str, tags: list[tuple[int, int]], stand_in: Callable[[str], str]) -> str:
    parts, position = [], 0
    for start, end in tags:
        parts += [text[position:start], stand_in(text[start:end])]
        position = end
    return "".join([*parts, text[position:]])


def _value(tag: str) -> str:
    return _FILLED if tag.startswith(_VALUES) else _nothing(tag)


def _nothing(tag: str) -> str:
    return "\n" * tag.count("\n")
