"""The Python front end: known answers on tricky source, and proofs over real files."""

from __future__ import annotations

import ast
import collections
import io
import re
import subprocess
import sys
import sysconfig
import threading
import tokenize
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import msgpack
import pytest
from conftest import REPOSITORY

from codebatch.tasks.languages.python.encode import FORMAT
from codebatch.tasks.languages.python.parse import NULL_BYTES, TOO_DEEP
from codebatch.tasks.source import SourceFile

STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
FOLDED = (ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop)


def parsed(source: str | bytes) -> Any:
    content = source.encode() if isinstance(source, str) else source
    return SourceFile(content, "python").parsed


def fault(source: str | bytes) -> tuple[int, int, str]:
    (found,) = parsed(source).faults
    return tuple(found)


def names(source: str, kind: str) -> list[str]:
    """Names of one type, with their scopes where these are not the module."""
    return [
        s.name if s.scope == "module" else f"{s.scope}:{s.name}"
        for s in parsed(source).symbols()
        if s.symbol_type == kind
    ]


def function_numbers(source: str) -> dict[str, tuple[int, int, int]]:
    return {f.name: tuple(f[2:]) for f in parsed(source).metrics().functions}


def real_files(step: int) -> list[Path]:
    files = [p for p in STANDARD_LIBRARY.rglob("*.py") if "site-packages" not in p.parts]
    return sorted(files)[::step]


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("x = 1 2\n", 1, 7),
        ('x = "é" ; y = $\n', 1, 15),
        ("é = (1 2)\n", 1, 6),
        ('x = "😀" + (1 2)\n', 1, 12),
        ('é = "ééé" + "abc\n', 1, 13),
        ("\ufeffé = 1 2\n", 1, 7),
        ("x = 1\r\ny = $\r\n", 2, 5),
        ("x = 1\ry = $\r", 2, 5),
        ('x = "a\u2028b" + (1 2)\n', 1, 14),
        ("if é:\nx\n", 2, 1),
        ("x = (\n", 1, 5),
        ("f() = 1\n", 1, 1),
        ("if x:\n\ty\n        z\n", 3, 1),
        ('# coding: latin-1\ny = "é" + (1 2)\n'.encode("latin-1"), 2, 12),
    ],
)
def test_fault_is_at_the_character(source, line, column):
    assert fault(source)[:2] == (line, column)


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [(b"x = 1\ny=\0\n", 2, 3), (b"\0", 1, 1), ("x=1\n".encode("utf-16"), 1, 4)],
)
def test_null_bytes_are_a_fault_with_one_message(source, line, column):
    assert fault(source) == (line, column, NULL_BYTES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b'x = 1\ny = "\xe9"\n', (2, 6, "'utf-8' codec cannot decode byte 0xe9")),
        (b"x = 1\n\xe9 = 2\n", (2, 1, "'utf-8' codec cannot decode byte 0xe9")),
        (b'# coding: ascii\nx = "\xe9"\n', (2, 6, "'ascii' codec cannot decode byte 0xe9")),
        (b"\xef\xbb\xbfx = '\xff'", (1, 6, "'utf-8' codec cannot decode byte 0xff")),
        (b"# coding: foobar\nx\n", (1, 1, "unknown encoding: foobar")),
        (b"#!/bin/python\n# coding: foobar\nx\n", (2, 1, "unknown encoding: foobar")),
    ],
)
def test_undecodable_source_is_a_fault(source, expected):
    assert fault(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\n",
        b"\xef\xbb\xbfx = 1\n",
        b"x = 1\r\nif x:\r\n    y = 2\r\n",
        b"x = 1\ry = 2\r",
        b"\x0cx = 1\n",
        '# coding: latin-1\nx = "é"\n'.encode("latin-1"),
        '# coding: utf-7\nx = "é"\n'.encode("utf-7"),
        b"return 1\n",
        b"x = '\\d' is 1\n",
    ],
)
def test_what_the_parser_accepts_is_no_fault(source):
    assert parsed(source).faults == ()


def test_a_faulty_file_offers_nothing():
    broken = parsed("def f(:\n")
    assert broken.encode() is None
    assert broken.metrics() is None
    assert list(broken.symbols()) == list(broken.edges()) == []


def test_messages_hold_no_path():
    assert "<" not in fault("x = 1 2\n")[2]


# --- depth --------------------------------------------------------------------------------------

DEEP = {
    "attributes": "a" + ".b" * 20_000,
    "sums": "a" + "+b" * 20_000,
    "calls": "a" + "()" * 20_000,
    "elifs": "if x: pass\n" + "elif x: pass\n" * 2_500,
    "ternaries": "x = " + "a if b else " * 2_500 + "c",
    "chains": "x = " + "(a or " * 90 + "b" + " and c)" * 90,
    "lambdas": "x = " + "lambda: " * 900 + "0",
}


@pytest.mark.parametrize("name", sorted(DEEP))
def test_deep_code_is_answered_or_refused(name):
    found = parsed(DEEP[name])
    if found.faults:
        assert sys.version_info >= (3, 12)
        assert found.faults[0] == (1, 1, TOO_DEEP)
        return
    assert found.encode().nodes > 100
    assert found.metrics().module.cyclomatic >= 1
    assert list(found.symbols()) is not None
    assert list(found.edges()) == []


def test_code_deeper_than_any_parser_takes():
    assert fault("-" * 100_000 + "x") == (1, 1, TOO_DEEP)


def test_deep_parsing_restores_limits():
    limit, size = sys.getrecursionlimit(), threading.stack_size()
    parsed(DEEP["attributes"])
    assert (sys.getrecursionlimit(), threading.stack_size()) == (limit, size)


def test_a_deep_base_class_has_a_name():
    depth = 2_000
    found = parsed("class A(b" + ".c" * depth + "): pass\n")
    (edge,) = found.edges()
    assert edge.target == "b" + ".c" * depth


# --- warnings and threads -----------------------------------------------------------------------

WARNS = b"x = '\\d'\ny = x is 1\nz = 1if x else 2\n"


def test_warnings_are_no_errors_and_print_nothing():
    code = (
        "from codebatch.tasks.source import SourceFile\n"
        f"assert SourceFile({WARNS!r}, 'python').parsed.faults == ()\n"
    )
    root = REPOSITORY
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=root, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_warning_filters_are_restored():
    before = list(warnings.filters)
    parsed(WARNS)
    parsed("x = (\n")
    assert warnings.filters == before


@pytest.mark.slow
def test_threads_parse_at_once():
    sources = [WARNS, b"x = (\n", b"def f(a): return a\n", DEEP["attributes"].encode()] * 25
    expected = [(parsed(s).faults, len(list(parsed(s).symbols()))) for s in sources]
    before = list(warnings.filters)
    answers: dict[int, object] = {}

    def work(number: int) -> None:
        for index in range(number, len(sources), 8):
            found = parsed(sources[index])
            answers[index] = found.faults, len(list(found.symbols()))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[i] for i in range(len(sources))] == expected
    assert warnings.filters == before


# --- encoding -----------------------------------------------------------------------------------


PLACES = ("line", "column", "more_lines", "end_column", "name_line", "name_column")


def decode(data: bytes) -> tuple[ast.AST, dict[str, list[tuple[int, int]]]]:
    """The tree again, and the places of names, from the format's description alone."""
    document = msgpack.unpackb(data)
    assert list(document) == ["types", "operators", "type", "columns"]
    counts = collections.Counter(document["type"])
    cursors = [
        zip(*(column or [1] * counts[kind] for column in columns), strict=True)
        for kind, columns in enumerate(document["columns"])
    ]
    named: dict[str, list[tuple[int, int]]] = {}
    top = ast.Expression()
    due: list[tuple[ast.AST, str]] = [(top, "body")]
    for kind in document["type"]:
        name, scalars, children, lists, places = document["types"][kind]
        node = getattr(ast, name)() if name else None
        parent, held_by = due.pop()
        if isinstance(getattr(parent, held_by, None), list):
            getattr(parent, held_by).append(node)
        else:
            setattr(parent, held_by, node)
        if node is None:
            continue
        entry = iter(next(cursors[kind], ()))
        place = {key: next(entry) for key in places}
        for field in scalars:
            value = read_value(next(entry))
            setattr(node, field, unfold(field, value, document["operators"]))
        below = {field: next(entry) for field in children}
        for field in reversed(children):
            setattr(node, field, [] if field in lists else None)
            due += [(node, field)] * below[field]
        if "line" in place:
            node.lineno, node.col_offset = place["line"], place["column"]
            node.end_lineno = place["line"] + place["more_lines"]
            node.end_col_offset = place["end_column"]
        if place.get("name_line"):
            where = (place["name_line"], place["name_column"])
            named.setdefault(name_of(node), []).append(where)
    assert not due
    assert [next(cursor, None) for cursor in cursors] == [None] * len(cursors)
    return top.body, named


def name_of(node: Any) -> str:
    if isinstance(node, ast.alias):
        return str(node.asname)
    return str(node.rest if isinstance(node, ast.MatchMapping) else node.name)


def read_value(value: Any) -> Any:
    if not isinstance(value, list) or value[:1] not in (
        ["str"],
        ["int"],
        ["complex"],
        ["ellipsis"],
    ):
        return value
    tag, *parts = value
    if tag == "str":
        return parts[0].decode("utf-8", "surrogatepass")
    if tag == "complex":
        return complex(*parts)
    return int(parts[0], 16) if tag == "int" else Ellipsis


def unfold(field: str, value: Any, operators: list[str]) -> Any:
    if field in {"ctx", "op"}:
        return getattr(ast, operators[value])()
    if field == "ops":
        return [getattr(ast, operators[index])() for index in value]
    return value


def assert_lossless(source: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    encoded = parsed(source).encode()
    assert encoded.format == FORMAT == "python-ast-flat/2+msgpack"
    assert encoded.nodes == sum(not isinstance(node, FOLDED) for node in ast.walk(tree))
    lines = SourceFile(source, "python").lines
    expected = ast.dump(in_characters(tree, lines), include_attributes=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of 3.13, for nodes made without their fields
        decoded, named = decode(encoded.data)
    assert ast.dump(decoded, include_attributes=True) == expected
    for name, places in named.items():
        for line, column in places:
            word = re.match(r"\w+", lines[line - 1][column:])
            assert word is not None
            assert unicodedata.normalize("NFKC", word.group()) == name


def in_characters(tree: ast.AST, lines: list[str]) -> ast.AST:
    for node in ast.walk(tree):
        if hasattr(node, "col_offset"):
            for line, column in (("lineno", "col_offset"), ("end_lineno", "end_col_offset")):
                number, offset = getattr(node, line), getattr(node, column)
                head = lines[number - 1].encode()[:offset] if number <= len(lines) else b""
                setattr(node, column, len(head.decode()))
    return tree


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = [1, 1.0, True, '1', 1j, b'1', None, ..., False, 0, 0.0, 0j]",
        f"x = {2**63} + {2**64 - 1} + {2**64} + {10**400} + 0x{'f' * 3000}",
        "x = [1e999, -1e999, 1e999 - 1e999, 1e-320, 0.1, 1e999j, 1e22]",
        "x = '\\ud800' + '\\udfff\\x00' + 'é\\U0001f600' + b'\\xff\\x00'.decode()",
        "x = u'a' 'b'\ny = 'Load'\nLoad = Store",
        "x = {**a, 1: 2, **b}\ndef f(a, /, b=1, *c, d, e=2, **g): global h, i",
        "x = a < b <= c is not d not in e != f",
        "f'{x!r:>{w}} {{}} {y=}' f''",
        "match x:\n case {'a': 1, **r} | A(1, b=2) | [*_, None] if x: pass\n case _: pass",
        "async def f():\n async for x in y: await z\n async with a as b: yield\n",
        "with a as b, c: pass\nfor x in y: pass\nelse: pass\nx: int = 1\n(y): int\ndel x[1:2, ...]",
        "try: pass\nexcept (A, B) as e: raise X from e\nelse: pass\nfinally: pass\nnonlocal q",
        "from .. import a as b, c\nfrom . import *\nimport x.y as z",
        "@a\nclass B(C, metaclass=D, **k): ...\n[x async for y in z if w if v]",
        "x @= not -y ** ~z // 2 << 3 and (w := 1) or (lambda *a, **k: a)",
        "é = 'ü'; è = 'ß' + x\nx = '''é\né''', é\nimport é as à, è.x as ù",
        "async  def  é(): pass\nclass \\\n  B: pass\n@é\nclass\tA(é): x = 'é'; y = 1",
        "try: pass\nexcept (é,  # as no\n x) as \\\n  ü: pass\nexcept A: pass",
        "match é:\n case {'é': 1, **ü} | ['é', *ö] | (A() as ä): pass\n case ü: pass",
    ],
)
def test_encoding_is_lossless(source):
    assert_lossless(source.encode())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with Python 3.12")
def test_encoding_of_type_parameters():
    assert_lossless(b"type X[T: int, *U, **P] = list[T]\ndef f[T](): pass\nclass A[T]: pass\n")


@pytest.mark.slow
def test_encoding_of_real_files():
    for path in real_files(40):
        source = path.read_bytes()
        if not parsed(source).faults:
            assert_lossless(source)


def test_equal_sources_encode_to_equal_bytes():
    source = "def f(x):\n    return {x: 'Load', **y}\n"
    assert parsed(source).encode() == parsed(source).encode()


# --- metrics ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        ("pass", (1, 0, 0)),
        ("if a: b", (2, 1, 1)),
        ("if a: b\n elif c: d\n else: e", (3, 3, 1)),
        ("if a: b\n else:\n  if c: d", (3, 4, 2)),
        ("for x in y: pass\n else: pass", (3, 2, 1)),
        ("while x:\n  if y: pass", (3, 3, 2)),
        ("try: a\n except B: c\n except D: e\n else: f\n finally: g", (4, 3, 1)),
        ("try:\n  if a: b\n except B:\n  if c: d", (4, 4, 2)),
        ("with a:\n  if b: c", (2, 1, 2)),
        ("return a and b and c", (3, 1, 0)),
        ("return a and b or c and d", (4, 3, 0)),
        ("return a or b and c or d", (4, 3, 0)),
        ("return a and (b and c)", (3, 1, 0)),
        ("return a and not (b and c)", (3, 2, 0)),
        ("return f(a or b, c or d)", (3, 2, 0)),
        ("return a if b else c if d else e", (3, 3, 0)),
        ("return lambda: a if b else c", (2, 2, 0)),
        ("return (lambda x=a if b else c: d if e else f), (g if h else i)", (4, 4, 0)),
        ("return f(lambda: lambda: (a if b else c) if d else e)", (3, 7, 0)),
        ("if a:\n  return [b if c else (d if e else f)]", (4, 6, 1)),
        ("return [a for b in c if d if e for f in g]", (5, 0, 0)),
        ("assert a and b", (3, 1, 0)),
        ("match a:\n  case 1: b\n  case 2 if c: d\n  case _: e", (3, 1, 1)),
        ("match a:\n  case _ if b: c\n  case d: e", (2, 1, 1)),
        ("if a:\n  for b in c:\n   while d: e", (4, 6, 3)),
    ],
)
def test_complexity_of_a_function(body, numbers):
    assert function_numbers(f"def f():\n {body}\n") == {"f": numbers}


def test_a_nested_function_is_counted_once_and_starts_afresh():
    source = (
        "def f(a):\n if a:\n  def g(b=a or 1):\n   if b: return\n  class C:\n   def h(self): pass\n"
    )
    assert function_numbers(source) == {"f": (3, 2, 1), "f.g": (2, 1, 1), "f.C.h": (1, 0, 0)}


def test_class_bodies_and_decorators_belong_to_the_module():
    found = parsed(
        "class A:\n x = 1 if y else 2\n @d(a or b)\n def m(self): pass\nimport z\n"
    ).metrics()
    assert found.module == ("module", 1, 3, 2, 0)
    assert [f.name for f in found.functions] == ["A.m"]
    assert (found.classes, found.imports) == (1, 1)


def test_elif_is_told_from_an_if_in_else_by_the_text():
    flat = function_numbers("def é():\n\tif a: b\n\telif c: d\n")
    piled = function_numbers("def é():\n\tif a: b\n\telse:\n\t\tif c: d\n")
    assert flat == {"é": (3, 2, 1)}
    assert piled == {"é": (3, 4, 2)}


@pytest.mark.parametrize(
    ("source", "code", "comments"),
    [
        ("", 0, 0),
        ("x = 1  # one\n# two\n\n   # three\n", 1, 2),
        ('"""Doc\n# not a comment\n\nend"""\n', 3, 0),
        ('x = ("a"\n     # comment\n     "b")\n', 2, 1),
        ('x = ("""a\n# text\n"""\n     # comment\n     r\'b\')\n', 4, 1),
        ("x = 1 + \\\n    \\\n    2\n", 2, 0),
        ('x = """\n\\\n"""\n', 3, 0),
        ("x = 1 \\\n# comment\n", 1, 1),
        ('x = f"""{a}\n# text {b}\n"""\n', 3, 0),
        ('y = "é"; x = ("é"\n# comment\n"b")\n', 2, 1),
        ("#!/bin/python\n# coding: utf-8\n\x0c\n# form feed above\n", 0, 3),
        ("x = 'a\\\n# text'\n", 2, 0),
    ],
)
def test_code_and_comment_lines(source, code, comments):
    found = parsed(source).metrics()
    assert (found.code_lines, found.comment_lines) == (code, comments)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="comments in f-strings: Python 3.12")
def test_comments_inside_an_f_string():
    found = parsed('x = f"{\n# comment\na["""\n# text\n"""]}"\n').metrics()
    assert (found.code_lines, found.comment_lines) == (4, 1)


def lines_by_tokenize(lines: list[str]) -> tuple[int, int]:
    code: set[int] = set()
    comments: set[int] = set()
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    text = io.StringIO("\n".join(lines) + "\n")
    for token in tokenize.generate_tokens(text.readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in layout:
            code.update(range(token.start[0], token.end[0] + 1))
    code = {number for number in code if number <= len(lines) and lines[number - 1].strip()}
    return len(code), len(comments - code)


@pytest.mark.slow
def test_lines_of_real_files_agree_with_tokenize():
    for path in real_files(15):
        source = SourceFile(path.read_bytes(), "python")
        found = source.parsed.metrics()
        if found is not None:
            expected = lines_by_tokenize(source.lines)
            assert (found.code_lines, found.comment_lines) == expected, path.name


def comments_by_tokenize(text: str) -> list[tuple[int, int, str]]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [token for token in tokens if token.type == tokenize.COMMENT]
    return [(token.start[0], token.start[1] + 1, token.string) for token in found]


@pytest.mark.slow
def test_comments_of_real_files_agree_with_tokenize():
    for path in real_files(15):
        source = SourceFile(path.read_bytes(), "python")
        comments = source.parsed.comments()
        if comments is not None:  # it parses
            found = [comment[:3] for comment in comments]
            assert found == comments_by_tokenize(source.text), path.name


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = '#' # '\n",
        "x = '\\'#' \"#\" r'\\#' R'\\'#' # a\n# b",
        "x = ''  # a\ny = '' '#' \"\"  # b\n",
        'x = """a"b""c\\"""" # d """ # "e"\n',
        "x = '''# a\n''\\'# b\n'''; y = 1 \\\n  + 2 # c\n",
        "x = 'a\\\n# b' # c\n",
        "x = 1 # a\r\n# b\ry = 2 # c\n\x0c# d\n",
        "größe = 'ü' # ä\n",
        "x = f'# {a} {{' # f'\n",
        pytest.param(
            "x = f'{a['#']}' # b\ny = f'{\n# c\na}' # d\n",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="PEP 701"),
        ),
    ],
)
def test_comments_and_strings(source):
    assert [comment[:3] for comment in parsed(source).comments()] == comments_by_tokenize(source)


def test_a_comment_is_about_the_strings_before_it():
    source = 'x = """\na""" + """b\n"""  # c\ny = 1  # d\nz = (\n    2,  # e\n)\n'
    assert [(found.line, found.about) for found in parsed(source).comments()] == [
        (3, 1),
        (4, 4),
        (6, 6),
    ]


# --- symbols ------------------------------------------------------------------------------------


def test_symbols_with_their_places():
    source = (
        "import os.path\n"
        "class Café(Base):\n"
        "    größe: int = 1; andere = 2\n"
        "    @property\n"
        "    async  def  add(self, *args): \n"
        "        return 1\n"
    )
    assert [tuple(s) for s in parsed(source).symbols()] == [
        ("os", "import", "module", 1, 8, 1),
        ("Café", "class", "module", 2, 7, 6),
        ("größe", "variable", "Café", 3, 5, 3),
        ("andere", "variable", "Café", 3, 21, 3),
        ("add", "method", "Café", 5, 17, 6),
        ("self", "parameter", "Café.add", 5, 21, 5),
        ("args", "parameter", "Café.add", 5, 28, 5),
    ]


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ("a = b = 1; a = 2", ["a", "b"]),
        ("(a, [b, *c]), d.e, f[0] = x", ["a", "b", "c"]),
        ("a: int\nb: int = 1\nc += 1", ["a", "b", "c"]),
        ("for a, b in c: pass", ["a", "b"]),
        ("with a as b, c as (d, e): pass", ["b", "d", "e"]),
        ("try: pass\nexcept (A) as e: pass", ["e"]),
        ("[a for a in b]", []),
        ("[(y := a) for a in b]", ["y"]),
        ("f = lambda a, b=(c := 1): (d := 2)", ["f", "c"]),
        ("def f(x=(y := 1)): z = 1", ["y", "f:z"]),
        (
            "@(a := b)\ndef f() -> (c := d):\n e = 1\nclass C((g := h)): i = 1",
            "a c f:e g C:i".split(),
        ),
        ("[a for b[(c := 1)] in d if (e := 2)]; lambda: [f for g[(h := 1)] in i]", ["e"]),
        (
            "def f():\n if a: global b\n b, [*c] = d\n with e as f.g, h as i: j = 1",
            "b f:c f:i f:j".split(),
        ),
        (
            "def f():\n try: pass\n except A as a: b = 1\n else: c = 1\n finally: d = 1\ne = 1",
            "f:a f:b f:c f:d e".split(),
        ),
        ("def f():\n global g\n g = 1", ["g"]),
        ("def f():\n a = 1\n def g():\n  nonlocal a\n  a = 2", ["f:a"]),
        ("x = (b := 1) if (a := 2) else (c := 3)", ["x", "b", "a", "c"]),
        (
            "match x:\n case [a, *b] | {'k': c, **d} | A(e) as f: pass\n case g: pass",
            list("abcdefg"),
        ),
        ("match x:\n case {**rest}: pass", ["rest"]),
        ("class A:\n b = 1\n class C:\n  d = 1", ["A:b", "A.C:d"]),
        ("if x:\n a = 1\nelse:\n a = 2", ["a"]),
        ("a.b = c[0] = 1\ndel d", []),
    ],
)
def test_variables(source, variables):
    assert names(source, "variable") == variables


@pytest.mark.parametrize(
    ("source", "symbol", "line", "column"),
    [
        ("try: pass\nexcept (A # as x\n ) as e: pass", "e", 3, 7),
        ("match x:\n case {'é': (1), **rest }: pass", "rest", 2, 20),
        ("match x:\n case é as y: pass", "y", 2, 12),
        ("match x:\n case [é, *z]: pass", "z", 2, 12),
        ("x = 'é'; import a.b as  c", "c", 1, 25),
        ("from a import (b, # é\n  c as d)", "d", 2, 8),
        ("def \\\n  f(): pass", "f", 2, 3),
        ("class\tA: pass", "A", 1, 7),
        ("'é'; x = 1", "x", 1, 6),
        ("ﬁ = 1; y = 2", "y", 1, 8),
        ("import a as ﬁ", "fi", 1, 13),
    ],
)
def test_a_symbol_stands_where_its_name_does(source, symbol, line, column):
    (found,) = [s for s in parsed(source).symbols() if s.name == symbol]
    assert (found.line, found.column) == (line, column)


def test_columns_in_a_source_that_is_not_utf8():
    source = '# coding: latin-1\ns = "éé"; x = 1\n'.encode("latin-1")
    assert [(s.name, s.column) for s in parsed(source).symbols()] == [("s", 1), ("x", 11)]


def test_every_definition_is_a_symbol():
    source = (
        "@overload\ndef f(): ...\ndef f(): ...\nclass A:\n def m(self): pass\n def m(self): pass\n"
    )
    assert names(source, "function") == ["f", "f"]
    assert names(source, "method") == ["A:m", "A:m"]


def test_all_kinds_of_parameters_in_order():
    source = "def f(a, /, b, *c, d, e=1, **g): return lambda h: h"
    assert names(source, "parameter") == [f"f:{name}" for name in "abcdeg"]


def test_a_global_function_belongs_to_the_module():
    source = "def f():\n global g\n def g():\n  x = 1\n"
    assert names(source, "function") == ["f", "g"]
    assert names(source, "variable") == ["g:x"]


@pytest.mark.parametrize(
    ("source", "imports"),
    [
        ("import a.b, c as d", ["a", "d"]),
        ("from .a import b as c, d", ["c", "d"]),
        ("from a import *", []),
        ("try:\n import a\nexcept E:\n import b as a", ["a"]),
        ("def f():\n import a", ["f:a"]),
    ],
)
def test_imports(source, imports):
    assert names(source, "import") == imports


@pytest.mark.parametrize(
    ("source", "exports"),
    [
        ("__all__ = ['a', 'b']", ["a", "b"]),
        ("__all__: list[str] = ('a',)", ["a"]),
        ("__all__ = ['a'] + x.__all__ + ['b']\n__all__ += ['c', 'a']", ["a", "b", "c"]),
        ("__all__.append('a')\n__all__.extend(['b', 1, 'not a name'])", ["a", "b"]),
        ("if x:\n __all__ = ['a']", ["a"]),
        ("def f():\n __all__ = ['a']", []),
        ("import a as a, b as c\nfrom d import e as e", ["a", "e"]),
        ("__all__ = ['\\ud800']", []),
    ],
)
def test_exports(source, exports):
    assert names(source, "export") == exports


# --- edges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "edges"),
    [
        ("import a.b", [("a.b", None, None)]),
        ("import a.b as c, d as d", [("a.b", None, "c"), ("d", None, None)]),
        ("from ..a.b import c, d as e", [("..a.b", "c", None), ("..a.b", "d", "e")]),
        ("from . import a", [(".", "a", None)]),
        ("from a import *", [("a", "*", None)]),
    ],
)
def test_import_edges(source, edges):
    found = list(parsed(source).edges())
    assert [(e.target, e.name, e.alias) for e in found] == edges
    assert {e.edge_type for e in found} == {"imports"}


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("A", "A"),
        ("a.b.C", "a.b.C"),
        ("Generic[T]", "Generic"),
        ("namedtuple('A', 'x y')", "namedtuple(...)"),
        ("a.make().B", "a.make(...).B"),
        ("*bases", "*bases"),
        ("A if x else B", "<IfExp>"),
        ("(lambda: A)()", "<Lambda>(...)"),
    ],
)
def test_inherits_edges(base, target):
    (edge,) = parsed(f"class X({base}, metaclass=M): pass").edges()
    assert (edge.edge_type, edge.target, edge.line) == ("inherits", target, 1)


def test_edges_are_in_source_order_at_their_own_lines():
    found = parsed("from a import (\n b,\n c,\n)\nclass D(\n E,\n): import f\n").edges()
    assert [(e.line, e.name or e.target) for e in found] == [(2, "b"), (3, "c"), (6, "E"), (7, "f")]


# --- the whole ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_files_give_ordered_answers_inside_the_file():
    for path in real_files(10):
        source = SourceFile(path.read_bytes(), "python")
        found = source.parsed
        symbols = list(found.symbols())
        assert symbols == sorted(symbols, key=lambda s: (s.line, s.column))
        for symbol in symbols:
            line = source.lines[symbol.line - 1]
            if symbol.symbol_type != "export":
                text = unicodedata.normalize("NFKC", line[symbol.column - 1 :])
                assert text.startswith(symbol.name), (path.name, symbol)
        assert all(edge.line <= len(source.lines) for edge in found.edges())
