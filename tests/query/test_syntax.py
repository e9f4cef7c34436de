"""`codebatch tree` and `cat`: the syntax tree and the source of one file."""

from __future__ import annotations

import ast
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, Scanned, write_tree

import codebatch
from codebatch.model.errors import BatchUnfinishedError, NoSyntaxTreeError, StoreDamagedError
from codebatch.query import syntax

Main = Callable[..., Outcome]

TRICKY = '''\
"""Doc."""
@wrap
class A(B, metaclass=M):
    x: int = 0x1FFFFFFFFFFFFFFFFFFFF
    def f(self, a, /, *b, c=1e999, d, **e): return {**a, "k": 2j, **{}}


async def g():
    global y, z
    é = "\\ud800 ü", b"\\x00"; w = ...
    async with a as b, c: pass
    match v:
        case {"x": [1, *rest], **more} if w < 1 <= 2: del a[1:2]
    try: raise E from None
    except* (X, Y) as err: return f"{a!r:>{w}} b" if not a else [i async for i in b if i]
'''
DEEP = 30_000


def expected(tree: ast.AST) -> Iterator[tuple[str, str, str, tuple[int, ...] | None]]:
    """Yield parent, field, class and place of each node below; columns are bytes."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            for node in value if isinstance(value, list) else [value]:
                if isinstance(node, (ast.expr_context, ast.operator, ast.unaryop, ast.boolop)):
                    continue
                if isinstance(node, ast.AST) and not isinstance(node, ast.cmpop):
                    place = None
                    if hasattr(node, "lineno"):
                        place = (node.lineno, node.col_offset + 1)  # type: ignore[attr-defined]
                        place += (node.end_lineno, node.end_col_offset + 1)  # type: ignore[attr-defined]
                    yield type(parent).__name__, field, type(node).__name__, place


def pairs(node: codebatch.SyntaxNode) -> Iterator[tuple[str, str, str, tuple[Any, ...] | None]]:
    for parent in node:
        for child in parent.children:
            place = (child.line, child.column, child.end_line, child.end_column)
            known = None if child.line is None else place
            yield parent.type, child.field, child.type, known


@pytest.fixture
def parsed(store: codebatch.Store, tmp_path: Path) -> Callable[..., codebatch.Batch]:
    def parse(**files: str | bytes) -> codebatch.Batch:
        named = {name.replace("_", "."): content for name, content in files.items()}
        batch = store.batch(store.snapshot(write_tree(tmp_path / "tree", named)), "parse")
        batch.run("sync")
        return batch

    return parse


@pytest.mark.skipif(sys.version_info < (3, 11), reason="except* is of Python 3.11")
def test_a_python_tree_is_that_of_ast(parsed: Callable[..., codebatch.Batch]) -> None:
    source = TRICKY.replace("é", "e").replace(" ü", "")
    tree = parsed(a_py=source).tree("a.py")
    assert Counter(pairs(tree.root)) == Counter(expected(ast.parse(source)))
    assert len(tree) == len([*pairs(tree.root)]) + 1
    values = {
        node.type: node.values for node in tree if node.type in {"Global", "BinOp", "Compare"}
    }
    assert values == {"Global": {"names": ["y", "z"]}, "Compare": {"ops": ["Lt", "LtE"]}}
    constants = [node.values["value"] for node in tree if node.type == "Constant"]
    assert {0x1FFFFFFFFFFFFFFFFFFFF, 2j, ..., b"\0", "\ud800", float("inf")} <= {*constants}


def test_a_typescript_tree(scanned: Scanned) -> None:
    tree = scanned.batch.tree("web/types.ts")
    assert str(tree).splitlines()[:4] == [
        "     1:1  program",
        "     1:1    export_statement",
        "     1:8      declaration: interface_declaration",
        '    1:18        name: type_identifier "Item"',
    ]
    (second,) = tree.at_line(2)
    assert (second.type, second.end_line, second.end_column) == ("export_statement", 2, 30)
    assert [child.field for child in second.children] == ["declaration"]
    assert next(iter(second)) == second


def test_lines_of_a_tree(parsed: Callable[..., codebatch.Batch], main: Main) -> None:
    batch = parsed(a_py='def f(a):\n    b = """\n\n"""; c = 1\n    return b\n')
    assert [node.type for node in batch.tree("a.py").at_line(2)] == ["Assign"]
    assert [node.type for node in batch.tree("a.py").at_line(4)] == ["Assign"]
    assert [node.type for node in batch.tree("a.py").at_line(3)] == ["Constant"]
    shown = main("tree", "a.py", "--line", 5, "--store", batch.path)
    assert shown.out == '     5:5  body: Return\n    5:12    value: Name id="b"\n'
    shallow = main("tree", "a.py", "--depth", 1, "--store", batch.path)
    assert shallow.out == '          Module\n     1:1    body: FunctionDef name="f"\n'
    beyond = main("tree", "a.py", "--line", 9, "--store", batch.path)
    assert beyond.code == 2
    assert beyond.err.endswith("error: nothing is at line 9 of a.py: it ends at 5\n")


def test_a_tree_of_any_depth(parsed: Callable[..., codebatch.Batch], main: Main) -> None:
    batch = parsed(a_js=f"x = {'[' * DEEP}{']' * DEEP};\n")
    tree = batch.tree("a.js")
    assert max(node.depth for node in tree) > DEEP
    assert sum(map(len, tree.lines())) < 250 * len(tree)
    assert len(tree.root.children) == 1
    assert main("tree", "a.js", "--json", "--store", batch.path).out.count("\n") == len(tree) + 1


def test_a_tree_in_chunks(
    parsed: Callable[..., codebatch.Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codebatch.shard.compute.MAX_OBJECT_BYTES", 100)
    batch = parsed(a_py="x = 1\n" * 50)
    (record,) = batch.records(kind="ast")
    assert record["chunked"] is True
    assert len(batch.tree("a.py")) == record["nodes"] == 151


@pytest.mark.parametrize(
    "manifest",
    [
        *("[]", "null", "{", "{}", "1", '"a"', "\x00", "[" * 100_000),
        *('{"chunks": []}', '{"chunks": [1], "size": 1}', '{"chunks": 5, "size": 1}'),
        *('{"chunks": [], "size": "0"}', '{"chunks": [], "size": 1e999}'),
    ],
)
def test_a_chunk_list_of_anybody_is_damage(
    manifest: str,
    parsed: Callable[..., codebatch.Batch],
    store: codebatch.Store,
    main: Main,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = parsed(a_py="x = 1\n", b_txt=manifest)
    (_, file) = store.find_snapshot("latest").files
    (record,) = batch.records(kind="ast")
    hostile = {**record, "chunked": True, "object": file.object}
    monkeypatch.setattr(syntax, "_said_of", lambda *_: [hostile])
    done = main("tree", "a.py", "--json", "--store", batch.path)
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (4, "STORE_DAMAGED")


@pytest.mark.parametrize("name", ["web/types.ts", "pkg/cart.py"])
def test_a_tree_of_anybody_is_damage(name: str, scanned: Scanned) -> None:
    (record,) = scanned.batch.records(kind="ast", path=name)
    data = scanned.store.read_object(str(record["object"]))
    decode = syntax._DECODERS[str(record["format"])]
    dice = random.Random(name)
    for _ in range(300):
        other = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            other[dice.randrange(len(data))] = dice.randrange(256)
        try:
            columns = syntax._decoded(decode, bytes(other))
            [*codebatch.SyntaxTree("x", "y", "z", columns).as_documents()]
        except StoreDamagedError:
            continue


def test_why_there_is_no_tree(
    scanned: Scanned, store: codebatch.Store, tree: Path, main: Main
) -> None:
    for name, reason in (
        ("README.md", "no parser"),
        ("data/logo.png", "binary"),
        ("pkg/broken.py", "line 1: invalid syntax"),
        ("link.py", "symbolic link"),
    ):
        with pytest.raises(NoSyntaxTreeError, match=f"{name} has no syntax tree: {reason}"):
            scanned.batch.tree(name)
    done = main("tree", "README.md", "--json", "--store", scanned.path)
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (2, "NO_SYNTAX_TREE")
    snapshot = store.snapshot(tree)
    with pytest.raises(BatchUnfinishedError, match=r"cart\.py is not parsed"):
        store.batch(snapshot, "parse").tree("cart.py")


def test_the_source_of_a_file(scanned: Scanned, store: codebatch.Store, tree: Path) -> None:
    batch = store.batch(store.snapshot(tree))  # which was never run
    assert batch.source("pkg/latin.py") == "# -*- coding: latin-1 -*-\nname = 'höhe'\n"
    assert batch.source("pkg/latin.py", raw=True) == (tree / "pkg/latin.py").read_bytes()
    assert batch.source("link.py") == "pkg/cart.py"


def test_bytes_and_lines_of_a_file(store: codebatch.Store, tmp_path: Path, main: Main) -> None:
    raw = b"a\xff\r\nb\x1b[31m\rc\td\n"
    files: dict[str, str | bytes] = {"x.txt": raw, "y.txt": "ä\nö\n".encode("utf-16"), "z": b"\0\1"}
    batch = store.batch(store.snapshot(write_tree(tmp_path / "tree", files)))

    def cat(*words: object) -> Outcome:
        return main("cat", *words, "--store", batch.path)

    assert cat("x.txt").stdout == raw
    assert cat("z").stdout == b"\0\1"
    assert cat("x.txt", "--lines", "2:3").stdout == b"b\x1b[31m\rc\td\n"
    assert cat("x.txt", "--lines", "3").stdout == b"c\td\n"
    assert cat("y.txt", "--lines", "2:").out == "ö\n"
    assert cat("x.txt", "-n").out == "1  a\ufffd\n2  b\\x1b[31m\n3  c   d\n"
    document = json.loads(cat("x.txt", "--lines", ":2", "--json").out)
    assert document["lines"] == ["a\ufffd", "b\x1b[31m"]
    for words, message in (
        (("z", "-n"), "z is binary"),
        (("x.txt", "--lines", "4"), "there are no lines 4 in x.txt: it has 3 lines"),
        (("x.txt", "--lines", "3:2"), "there are no lines 3:2"),
        (("x.txt", "--lines", "a"), "no lines are called 'a'"),
    ):
        done = cat(*words)
        assert done.code == 2
        assert message in done.err
