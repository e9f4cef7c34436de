"""Digests of files and functions: what is equal, what is not, and `ast.dump` as an oracle."""

from __future__ import annotations

import ast
import sysconfig
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from codebatch.tasks.shapes import Shape
from codebatch.tasks.shapes import shapes as shapes_task
from codebatch.tasks.source import SourceFile

STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def shapes(text: str | bytes, language: str = "python", min_lines: int = 1) -> list[Shape]:
    content = text.encode() if isinstance(text, str) else text
    config = shapes_task.resolve_config({"min_lines": min_lines})
    file = shapes_task.file(SourceFile(content, language), {}, None)
    return [Shape(**without_kind(record)) for record in shapes_task.run(file, config)]


def without_kind(record: dict[str, Any]) -> dict[str, Any]:
    assert record["kind"] == "shape"
    return {name: value for name, value in record.items() if name != "kind"}


def digests(text: str, language: str = "python") -> list[str]:
    return [shape.digest for shape in shapes(text, language)]


PYTHON = """
def f(a, b=1):
    'doc'
    if a[1:]:
        return (b, 'x')
"""
PYTHON_AGAIN = """

# comment
def f( a,b = 1 ) :  # comment
  'doc'

  if (a[ 1 : ]) :
      return b,"x"
"""
JAVASCRIPT = """
function f(a, b = 1) {
  if (a) { return [b, 'x'] }
}
"""
JAVASCRIPT_AGAIN = "/* c */ function f(a,b=1){\n\n if (a) {return [b,'x',];} // c\n}"


@pytest.mark.parametrize(
    ("language", "text", "other"),
    [
        ("python", PYTHON, PYTHON_AGAIN),
        ("python", "x = 1_000\n", "x = 1000 # a\n"),
        ("javascript", JAVASCRIPT, JAVASCRIPT_AGAIN),
        ("typescript", "let f = (a: string): number => 1", "let f = ( a : string ) : number=>1;\n"),
        ("jsx", "let a = <p>\n  <b/> text\n</p>", "let a = <p><b/>\n\t\ttext</p>"),
        ("markdown", "# A  title\n\n text ", "\n#   A title\ntext\n"),
    ],
)
def test_layout_and_comments_do_not_count(language: str, text: str, other: str) -> None:
    assert digests(text, language) == digests(other, language)


@pytest.mark.parametrize(
    ("language", "text", "other"),
    [
        ("python", "a[:1]\n", "a[1:]\n"),
        ("python", "a = 1\n", "a = 1.0\n"),
        ("python", "a = 1\n", "a = True\n"),
        ("python", "a = 'b'\n", "a = b'b'\n"),
        ("python", "a + b\n", "a - b\n"),
        ("python", "a < b > c\n", "a > b < c\n"),
        ("python", "def f(a, *, b): pass\n", "def f(a, b): pass\n"),
        ("python", "def f(): pass\n", "async def f(): pass\n"),
        ("python", "if a:\n    b\nelse:\n    c\n", "if a:\n    b\n    c\n"),
        ("python", "try:\n    a\nfinally:\n    b\n", "try:\n    a\nfinally:\n    c\n"),
        ("python", "{**a}\n", "{a: a}\n"),
        ("python", "def f():\n    'one'\n", "def f():\n    'two'\n"),
        ("javascript", "f(a, b)", "f(a)(b)"),
        ("javascript", "let a = 1", "const a = 1"),
        ("javascript", "a++", "++a"),
        ("javascript", "`a${b}`", "`b${b}`"),
        ("javascript", "a ? b : c", "a ? c : b"),
        ("javascript", "if (a) b; else c", "if (a) b; c"),
        ("typescript", "let a: string", "let a: number"),
        ("javascript", "let = = a b", "let = = a c"),
        ("markdown", "ab", "a b"),
    ],
)
def test_anything_else_counts(language: str, text: str, other: str) -> None:
    assert digests(text, language)[0] != digests(other, language)[0]


def test_each_function_is_found_with_its_lines() -> None:
    text = "class A:\n  @d\n  def f(self):\n    def g():\n      pass\n\nasync def h(): ...\n"
    assert [shape[:3] for shape in map(_row, shapes(text))] == [
        (None, 1, 7),
        ("A.f", 3, 5),
        ("A.f.g", 4, 5),
        ("h", 7, 7),
    ]
    text = "class A {\n  f() {\n    return () => 1\n  }\n}\nconst h = function () {\n}\n"
    assert [shape[:3] for shape in map(_row, shapes(text, "javascript"))] == [
        (None, 1, 7),
        ("A.f", 2, 4),
        ("A.f.<anonymous>", 3, 3),
        ("h", 6, 7),
    ]


def _row(shape: Shape) -> tuple[str | None, int, int, str]:
    return shape.name, shape.line, shape.end_line, shape.digest


def test_equal_functions_are_equal_wherever_they_stand() -> None:
    inner = "def f(x):\n    def g(y):\n        return x + y\n    return g\n"
    indented = "class A:\n" + "".join(f"  {line}\n" for line in inner.splitlines())
    alone, nested = shapes(inner), shapes(indented)
    assert [s.digest for s in alone[1:]] == [s.digest for s in nested[1:]]
    assert [s.name for s in nested] == [None, "A.f", "A.f.g"]
    assert alone[1].digest != shapes(inner.replace("x + y", "y + x"))[1].digest


def test_short_functions_and_files_are_left_out() -> None:
    text = "def f():\n    pass\n\ndef g():\n    pass\n    pass\n"
    assert [shape.name for shape in shapes(text, min_lines=3)] == [None, "g"]
    assert shapes(text, min_lines=7) == []
    assert shapes(b"") == []


def test_what_does_not_parse_is_compared_by_its_lines() -> None:
    assert digests("def f(:\n    x  =  1") == digests("def  f(:\n\nx = 1\n")
    assert digests("def f(:\n") != digests("def g(:\n")
    long = "9" * 5000  # more digits than Python writes without being asked twice
    assert digests(f"x = {long}\n")[0] == digests(f"x  =  {long}\n")[0]
    escaped = b"# coding: unicode_escape\nx = (\n'\\ud800'\n"
    assert shapes(escaped)[0].digest == shapes(escaped + b"\n")[0].digest


def test_functions_nested_thousands_deep_take_linear_time() -> None:
    depth = 20_000  # quadratic, this would be minutes
    found = shapes("x = " + "() =>\n" * depth + "1", "javascript", min_lines=depth - 1)
    assert len(found) == 4


@pytest.mark.slow
def test_classes_are_those_of_ast_dump() -> None:
    """Over modules of the standard library, each function and file against its dump."""
    ours, dumps = defaultdict(set), defaultdict(set)
    for path in sorted(STANDARD_LIBRARY.glob("[a-f]*.py")):
        content = path.read_bytes()
        for name, line, _, digest in map(_row, shapes(content)):
            ours[digest].add((path.name, name is None, line))
        tree = ast.parse(content)
        if content.strip():
            dumps[ast.dump(tree)].add((path.name, True, 1))
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                dumps[ast.dump(node)].add((path.name, False, node.lineno))
    assert len(ours) > 1000
    assert any(len(members) > 1 for members in ours.values())
    assert sorted(map(sorted, ours.values())) == sorted(map(sorted, dumps.values()))
