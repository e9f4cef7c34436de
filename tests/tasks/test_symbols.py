"""Task ``symbols`` follows from what ``parse`` records about a file, and from its language.

The engine relies on it: a file whose syntax tree is equal to one it has seen gets the symbols and
edges of that one. So texts with equal records of ``parse`` must have equal records of ``symbols``.
"""

from __future__ import annotations

import io
import re
import sysconfig
import tokenize
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebatch.model.digest import digest_bytes
from codebatch.tasks import parse, symbols
from codebatch.tasks.base import Task
from codebatch.tasks.languages import detect
from codebatch.tasks.source import SourceFile

STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
REAL_FILES = (
    *("bisect.py", "contextlib.py", "heapq.py", "reprlib.py", "sched.py", "string.py"),
    *("abc.py", "json/decoder.py", "asyncio/events.py", "importlib/abc.py"),
)

PYTHON = """\
# a comment
import os as  o, sys  # é
from .a import (b as c, d as d)  # trailing
__all__ = ["c", 'd'] + ["x" "y"]
@o.f(1, 2)
class  A(o.B, k=c, *[d]): # é
    "é"; x, y = 1, [z for z in 'é']
    async  def  é(self, a, /, b=lambda q: 1, *r, **s) : pass
try: pass
except  (A, o.B)  as  e: é = (w := 'é', ü)
match é:
    case {'a': 1, ** rest} | [1, *more] | A(x=1) as whole: v = whole
def f(): global g; g = 'é'; h, i = g, 1
"""
TYPESCRIPT = """\
// a comment
import d, { a as b, c } from './x'; /* é */
import q = require("q");
class A extends mixin(B, C [1], /* c */ D) implements I, J<K> {
  [Symbol.iterator]() { return 1; } static  x = function () {};
  ['a' + b] = () => 1; 'é' = 1;
}
a.b.c = function () { var é = 'é', { x, y: z = 1 } = a; };
export namespace N.M.O { export const k = 1, l = 2; }
export { c as  d, b };
export default class extends a.b { m(p, ...q) { require('é'), import('y') } }
"""
JAVASCRIPT = """\
#!/usr/bin/env node
/** a comment */ const f = require('f') , g = await import("g");
a . b = class extends (f, g) { get [ f(1, 2) ] () {} };
x.y.z = function  named(p, q = 1) { /* é */ let { r, ...s } = p; };
export * as  n from 'm'; export const [ t , u ] = [1, 2];
for (const k of f(1 ,2)) { try { k() } catch (e) {} }
"""
ASSIGNED = "// c\nimport a = require('a');\nexport = /* c */ a . b;\n"

# What may change in a text, and into what; most leave all offsets behind them as they are.
EDITS = {
    r"(?:#|//) [^\n]*": ("{}!", "#", "// x", "# é"),
    r"/\*.*?\*/": ("/**/", "/* é */", "      "),
    r"(?<=\w) +(?=\w)": ("  ", "\t", " \\\n ", "/**/", " /* */ "),
    r", ": (" ,", ",", ",\t", ",  ", ",/* */"),
    r" ,": (", ",),
    r"(?<=\w)\.(?=\w)": (" .", ". ", "./**/", "?."),
    r"['\"][\wé]*['\"]": ("'é'", '"ü"', "'aé'", "''"),
    r"\bé\b": ("e", "ee", "ü", "\U0001d4ea"),
    r"= ": (" =", "=\t", "=/**/", "/**/="),
    r"(?<=\w)[(:]": (" {}", "{} "),
    r"\n": ("\n\n", "\r\n", " \n", "\n# é\n", "\n// é\n"),
}


FACETS = {facet: of("a") for facet, of in detect.FACETS.items()}


def records(task: Task, content: str, language: str) -> list[dict[str, Any]]:
    """The records of a task, a tree as its digest."""
    source = SourceFile(content.encode(), language, FACETS)
    found = task.run(task.file(source, {}, None), task.resolve_config({}))
    for record in found:
        if "data" in record:
            record["data"] = digest_bytes(record["data"])
    return found


def assert_follows(one: str, other: str, language: str) -> bool:
    """Whether the parse task tells two texts apart; if not, their symbols are equal."""
    if records(parse.parse, one, language) != records(parse.parse, other, language):
        return True
    assert records(symbols.symbols, one, language) == records(symbols.symbols, other, language)
    return False


def edited(text: str, edits: list[tuple[re.Match[str], str]]) -> str:
    """The text with these edits done; of two that overlap the first."""
    parts, position = [], 0
    for match, replacement in sorted(edits, key=lambda edit: edit[0].start()):
        if match.start() >= position:
            parts += [text[position : match.start()], replacement.replace("{}", match.group())]
            position = match.end()
    return "".join([*parts, text[position:]])


@st.composite
def variants(draw: st.DrawFn, text: str) -> tuple[str, str]:
    """Two variants of a text, the second with some more edits than the first."""
    places = [
        (match, replacement)
        for pattern, replacements in EDITS.items()
        for match in re.finditer(pattern, text)
        for replacement in replacements
    ]
    some = st.lists(st.sampled_from(places), max_size=3)
    first = draw(some)
    return edited(text, first), edited(text, first + draw(some))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (PYTHON, "python"),
        (TYPESCRIPT, "typescript"),
        (TYPESCRIPT, "tsx"),
        (JAVASCRIPT, "javascript"),
        (JAVASCRIPT, "jsx"),
        (ASSIGNED, "typescript"),
    ],
)
@given(data=st.data())
def test_equal_trees_have_equal_symbols(text: str, language: str, data: st.DataObject) -> None:
    assert_follows(*data.draw(variants(text)), language)


@pytest.mark.slow
@given(data=st.data())
def test_equal_trees_of_real_files_have_equal_symbols(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(REAL_FILES))
    text = (STANDARD_LIBRARY / path).read_text(encoding="utf-8")
    assert_follows(*data.draw(variants(text)), "python")


@pytest.mark.parametrize("path", REAL_FILES)
def test_comments_that_move_nothing_change_no_tree(path: str) -> None:
    text = (STANDARD_LIBRARY / path).read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            (number, column), line = token.start, token.line
            lines[number - 1] = f"{line[:column]}# é changed\n"
    assert not assert_follows(text, "".join(lines), "python")


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("class  A: pass", "class A : pass", "python"),
        ("def  f(): pass", "def f (): pass", "python"),
        ("import a as  b;c", "import a as b ;c", "python"),
        ("try: a\nexcept B as  c: d", "try: a\nexcept B as c : d", "python"),
        ("match a:\n case {** b}: c", "match a:\n case {**b }: c", "python"),
        ("'é'; a = 1", "'ee'; a = 1", "python"),
        ("class A extends f(B, C) {}", "class A extends f(B ,C) {}", "javascript"),
        ("class A { [ b](){} }", "class A { [b ](){} }", "javascript"),
        ("export = /* */ a", "export /* */ = a", "typescript"),
    ],
)
def test_what_gives_other_symbols_is_another_tree(one: str, other: str, language: str) -> None:
    assert records(symbols.symbols, one, language) != records(symbols.symbols, other, language)
    assert assert_follows(one, other, language)


@pytest.mark.parametrize("text", ["def f(:\n", "x = 1 +", "\0", "a b"])
def test_python_without_a_tree_has_no_symbols(text: str) -> None:
    kinds = [record["kind"] for record in records(parse.parse, text, "python")]
    assert kinds == ["diagnostic"]
    assert records(symbols.symbols, text, "python") == []


def test_every_edit_applies_somewhere() -> None:
    texts = (PYTHON, TYPESCRIPT, JAVASCRIPT, ASSIGNED)
    for pattern in EDITS:
        assert any(re.search(pattern, text) for text in texts), pattern
