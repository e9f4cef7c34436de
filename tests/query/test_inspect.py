"""`codebatch inspect`: the page about one file, one line of it, and finding the file by name."""

from __future__ import annotations

import itertools
import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from conftest import Outcome, Scanned, write_tree

import codebatch
from codebatch.model.errors import AmbiguousPathError, FileNotInBatchError
from codebatch.model.resources import load_schema

Main = Callable[..., Outcome]

HOSTILE: dict[str, str | bytes] = {
    "wide.py": (
        'def f():\n\tif 1:\n\t\tunused = "日本語 e\u0301 \x07 \u202e"; other = 3\n\t\treturn 1\n'
    ),
    "long.py": "x = [" + '"名前", ' * 300 + "]; import os\n",
    "latin.py": "# -*- coding: latin-1 -*-\nimport os  # é\n".encode("latin-1"),
    "crlf.py": b"import os\r\nimport sys\r\n",
    "nested.py": """\
import os.path as p
from . import a, b as c
from .m import *


class Outer(dict, metaclass=type):
    limit = 1

    class Inner(Exception):
        def deep(self, x, *rest, **more):
            local = x
            def helper(y):
                return y or local
            return helper

    def last(self): return 1


def last(): return p, a, c
""",
    "overloads.py": """\
from typing import overload

class A:
    @overload
    def m(self, a: int,
          b: int) -> int: ...
    @overload
    def m(self, b: str) -> str: ...
    def m(self, c=lambda self: 1): return c if c else 1
    @property
    def p(self): return 1
    @p.setter
    def p(self, value): pass
if A:
    def f(x): return 1
else:
    def f(x, y): return x or y
class A:
    def m(self): return 1
""",
    "overloads.ts": """\
export function f(a: 1): void; export function f(b: 2): void
export function f(c: any,
  d?: any) { return c || d; }
abstract class A extends P {
  constructor(a: 1);
  constructor(private a: any) { super(); }
  abstract m(a: 1): void; abstract m(a: 2, b: 3): void; abstract set p(v)
}
declare class A { m({ x, y: [z] }: T, ...rest: 1[]): void }
interface I { m(a: 1): 1; m(b: 2): 2 }
""",
    "overloads.js": """\
var o = { get p() { return 1 }, set p(v) { v || 1 } }; class A { get p() {} set p(w) {} }
if (o) { function f(a) {} } else { function f(b, c) { b || c } }
{ class K extends X { m(a) {} } } { class K extends Y { m(b) { (z) => z } } }
A.f =
  function (a) {}; A.f = function (b) { return b || 1 };
[1].map((v) => v || 1).map((w) => w || 2 || 3);
""",
    "mod.ts": """\
import { x as y } from './x';
export * from './z';
export interface Shape extends Base {}
export class Box extends Shape { grow(n: number) { return n ? y : 2; } }
Box.prototype.shrink = function (n) { return n ? 1 : 2; };
[1].map((v) => v);
""",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    """A finished batch over sources that are hard to show."""
    base = tmp_path_factory.mktemp("hostile")
    tree = write_tree(base / "tree", HOSTILE)
    with open(bytes(tree) + b"/bad\xff\x1b[31m.py", "wb") as stream:
        stream.write(b"import os\n")
    batch, report = codebatch.scan(tree, base / "store", scheduler="sync")
    assert report.status == "done"
    return batch


def inspect(main: Main, batch: codebatch.Batch, *arguments: object) -> Outcome:
    return main("inspect", *arguments, "--batch", batch.id, "--store", batch.path)


def document(main: Main, batch: codebatch.Batch, *arguments: object) -> dict[str, object]:
    done = inspect(main, batch, *arguments, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(load_schema("cli.inspect")).validate(found)
    return found


def columns(text: str) -> int:
    """Columns of a terminal that printed text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def carets(page: str) -> list[tuple[str, str]]:
    """Each source line that has a caret below, with what stands above the caret."""
    lines = page.splitlines()
    found = []
    for above, below in itertools.pairwise(lines):
        if below.replace("|", "").strip() == "^":
            at = below.index("^")
            before = [i for i in range(len(above) + 1) if columns(above[:i]) == at]
            assert before, f"nothing starts above the caret of {above!r}"
            found.append((above, above[before[-1] :]))
    return found


def test_document_is_what_the_records_say(main: Main, scanned: Scanned) -> None:
    for row in scanned.batch.files():
        found = document(main, scanned.batch, row["path"])
        expected = [
            record for record in scanned.batch.sorted_records() if record["path"] == row["path"]
        ]
        assert found["records"] == expected
        assert {name: found[name] for name in ("path", "object", "language", "size")} == {
            name: row[name] for name in ("path", "object", "language", "size")
        }
        assert found == scanned.batch.inspect(str(row["path"]))


def test_page_of_a_file(main: Main, scanned: Scanned) -> None:
    page = inspect(main, scanned.batch, "pkg/cart.py").out
    assert page.startswith("pkg/cart.py  python\n")
    for words in (
        "2 functions, 1 class, 2 imports",
        "class Cart\n",
        "  method add(self, item)",
        "    function price(list)",
        "\nimports\n  os\n  sys\n",
        "2:8 warning L101",
        "    2 | import os\n      |        ^",
    ):
        assert words in page, words
    assert carets(page)[0][1] == "os"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "overloads.py",
            "m(self,a,b)1 m(self,b)1 m(self,c)2 p(self)1 p(self,value)1 f(x)1 f(x,y)2 m(self)1",
        ),
        (
            "overloads.ts",
            "f(a) f(b) f(c,d)2 constructor(a) constructor(a)1 m(a) m(a,b) p(v) m(x,z,rest)",
        ),
        (
            "overloads.js",
            "p()1 p(v)2 p()1 p(w)1 f(a)1 f(b,c)2 m(a)1 m(b)1 f(a)1 f(b)2 <anonymous>2 <anonymous>3",
        ),
    ],
)
def test_functions_of_one_name(hostile: codebatch.Batch, path: str, expected: str) -> None:
    entries = hostile.inspect(path)["outline"]
    assert isinstance(entries, list)
    found = [
        e["name"]
        + (f"({','.join(e['parameters'])})" if "parameters" in e else "")
        + str(e.get("complexity", ""))
        for e in entries
        if e["symbol_type"] in ("function", "method")
    ]
    assert " ".join(found) == expected
    bases = [e.get("bases") for e in entries if e["symbol_type"] == "class"]
    assert bases == [["P"], None] if path.endswith(".ts") else bases == [None] * len(bases)


def test_outline_is_nested_and_measured(main: Main, hostile: codebatch.Batch) -> None:
    entries = hostile.inspect("nested.py")["outline"]
    assert isinstance(entries, list)
    rows = [(e["depth"], e["symbol_type"], e["name"]) for e in entries]
    assert rows == [
        (0, "class", "Outer"),
        (1, "variable", "limit"),
        (1, "class", "Inner"),
        (2, "method", "deep"),
        (3, "function", "helper"),
        (1, "method", "last"),
        (0, "function", "last"),
    ]
    by_line = {e["line"]: e for e in entries}
    assert by_line[6]["bases"] == ["dict"]
    assert by_line[10]["parameters"] == ["self", "x", "rest", "more"]
    assert by_line[12]["complexity"] == 2
    assert by_line[12]["parameters"] == ["y"]
    page = inspect(main, hostile, "nested.py").out
    assert "class Inner(Exception)" in page
    assert "\nimports\n  os.path: as p\n  .: a, b as c\n  .m: *\n" in page


def test_outline_of_typescript(main: Main, hostile: codebatch.Batch) -> None:
    entries = hostile.inspect("mod.ts")["outline"]
    assert isinstance(entries, list)
    names = [(e["depth"], e["name"], e.get("complexity")) for e in entries]
    # What is assigned to a property is measured and listed; a straight callback is not.
    assert names == [(0, "Shape", None), (0, "Box", None), (1, "grow", 2), (0, "shrink", 2)]
    page = inspect(main, hostile, "mod.ts").out
    assert "exports\n  Shape, Box\n  from ./z: *\n" in page
    assert "./x: x as y" in page


def test_caret_stands_under_its_column(main: Main, hostile: codebatch.Batch) -> None:
    page = inspect(main, hostile, "wide.py").out
    assert [text.split()[0] for _, text in carets(page)] == ["unused", "other"]
    assert "\\x07 \\u202e" in page
    assert "日本語 e\u0301" in page


def test_caret_of_a_long_line_stays_on_the_page(main: Main, hostile: codebatch.Batch) -> None:
    shown = carets(inspect(main, hostile, "long.py").out)
    assert shown[-1][1] == "os"
    assert all(columns(line) <= 160 for line, _ in shown)


def test_source_is_decoded_as_the_language_does(main: Main, hostile: codebatch.Batch) -> None:
    assert "import os  # é" in inspect(main, hostile, "latin.py").out
    assert hostile.lines("crlf.py") == ["import os", "import sys"]


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_page_cannot_steer_a_terminal(main: Main, hostile: codebatch.Batch, name: str) -> None:
    for arguments in ((name,), (name, "--at", 1)):
        out = inspect(main, hostile, *arguments).out
        assert not {c for c in out if unicodedata.category(c) in {"Cc", "Cf"}} - {"\n"}


def test_name_that_is_not_utf_8(main: Main, hostile: codebatch.Batch) -> None:
    done = inspect(main, hostile, "bad\udcff\x1b[31m.py")
    assert done.out.startswith("bad\\xff\\x1b[31m.py  python\n")
    assert document(main, hostile, "bad\udcff\x1b[31m.py")["path"] == "bad\udcff\x1b[31m.py"


@pytest.mark.parametrize(
    ("line", "chain"),
    [
        (1, []),
        (7, ["Outer"]),
        (11, ["Outer", "Inner", "deep"]),
        (13, [*"Outer Inner deep helper".split()]),
    ],
)
def test_what_encloses_a_line(
    main: Main, hostile: codebatch.Batch, line: int, chain: list[str]
) -> None:
    at = document(main, hostile, "nested.py", "--at", line)["at"]
    assert isinstance(at, dict)
    assert [symbol["name"] for symbol in at["enclosing"]] == chain
    page = inspect(main, hostile, "nested.py", "--at", line).out
    assert page.startswith(f"nested.py:{line}\n")
    assert f"\n> {line} | " in page or f"\n> {line:>2} | " in page


def test_what_is_at_a_line(main: Main, hostile: codebatch.Batch) -> None:
    at = document(main, hostile, "wide.py", "--at", 3)["at"]
    assert isinstance(at, dict)
    assert [symbol["name"] for symbol in at["symbols"]] == ["unused", "other"]
    assert {record["line"] for record in at["diagnostics"]} == {3}
    assert [row["line"] for row in at["source"]] == [1, 2, 3, 4]
    page = inspect(main, hostile, "wide.py", "--at", 3).out
    assert page.count("^ warning L102") == 2
    assert "in function f()  cyclomatic 2" in page


@pytest.mark.parametrize("line", [5, 10_000])
def test_line_past_the_end(main: Main, hostile: codebatch.Batch, line: int) -> None:
    done = inspect(main, hostile, "wide.py", "--at", line)
    assert done.code == 2
    assert "it has 4 lines" in done.err


def test_link_binary_and_empty_file(main: Main, scanned: Scanned) -> None:
    link = inspect(main, scanned.batch, "link.py").out
    assert link.startswith("link.py  symbolic link\n  target   pkg/cart.py\n")
    assert "not looked at\n  parse, analyze, symbols, lint: symbolic link\n" in link
    binary = inspect(main, scanned.batch, "logo.png").out
    assert "parse, analyze, symbols, lint: binary" in binary
    assert inspect(main, scanned.batch, "logo.png", "--at", 1).code == 2
    assert inspect(main, scanned.batch, "pkg/empty.py").code == 0


@pytest.mark.parametrize(
    "name", ["cart.py", "pkg/cart.py", "./pkg/cart.py", "pkg/../pkg/cart.py", "pkg//cart.py"]
)
def test_names_of_one_file(main: Main, scanned: Scanned, name: str) -> None:
    assert document(main, scanned.batch, name)["path"] == "pkg/cart.py"


def test_path_on_this_machine(
    main: Main, scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scanned.tree / "web")
    for name in ("../pkg/cart.py", scanned.tree / "pkg" / "cart.py"):
        assert document(main, scanned.batch, name)["path"] == "pkg/cart.py"


def test_unknown_file_suggests_near_names(main: Main, scanned: Scanned) -> None:
    done = inspect(main, scanned.batch, "pkg/crat.py", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (2, "FILE_NOT_FOUND")
    assert error["hints"][0] == "did you mean pkg/cart.py?"
    assert error["details"]["candidates"][0] == "pkg/cart.py"
    with pytest.raises(FileNotInBatchError):
        scanned.batch.inspect("art.py")


def test_folder_is_no_file(main: Main, scanned: Scanned) -> None:
    done = inspect(main, scanned.batch, "pkg")
    assert done.code == 2
    assert "codebatch files --path pkg" in done.err


def test_ambiguous_name_lists_candidates(main: Main, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a/x.py": "1\n", "b/x.py": "2\n", "c/ax.py": "3\n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    with pytest.raises(AmbiguousPathError) as raised:
        batch.inspect("x.py")
    assert raised.value.details["candidates"] == ["a/x.py", "b/x.py"]
    done = inspect(main, batch, "x.py")
    assert (done.code, "a/x.py" in done.err) == (2, True)


def test_only_the_shard_of_the_file_is_read(main: Main, scanned_copy: Scanned) -> None:
    batch = scanned_copy.batch
    shard = batch.inspect("pkg/cart.py")["shard_id"]
    expected = inspect(main, batch, "pkg/cart.py").out
    for folder in scanned_copy.path.glob("batches/*/tasks/*/shards/*"):
        if folder.name != shard:
            shutil.rmtree(folder)
    assert inspect(main, batch, "pkg/cart.py").out == expected


def test_unfinished_shard_is_said(main: Main, store: codebatch.Store, tree: Path) -> None:
    batch = store.batch(store.snapshot(tree))
    page = inspect(main, batch, "pkg/cart.py").out
    assert "not finished\n  parse: pending\n" in page
    assert "codebatch resume --batch" in page
    found = document(main, batch, "pkg/cart.py")
    assert found["records"] == []
    assert {task["status"] for task in found["tasks"]} == {"pending"}  # type: ignore[attr-defined]


def test_failed_shard_says_why(main: Main, store: codebatch.Store, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    batch = store.batch(store.snapshot(tree))
    for path in store.path.glob("objects/*/*/*/*"):
        path.unlink()
    assert batch.run("sync").status == "failed"
    page = inspect(main, batch, "a.py")
    assert page.code == 0
    assert "parse: failed, " in page.out


def test_source_that_is_gone_is_a_note(main: Main, scanned_copy: Scanned) -> None:
    digest = str(scanned_copy.batch.inspect("pkg/cart.py")["object"]).removeprefix("sha256:")
    for path in scanned_copy.path.glob(f"objects/sha256/*/*/{digest}*"):
        path.unlink()
    done = inspect(main, scanned_copy.batch, "pkg/cart.py")
    assert done.code == 0
    assert "the source cannot be shown" in done.err
    assert "2:8 warning L101" in done.out
    assert inspect(main, scanned_copy.batch, "pkg/cart.py", "--at", 2).code == 4
