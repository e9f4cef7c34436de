"""Cyclomatic complexity against radon's, exact after each difference the table names.

For every function of a corpus that is always there (the running standard library), radon's number
plus the differences, each computed by a formula of its own from the function's tree, must be ours.
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codebatch.tasks.source import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator

radon_visitors = pytest.importorskip("radon.visitors")

STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Nodes = list[tuple[ast.AST, bool, bool]]

TRICKY = """
import a
def plain(): pass
def branches(x, y):
    if x and y or x: return 1
    elif x if y else x: return 2
    else: pass
    for i in x: pass
    else: pass
    while x: pass
    with x: assert x and y or x, [i for i in x if i if not i]
    try: pass
    except A: pass
    except B: pass
    else: pass
    finally: pass
def defaults(a=1 if x else 2, *, b: (x or y) = [i for i in z]) -> (x and y): return lambda: x or y
@decorated(x or y)
def outer(n):
    def inner(m=x or y):
        if m: return [j for j in m]
        class Local(x or y):
            z = 1 if n else 2
            def method(self, k=1 if x else 2): return k or n
        return Local
    class Other:
        if n: pass
        @property
        def p(self): return n and n
    return inner
class Shop(base if x else y):
    limit = 1 if x else 2
    def add(self): return self and self
    class Inner:
        def deep(self):
            for i in self: return i or self
async def coroutine(x):
    async for i in x: pass
    async with x: return [i async for i in x if i]
def matched(x):
    match x:
        case 1: pass
        case [a, b] if a or b: pass
        case {"k": v}: pass
        case _ if x: pass
        case _: pass
    match x:
        case 1 | 2: pass
    match x:
        case name: pass
"""


def radon_functions(source: bytes) -> Iterator[object]:
    """Everything radon reports: functions, methods, closures, methods of inner classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    visitor = radon_visitors.ComplexityVisitor.from_ast(tree)
    functions, classes = list(visitor.functions), list(visitor.classes)
    while functions or classes:
        if functions:
            function = functions.pop()
            functions += function.closures
            yield function
        else:
            cls = classes.pop()
            functions += cls.methods
            classes += cls.inner_classes


def own_nodes(function: ast.AST) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Nodes a function executes itself: its body without the bodies of nested functions.

    With each: whether it stands below an assert, and whether radon leaves it out for another
    reason (below a class, a default, a decorator or an annotation).
    """
    pending = [(child, False, False) for child in function.body]
    while pending:
        node, asserted, unseen = pending.pop()
        yield node, asserted, unseen
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, FUNCTIONS):
            body = {id(child) for child in node.body}
            children = [child for child in children if id(child) not in body]
            unseen = True
        elif isinstance(node, ast.ClassDef):
            unseen = True
        asserted = asserted or isinstance(node, ast.Assert)
        pending += [(child, asserted, unseen) for child in children]


def decisions(node: ast.AST) -> int:
    """What one node adds, by the table."""
    count = COUNTS.get(type(node).__name__)
    return count(node) if count is not None else 0


COUNTS = {
    "If": lambda _: 1,
    "IfExp": lambda _: 1,
    "Assert": lambda _: 1,
    "For": lambda node: 1 + bool(node.orelse),
    "AsyncFor": lambda node: 1 + bool(node.orelse),
    "While": lambda node: 1 + bool(node.orelse),
    "Try": lambda node: len(node.handlers) + bool(node.orelse),
    "TryStar": lambda node: len(node.handlers) + bool(node.orelse),
    "BoolOp": lambda node: len(node.values) - 1,
    "comprehension": lambda node: 1 + len(node.ifs),
    "match_case": lambda case: not (is_capture(case) and case.guard is None),
}


def is_capture(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


def asserts_inside(nodes: Nodes) -> int:
    """Radon does not look into an assert."""
    return sum(decisions(n) for n, asserted, unseen in nodes if asserted and not unseen)


def executed_unseen(nodes: Nodes) -> int:
    """Radon drops class bodies in functions, defaults, decorators and annotations."""
    return sum(decisions(n) for n, _, unseen in nodes if unseen)


def except_star(nodes: Nodes) -> int:
    """Radon does not know the node."""
    return sum(
        decisions(n)
        for n, asserted, unseen in nodes
        if type(n).__name__ == "TryStar" and not asserted and not unseen
    )


def match_captures(nodes: Nodes) -> int:
    """Radon takes one off where there is any capture, with or without a guard."""
    total = 0
    for node, asserted, unseen in nodes:
        if isinstance(node, ast.Match) and not asserted and not unseen:
            radons = len(node.cases) - any(is_capture(case) for case in node.cases)
            total += sum(decisions(case) for case in node.cases) - radons
    return total


DIFFERENCES = (asserts_inside, executed_unseen, except_star, match_captures)


def compare(source: bytes) -> int:
    """Check every function of a file that radon reports; how many."""
    parsed = SourceFile(source, "python").parsed
    ours: dict[tuple[int, str], list[int]] = {}
    for found in parsed.metrics().functions:
        key = found.line, found.name.rpartition(".")[2]
        ours.setdefault(key, []).append(found.cyclomatic)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    trees = {
        (n.lineno, n.name, n.col_offset): n for n in ast.walk(tree) if isinstance(n, FUNCTIONS)
    }
    compared = 0
    for function in radon_functions(source):
        node = trees[function.lineno, function.name, function.col_offset]
        nodes = list(own_nodes(node))
        expected = function.complexity + sum(difference(nodes) for difference in DIFFERENCES)
        assert expected in ours[function.lineno, function.name], (function.name, function.lineno)
        compared += 1
    return compared


def test_every_construct_of_the_table():
    assert compare(TRICKY.encode()) == 9


@pytest.mark.skipif(not hasattr(ast, "TryStar"), reason="except* came with Python 3.11")
def test_except_star():
    assert compare(b"def f():\n try: pass\n except* A: pass\n except* B: pass\n else: pass\n") == 1


def corpus(number: int) -> list[Path]:
    """Up to so many files of the standard library, the same ones each time."""
    files = sorted(
        path for path in STANDARD_LIBRARY.rglob("*.py") if "site-packages" not in path.parts
    )
    step = max(len(files) // number, 1)
    return files[::step][:number]


@pytest.mark.parametrize("number", [50, pytest.param(300, marks=pytest.mark.slow)])
def test_standard_library(number):
    compared = files = 0
    for path in corpus(number):
        content = path.read_bytes()
        if SourceFile(content, "python").parsed.faults:
            continue
        try:
            compared += compare(content)
        except AssertionError as error:
            raise AssertionError(f"{path.name}: {error}") from error
        files += 1
    assert files > number // 2
    assert compared > 1000
