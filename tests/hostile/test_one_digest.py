"""Sources made to meet the limits of parsers and tools have the same results within any limits."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import Note, cli_command, cli_environment, write_tree
from sampling import ALL, SEED


def hostile_sources() -> dict[str, bytes]:
    """Deep, wide, dense and odd files in every language that is parsed, and in text."""
    python = {
        "terms": b"import os\nx=" + b"+".join([b"a"] * 100_000),
        "terms of few": b"import os\nx=" + b"+".join([b"a"] * 15_000),
        "powers": b"x=" + b"**".join([b"a"] * 30_000),
        "members": b"import os\nx=a" + b".b" * 60_000,
        "calls": b"import os\nx=f" + b"()" * 40_000,
        "items": b"x=a" + b"[0]" * 40_000,
        "minus": b"x=" + b"- " * 50_000 + b"1",
        "not": b"x=" + b"not " * 5_000 + b"1",
        "lambdas": b"x=" + b"lambda:" * 30_000 + b"1",
        "choices": b"x=" + b"a if b else " * 5_000 + b"c",
        "open": b"x=" + b"(" * 100_000,
        "brackets": b"x=" + b"[" * 150 + b"]" * 150,
        "branches": b"import os\nif a:pass\n" + b"elif a:pass\n" * 8_000,
        "indents": b"".join(b" " * n + b"if a:\n" for n in range(99)) + b" " * 99 + b"pass\n",
        "too many indents": b"".join(b" " * n + b"if a:\n" for n in range(200)),
        "decorators": b"import os\n" + b"@a\n" * 40_000 + b"def f(): pass\n",
        "f-strings": b"x=" + b"f'{" * 200,
        "strings": b"x=(" + b"'a' " * 60_000 + b")",
        "digits": b"x=" + b"9" * 5_000,
        "many digits": b"x=0x" + b"f" * 400_000,
        "null": b"import os\nx=1\0\n",
        "latin": "# coding: latin-1\nimport os\nx='é'\n".encode("latin-1"),
        "wrong bytes": b"import os\nx='\xff'\n",
        "utf-16": "import os\n".encode("utf-16"),
        "no codec": b"# coding: rot13\nimport os\n",
        "one wide line": ("é=1;" + "x=1;" * 30_000).encode(),
        "one line of imports": b";".join(b"import a%d" % n for n in range(10_000)),
        "dense": b"x=1;" * 150_000,
        "lines": b"\n" * 600_000,
        "deletions": b"del " + b"(" * 150 + b"a" + b")" * 150,
    }
    script = {
        "terms": b"x=" + b"+".join([b"a"] * 100_000),
        "members": b"x=a" + b".b" * 100_000,
        "calls": b"f" + b"()" * 100_000,
        "open": b"[" * 100_000,
        "closed": b"}" * 100_000,
        "groups": b"x=" + b"(" * 20_000 + b"1" + b")" * 20_000,
        "templates": b"`${" * 10_000 + b"a" + b"}`" * 10_000,
        "choices": b"x=" + b"a?b:" * 50_000 + b"c",
        "arrows": b"x=" + b"a=>" * 20_000 + b"a",
        "functions": b"function f(){" * 3_000 + b"}" * 3_000,
        "blocks": b"{let a;" * 5_000 + b"}" * 5_000,
        "semicolons": b";" * 400_000,
        "regular": b"/" + b"(a*" * 50_000 + b"/",
        "dense": b"a;" * 300_000,
        "null": b"let a=1;\0",
        "wide": ("é;" + "a;" * 50_000).encode(),
    }
    typed = {
        "arguments": b"type A=" + b"B<" * 20_000 + b"c" + b">" * 20_000,
        "conditions": b"type A=" + b"a extends b?c:" * 20_000 + b"d",
        "union": b"type A=" + b"|".join([b"a"] * 100_000),
        "arrays": b"let a:b" + b"[]" * 50_000,
        "functions": b"type A=" + b"(a:b)=>" * 10_000 + b"c",
        "interfaces": b"interface A{a:b}" * 30_000,
    }
    other = {
        "deep.json": b"[" * 1_000_000,
        "wide.tsx": b"let a=" + b"<a>" * 30_000 + b"</a>" * 30_000,
        "text.jsx": b"let a=<a>" + b"a " * 200_000 + b"</a>",
        "line.txt": b"a" * 4_000_000,
        "spaces.txt": b"  \n" * 150_000,
        "many lines.txt": b"a \n" * 300_000,
        "marks.md": b"#" * 1_000_000 + b" noqa \n",
        "null.txt": b"a\0b",
    }
    named = {f"{name}.py": text for name, text in python.items()}
    named |= {f"{name}.js": text for name, text in script.items()}
    named |= {f"{name}.ts": text for name, text in typed.items()}
    return named | other


def digest_of(tree: Path, store: Path, limits: str, *options: str, **variables: str) -> str:
    """The digest of the results of a scan within limits that a shell sets."""
    command = cli_command("scan", tree, "--store", store, "--json", "--quiet", *options)
    done = subprocess.run(
        ["/bin/sh", "-c", f'{limits} exec "$@"', "sh", *command],
        env=cli_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["status"] == "done"
    (batch,) = json.loads(
        subprocess.check_output(cli_command("batches", "--store", store, "--json"))
    )
    assert batch["result"]
    return str(batch["result"])


SETTINGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "stack 1 MiB": ("ulimit -s 1024;", ("--scheduler", "processes")),
    "stack 8 MiB, sync": ("ulimit -S -s 8192;", ("--scheduler", "sync")),
    "stack 64 MiB, threads": ("ulimit -S -s 65536;", ("--scheduler", "threads")),
    "no limit of stack": ("ulimit -s unlimited;", ("--scheduler", "processes")),
    "stack 1 MiB, sync": ("ulimit -s 1024;", ("--scheduler", "sync")),
    "stack 1 MiB, threads": ("ulimit -s 1024;", ("--scheduler", "threads")),
    "no limit of stack, threads": ("ulimit -s unlimited;", ("--scheduler", "threads")),
    "memory 1 GiB": ("", ("--scheduler", "processes", "--memory-limit", "1GiB")),
    "no limit of memory": ("", ("--scheduler", "processes", "--memory-limit", "0")),
    "addresses 8 GB": ("ulimit -v 8000000;", ("--scheduler", "processes")),
    "one core": ("taskset -p -c 0 $$ >/dev/null;", ("--scheduler", "processes")),
}


def test_there_are_sixty() -> None:
    assert len(hostile_sources()) >= 60


def test_a_file_that_is_deep_has_one_result(tmp_path: Path) -> None:
    """The one that ruff has read with one stack and died of with another."""
    names = ("terms.py", "terms of few.py", "members.py", "open.js", "branches.py")
    sources = hostile_sources()
    write_tree(tmp_path / "tree", {name: sources[name] for name in names})
    stacks = ("ulimit -s 1024;", "ulimit -s unlimited;")
    found = {
        digest_of(tmp_path / "tree", tmp_path / str(number), limits, "--scheduler", "sync")
        for number, limits in enumerate(stacks)
    }
    assert len(found) == 1


@pytest.mark.slow
def test_one_digest_within_all_limits(tmp_path: Path, note: Note) -> None:
    sources = hostile_sources()
    names = random.Random(SEED).sample(sorted(sources), len(sources) if ALL else 20)
    note(f"{len(names)} of {len(sources)} sources, seed {SEED}")
    write_tree(tmp_path / "tree", {name: sources[name] for name in names})
    found: dict[str, str] = {}
    for name, (limits, options) in SETTINGS.items():
        if "taskset" not in limits or hasattr(os, "sched_setaffinity"):
            found[name] = digest_of(tmp_path / "tree", tmp_path / name, limits, *options)
    assert len(set(found.values())) == 1, found
