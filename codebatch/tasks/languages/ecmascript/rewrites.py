"""Valid syntax that the grammars reject, replaced by text of equal length that they accept.

Applied only to a file that has faults, and only kept where it takes them away, so offsets stay
true and files the grammars understand are never touched. Rewritten are:

- ``import("x").Y`` as a type, ``export type *``, ``in`` and ``out`` before type parameters,
  ``accessor`` fields, ``global {}`` inside ``declare module``, tagged templates with type
  arguments, and an exported default function signature without a name (TypeScript);
- ``with {…}`` and ``assert {…}`` behind ``export … from`` and ``import … from``,
  ``import defer * as``, and a bare ``&`` in the text and the attribute strings of elements.

A rewrite states which node types must then cover the place; where others do, it was not the
construct it looked like, and it is taken back. ``retype`` gives nodes their proper type where
the stand-in has another: an import type is one leaf ``import_type``, the template of a tagged
template with type arguments a ``template_string`` that holds the substituted expressions.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from codebatch.tasks.languages.ecmascript.grammars import NO_PARENT, FlatTree

TYPED = frozenset(("typescript", "tsx"))
WITH_ELEMENTS = frozenset(("javascript", "jsx", "tsx"))

_STRING = r"""(?:"[^"\n]*"|'[^'\n]*')"""
_IMPORT_TYPE = re.compile(
    rf"\bimport\s*\(\s*{_STRING}\s*(?:,\s*\{{[^{{}}]*(?:\{{[^{{}}]*\}}[^{{}}]*)?\}}\s*,?\s*)?\)"
    r"(?!\s*\.\s*(?:then|catch|finally)\b)"
)
_AWAITED = re.compile(r"\bawait\s*$")
_TYPE_STAR = re.compile(r"\bexport\s+(type)(?=\s*\*)")
_PARAMETERS = re.compile(r"\b(?:class|interface|type)\s+[\w$]+\s*<[^(){};]{0,500}")
_VARIANCE = re.compile(
    r"(?<=[<,\s])(?:in\s+out|in|out)(?=\s+[A-Za-z_$][\w$]*\s*(?:[,>=]|extends\b))"
)
_ACCESSOR = re.compile(r"(?<![\w$.])(accessor)\s+(?=[#\w$\[\"'])")
_GLOBAL = re.compile(r"(?<![\w$.])(?<!declare\s)(global)(?=\s*\{)")
_ATTRIBUTES = re.compile(rf"\bfrom\s*{_STRING}\s*((?:with|assert)\s*\{{[^{{}}]{{0,500}}\}})")
_DEFER = re.compile(r"\bimport\s+(defer)(?=\s*\*)")
_TEXT_OR_VALUE = re.compile(r"""=\s*"[^"]*"|=\s*'[^']*'|[>}][^<>{}]*(?=[<{])""")
_BARE_AMPERSAND = re.compile(r"&(?!#\d{1,7};|#[xX][\da-fA-F]{1,6};|[A-Za-z]\w{0,30};)")
_DEFAULT_SIGNATURE = re.compile(r"(?<=export )default\s+function\s*(?=[(<])")
_TYPED_TEMPLATE = re.compile(r">\s*`")

_TEMPLATE_PIECE = re.compile(r"\\[\s\S]|\$\{|[^`\\$]+|[\s\S]")
_QUOTED = re.compile(rf"{_STRING}")
_ABSTRACT = re.compile(r"(?<![\w$])abstract(?=\s*[?:!=(;,)\]}.<])")
_TYPE_AS_NAME = re.compile(
    r"(?<=[(,\s])(?:string|number|boolean|object|symbol|any|unknown|never)(?=\s*[,)][^;{}]{0,300}=>)"
)
_PATTERN_PARAMETER = re.compile(r"\(\s*\{[^{}()]*\}\s*:")
_RENAMED = re.compile(r"(?<=[\w$])\s*:\s*[A-Za-z_$][\w$]*(?=\s*[,}])")

_LEAF_NAMES = frozenset(("identifier", "type_identifier", "property_identifier"))
_ELEMENT_TEXT = frozenset("jsx_text string string_fragment comment template_string".split())


class Rewrite(NamedTuple):
    """Text for ``[start, start + len(stand_in))``. After parsing, the innermost kept node that
    covers ``start`` must be of one of the types in ``expect``, where given, and an ancestor of
    it of the type ``within``; ``retype`` maps a type of a node that starts there to its proper
    one; ``shown`` is the text that the tree is to show there, where not that of the file.
    """

    start: int
    stand_in: str
    expect: frozenset[str] = frozenset()
    within: str = ""
    retype: tuple[frozenset[str], str] | None = None
    shown: str = ""


def rewrites(text: str, language: str) -> list[Rewrite]:
    """Everything in ASCII text that looks like a construct the grammars lack, by position."""
    found = [*_blanked(text, _ATTRIBUTES), *_blanked(text, _DEFER)]
    if language in TYPED:
        found += _typed(text)
    if language in WITH_ELEMENTS:
        found += _ampersands(text)
    found.sort(key=lambda rewrite: rewrite.start)
    return found


def apply(text: str, changes: list[Rewrite]) -> str:
    """The text with all rewrites done; of two that overlap only the first."""
    parts, position = [], 0
    for change in changes:
        if change.start >= position:
            parts += [text[position : change.start], change.stand_in]
            position = change.start + len(change.stand_in)
    parts.append(text[position:])
    return "".join(parts)


def mistaken(tree: FlatTree, changes: list[Rewrite]) -> list[Rewrite]:
    """Rewrites at places that turned out to be something else."""
    return [change for change in changes if not _is_as_meant(tree, change)]


def _is_as_meant(tree: FlatTree, change: Rewrite) -> bool:
    node = tree.covering(change.start)
    if change.expect and tree.types[node] not in change.expect:
        return False
    while change.within and tree.types[node] != change.within:
        node = tree.parents[node]
        if node == NO_PARENT:
            return False
    return True


def shown(text: str, changes: list[Rewrite]) -> str:
    """The text as the tree is to show it."""
    return apply(
        text, [change._replace(stand_in=change.shown) for change in changes if change.shown]
    )


def retype(tree: FlatTree, changes: list[Rewrite]) -> None:
    """Give stand-ins the type of what they stand for."""
    for change in changes:
        if change.retype is None:
            continue
        old, new = change.retype
        node = bisect_left(tree.starts, change.start)
        while node < len(tree) and tree.starts[node] == change.start:
            if tree.types[node] in old:
                tree.types[node] = new
            node += 1


def _blank(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)


def _blanked(text: str, pattern: re.Pattern[str]) -> Iterator[Rewrite]:
    for match in pattern.finditer(text):
        yield Rewrite(match.start(1), _blank(match[1]))


def _typed(text: str) -> Iterator[Rewrite]:
    yield from _blanked(text, _TYPE_STAR)
    if "declare" in text:
        yield from _blanked(text, _GLOBAL)
    for match in _IMPORT_TYPE.finditer(text):
        if not _AWAITED.search(text, max(0, match.start() - 20), match.start()):
            stand_in = "I" + "_" * (len(match[0]) - 1)
            yield Rewrite(match.start(), stand_in, _LEAF_NAMES, retype=(_LEAF_NAMES, "import_type"))
    for match in _PARAMETERS.finditer(text):
        for word in _VARIANCE.finditer(text, match.start(), match.end()):
            yield Rewrite(word.start(), " " * len(word[0]))
    for match in _ACCESSOR.finditer(text):
        yield Rewrite(match.start(), "readonly", frozenset(('"readonly"',)))
    for match in _ABSTRACT.finditer(text):
        yield Rewrite(match.start(), "abstrac_", _LEAF_NAMES)
    for match in _TYPE_AS_NAME.finditer(text):
        yield Rewrite(match.start(), match[0][:-1] + "_", frozenset(("identifier",)))
    for match in _DEFAULT_SIGNATURE.finditer(text):
        rest = " " * (len(match[0]) - len("function default"))
        yield Rewrite(
            match.start(),
            f"function defaul_{rest}",
            frozenset(("function_signature",)),
            shown=f"function default{rest}",
        )
    for match in _PATTERN_PARAMETER.finditer(text):
        for part in _RENAMED.finditer(text, match.start(), match.end() - 1):
            yield Rewrite(part.start(), _blank(part[0]), within="function_type")
    yield from _typed_templates(text)


def _ampersands(text: str) -> Iterator[Rewrite]:
    for segment in _TEXT_OR_VALUE.finditer(text):
        for match in _BARE_AMPERSAND.finditer(text, segment.start(), segment.end()):
            yield Rewrite(match.start(), "_", _ELEMENT_TEXT)


def _typed_templates(text: str) -> Iterator[Rewrite]:
    """``f<T>`a${b}` `` becomes ``f<T>(   b, )``: a call with type arguments."""
    position = 0
    while match := _TYPED_TEMPLATE.search(text, position):
        start = match.end() - 1
        stand_in = _as_arguments(text, start)
        position = match.end()
        if stand_in is not None and _opens_type_arguments(text, match.start()):
            yield Rewrite(start, stand_in, retype=(frozenset(("arguments",)), "template_string"))
            position = start + len(stand_in)


def _opens_type_arguments(text: str, close: int) -> bool:
    """Whether the ``<`` that belongs to the ``>`` at ``close`` follows an expression."""
    depth, here = 1, close - 1
    while here >= 0:
        char = text[here]
        if char == ">" and text[here - 1] != "=":
            depth += 1
        elif char == "<":
            depth -= 1
            if depth == 0:
                before = text[:here].rstrip()[-1:]
                return before.isalnum() or before in ("_", "$", ")", "]")
        elif char == "`" or close - here > 5000:
            return False
        here -= 1
    return False


def _as_arguments(text: str, start: int) -> str | None:
    """A template literal as an argument list of its substitutions; None where it has no end.

    ``within`` is the stack of open templates (`````) and braces (``{``) around a position.
    """
    parts, within, here = ["("], ["`"], start + 1
    while here < len(text):
        match = _TEMPLATE_PIECE.match(text, here)
        piece = match[0] if match and within[-1] == "`" else text[here]
        if within[-1] == "{" and piece in "\"'":
            quoted = _QUOTED.match(text, here)
            piece = quoted[0] if quoted else piece
        outermost = len(within) == 1
        if piece == "`":
            within.pop() if within[-1] == "`" else within.append("`")
            if not within:
                return "".join([*parts, ")"])
        elif piece in ("{", "${") and (piece == "${") == (within[-1] == "`"):
            within.append("{")
        elif piece == "}" and within[-1] == "{":
            within.pop()
            piece = "," if len(within) == 1 else piece
        parts.append(_blank(piece) if outermost else piece)
        here += len(piece)
    return None
