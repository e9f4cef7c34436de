"""The floor: the least that the work of pipeline ``full`` can cost, in one process.

    python benchmarks/floor.py TREE RULES

Every file is read and hashed. Python is parsed and its whole tree, all fields and positions,
turned into msgpack through a ``default`` hook; JavaScript and TypeScript are parsed with
tree-sitter; one ruff checks all Python files for RULES, on all cores. Nothing is kept: no
metrics, no symbols, no records, nothing compressed or written. The cyclic collector is off and
each tree is freed before the next file. Trees that msgpack does not nest, and files that do not
parse, are counted. Prints what was done as one JSON document.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from operator import attrgetter
from typing import Any

import msgpack
import tree_sitter
import tree_sitter_javascript
import tree_sitter_typescript
from ruff.__main__ import find_ruff_bin  # type: ignore[import-untyped]

PYTHON = frozenset({".py", ".pyi", ".pyw"})


def parsers() -> dict[str, tree_sitter.Parser]:
    """The parser for each extension of JavaScript and TypeScript."""
    script = tree_sitter.Parser(tree_sitter.Language(tree_sitter_javascript.language()))
    types = tree_sitter.Parser(tree_sitter.Language(tree_sitter_typescript.language_typescript()))
    tsx = tree_sitter.Parser(tree_sitter.Language(tree_sitter_typescript.language_tsx()))
    return {
        **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), script),
        **dict.fromkeys((".ts", ".mts", ".cts"), types),
        ".tsx": tsx,
    }


class _Getters(dict[type, Any]):
    """For each class of node, what gets all its fields and positions at once."""

    def __missing__(self, kind: type[ast.AST]) -> Any:
        places = kind._attributes  # noqa: SLF001 - public, with a name that cannot be a field's
        # A getter of one name gives no tuple.
        names = ("__class__.__name__", *kind._fields, *places)
        get = attrgetter(*names)
        self[kind] = get if len(names) > 1 else lambda node: (get(node),)
        return self[kind]


_getters = _Getters()


def encodable(value: object) -> object:
    """What msgpack cannot write by itself: nodes, and constants such as ``...`` or ``1j``."""
    return _getters[type(value)](value) if isinstance(value, ast.AST) else repr(value)


def work_on_python(data: bytes) -> str:
    """Parse a file and encode its tree; says what became of it."""
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "not parsed"
    try:
        msgpack.packb(tree, default=encodable)
    except (ValueError, OverflowError, RecursionError):
        return "not encoded"
    return "encoded"


def check_with_ruff(tree: str, names: list[str], rules: str) -> None:
    """One ruff over all Python files."""
    with tempfile.NamedTemporaryFile("w") as arguments:
        arguments.write("\n".join(names))
        arguments.flush()
        command = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--quiet", "--exit-zero"]
        command += ["--no-force-exclude", "--no-respect-gitignore", "--output-format", "json"]
        command += ["--select", rules, f"@{arguments.name}"]
        subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Do the work over one tree."""
    tree, rules = sys.argv[1:]
    gc.disable()
    warnings.simplefilter("ignore")
    by_extension = parsers()
    done: Counter[str] = Counter()
    python = []
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as stream:
                data = stream.read()
            hashlib.sha256(data).digest()
            done["files"] += 1
            extension = os.path.splitext(name)[1]
            if extension in PYTHON:
                python.append(os.path.relpath(path, tree))
                done[work_on_python(data)] += 1
            elif extension in by_extension:
                by_extension[extension].parse(data)
                done["scripts"] += 1
    if python:
        check_with_ruff(tree, python, rules)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
