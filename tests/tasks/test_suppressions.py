"""Comments that suppress findings: which count, what becomes of the findings, and unused ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, write_tree
from hypothesis import given
from hypothesis import strategies as st

import codebatch
from codebatch.tasks.source import SourceFile
from codebatch.testing import run_task

Main = Callable[..., Outcome]
LONG = "x = '" + "a" * 130 + "'"
TODO = codebatch.Rule("T100", "A todo")


@codebatch.task(rules=[TODO])
def todos(file: codebatch.File) -> Iterator[codebatch.Diagnostic]:
    """Find what is left to do, and say so in two codes."""
    for number, line in enumerate(file.lines, 1):
        if "later" in line:
            yield codebatch.Diagnostic("T100", "warning", number, "not done")
        if "never" in line:
            yield codebatch.Diagnostic("no-such", "info", number, "not to be done")


def said(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Code and line of findings; of suppressed ones also what suppresses them, and the reason."""
    return [
        (one["code"], one["line"], *([one["how"], one["reason"]] if "how" in one else []))
        for one in records
        if one["kind"] in ("diagnostic", "suppression")
    ]


def linted(text: str, path: str = "a.py", **config: Any) -> list[tuple[Any, ...]]:
    return said(run_task("lint", text, path=path, config=config))


IGNORE, NEXT, FILE = (f"codebatch-ignore{end}" for end in ("", "-next-line", "-file"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os  # noqa\n", [("L101", 1, "noqa", "")]),
        ("import os  # noqa: L101\n", [("L101", 1, "noqa", "")]),
        ("import os  # NoQA:F401 for others\n", [("L101", 1, "noqa", "for others")]),
        ("import os  # noqa: F401 - for others\n", [("L101", 1, "noqa", "for others")]),
        ("import os  # noqa: E501, L101: why\n", [("L101", 1, "noqa", "why")]),
        ("# ruff: noqa\nimport os\n", [("L101", 2, "noqa", "")]),
        ("import os  # codebatch-ignore\n", [("L101", 1, IGNORE, "")]),
        ("import os  # codebatch-ignore: why not\n", [("L101", 1, IGNORE, "why not")]),
        ("import os  # codebatch-ignore L101\n", [("L101", 1, IGNORE, "")]),
        ("import os  #codebatch-ignore L003, L101 : a: b\n", [("L101", 1, IGNORE, "a: b")]),
        ("# codebatch-ignore-next-line L101: w\nimport os\n", [("L101", 2, NEXT, "w")]),
        ("import os\nimport re\n# codebatch-ignore-file L101\n", [
            *(("L101", 1, FILE, ""), ("L101", 2, FILE, "")),
        ]),
        ("import os  # codebatch-ignore L101: a  # noqa: E501\n", [("L101", 1, IGNORE, "a")]),
        ("import os  # codebatch-ignored L101\n", [("L101", 1)]),
        ("import os  # codebatch-ignore-next L101\n", [("L101", 1)]),
        ("import os  # codebatch-ignore F401\n", [("L101", 1)]),
        ("from a import (\n    b,  # noqa\n    c,\n)\n", [("L101", 2, "noqa", ""), ("L101", 3)]),
    ],
)  # fmt: skip
def test_which_comments_suppress(text: str, found: list[tuple[Any, ...]]) -> None:
    assert [one for one in linted(text) if one[0] != "L199"] == found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", f'{LONG} + "# noqa"\n'),
        ("a.py", f"'''\n# codebatch-ignore-file L003\n'''\n{LONG}\n"),
        ("a.js", f'{LONG} + "// codebatch-ignore L003"\n'),
        ("a.ts", f"`\n// codebatch-ignore-next-line L003\n`\n{LONG}\n"),
        ("a.py", f"{LONG}  # not a codebatch-ignore L003\n"),
        ("a.md", "| noqa | `codebatch-ignore L001` | \n"),
        ("a.py", f"{LONG}  # unused; noqa would be wrong\n"),
        ("a.py", f"{LONG}  # see http://noqa.example -- noqa\n"),
        ("a.py", f"def f(:\n{LONG}  # see http://noqa.example\n"),
        ("a.ts", f"{LONG.replace('x', 'let x')}  // see https://noqa.example # noqa\n"),
        ("a.c", f"// see http://noqa.example {LONG}\n"),
    ],
)
def test_what_is_no_comment_suppresses_nothing(path: str, text: str) -> None:
    assert [
        found[0] for found in linted(text, path, rules=["L001", "L003"]) if len(found) > 2
    ] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.js", "{}  /* codebatch-ignore L003: as it is */\n"),
        ("a.tsx", "{}  // codebatch-ignore L003: as it is\n"),
        ("a.jsx", "/* codebatch-ignore-file L003: as it is\n*/ {}\n"),
        ("a.c", "{} // codebatch-ignore L003: as it is\n"),
        ("a.c", "{} default:// codebatch-ignore L003: as it is\n"),
        ("a.c", "/*\n * codebatch-ignore-file L003: as it is\n */\n{}\n"),
        ("a.lua", "{} -- codebatch-ignore L003: as it is\n"),
        ("a.html", "<!-- codebatch-ignore-next-line L003: as it is -->\n{}\n"),
        ("a.erl", "{} % codebatch-ignore L003: as it is\n"),
        ("broken.py", "def f(:\n{} # codebatch-ignore L003: as it is\n"),
    ],
)
def test_comments_of_languages(path: str, text: str) -> None:
    found = linted(text.format(LONG.replace("x", "let x") if path == "a.tsx" else LONG), path)
    assert [(one[0], one[3]) for one in found if len(one) > 2] == [("L003", "as it is")]


@pytest.mark.parametrize(
    ("path", "text", "is_suppressed"),
    [
        ("a.md", "Write `# codebatch-ignore-file L001` to hide all. ", False),
        ("a.md", "Write `<!-- codebatch-ignore L001 -->` to hide one. ", False),
        ("a.md", 'Say "# noqa" here. ', False),
        ("a.md", "<!-- codebatch-ignore L001 --> ", True),
        ("a.rst", "Write ``# noqa``. ", False),
        ("a.rst", ".. codebatch-ignore L001: so ", True),
    ],
)
def test_prose_about_comments_is_none(path: str, text: str, is_suppressed: bool) -> None:
    (found,) = linted(text + "\n", path, rules=["L001"])
    assert (found[0], len(found) > 2) == ("L001", is_suppressed)


def test_a_comment_behind_a_string_is_about_all_its_lines() -> None:
    word = "a" * 130
    text = f"""def f():
    '''{word}
    {word}
    '''  # noqa: E501
    return '''
    {word}''', f'''
    {word}'''  # codebatch-ignore-next-line L003
{word}
"""
    found = [(one[1], len(one) > 2) for one in linted(text, rules=["L003"])]
    assert found == [(2, True), (3, True), (6, False), (7, False), (8, True)]


def test_a_suppressed_finding_keeps_what_it_says() -> None:
    source = "import os\nx = 1  \n"
    config = {"rules": ["L001", "L101"]}
    plain, space = run_task("lint", source, config=config)
    text = "# codebatch-ignore-next-line L101: why\n" + source
    assert run_task("lint", text, config=config) == [
        {**plain, "kind": "suppression", "line": 2, "how": NEXT, "reason": "why"},
        {**space, "line": 3},
    ]


def test_the_fingerprints_of_others_stay() -> None:
    """Of two equal lines one may be suppressed, and the other is still the second."""
    twice = "x = 1 \nx = 1 \n"
    before = [one["fingerprint"] for one in run_task("lint", twice)]
    text = "# codebatch-ignore-next-line L001\n" + twice
    assert [one["fingerprint"] for one in run_task("lint", text)] == before


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("a.py", "import os  # noqa: L101\nimport re  # noqa: L102\n", ["noqa of L102"]),
        ("a.py", "x = 1  # codebatch-ignore L001, L101\n", ["codebatch-ignore of L001, L101"]),
        ("a.py", "# codebatch-ignore-file L101\nx = 1\n", ["codebatch-ignore-file of L101"]),
        ("a.py", "x = 1  # noqa: E501, B008, X001\n", []),  # others may know them
        ("a.py", "x = 1  # noqa\ny = 2  # codebatch-ignore\n", []),
        ("a.py", "def f(:  # noqa: L101\n", []),  # names were not looked for
        ("a.md", "<!-- noqa: L101 -->\n", []),
        ("a.md", "<!-- noqa: L003 -->\n", ["noqa of L003"]),
        ("a.json", '{"a": "# noqa: L003"}\n', []),  # data is passed by
    ],
)
def test_unused_ones_are_reported(path: str, text: str, found: list[str]) -> None:
    records = run_task("lint", text, path=path)
    unused = [str(one["message"]) for one in records if one.get("code") == "L199"]
    assert unused == [f"{one} suppresses nothing" for one in found]


def test_what_cannot_be_understood_is_reported() -> None:
    records = run_task("lint", "import os  # codebatch-ignore since it is odd\n")
    assert said(records) == [("L101", 1), ("L199", 1)]
    assert "codes with commas, then a colon" in str(records[-1]["message"])
    assert (records[-1]["column"], records[-1]["severity"]) == (12, "warning")


def test_unused_ones_can_be_left_out() -> None:
    text = "x = 1  # noqa: L101\n"
    assert linted(text, ignore=["L199"]) == linted(text, rules=["L101"]) == []
    assert linted(text + "# codebatch-ignore-file L199\n", rules=["L101", "L199"]) == [("L199", 1)]


def test_tasks_of_ones_own() -> None:
    text = (
        "later  # noqa: T100\nlater  # codebatch-ignore T100: soon\nlater  # noqa\n"
        "never  # codebatch-ignore no-such\nx  # noqa: T100\nx  # codebatch-ignore no-such, L101\n"
    )
    assert said(run_task(todos, text)) == [
        ("T100", 1, "noqa", ""),
        ("T100", 2, IGNORE, "soon"),
        ("T100", 3),  # a bare noqa is for linters
        ("no-such", 4, IGNORE, ""),
        ("L199", 5),  # of what it declares, it knows what it has looked for
    ]


def test_a_task_that_fails_is_not_suppressed() -> None:
    @codebatch.task
    def fails(file: codebatch.File) -> list[object]:
        raise ValueError(file.size)

    assert said(run_task(fails, "# codebatch-ignore-file\n")) == [("E0002", 1)]
    assert said(run_task("parse", "# codebatch-ignore-file\ndef f(:\n")) == [("E0001", 2)]


def test_findings_of_ruff() -> None:
    function = "def f(x=g()):  # {} B008\n    return x\n\n\n"
    text = function.format("noqa:") + function.format("codebatch-ignore")
    found = linted(text, select=["B"])
    assert found == [("B008", 1, "noqa", ""), ("B008", 5, IGNORE, "")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings(encoding: str) -> None:
    bom = "\ufeff" if encoding == "utf-16-le" else ""
    source = SourceFile((bom + "x \n# Noqa: L001 \u00e4\n").encode(encoding), "text")
    (found,) = source.suppressions.directives
    assert (found.line, found.codes, found.reason) == (2, ("L001",), "\u00e4")


@pytest.mark.parametrize(
    "text",
    ["# codebatch-ignore{}x", "# codebatch-ignore L101{}:{}x", "# noqa{}x", "# codebatch-ignore #"],
)
def test_long_lines_take_no_longer_than_they_are(text: str) -> None:
    many = text.format(" " * 200_000, " " * 200_000)
    source = SourceFile(many.encode() if "{" in text else many.encode() * 20_000, "text")
    assert source.suppressions.directives


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("'''\n" + "a\n" * 20_000 + "'''  " + "# codebatch-ignore L001 " * 3_000 + "\n", 1),
        ("# codebatch-ignore-file X1\n" * 10_000 + "x \n" * 5_000, 5_000),
        ("# codebatch-ignore-file " + "X1, " * 20_000 + "L001\n" + "x \n" * 5_000, 5_000),
        ("# codebatch-ignore-file L001: " + "a" * 100_000 + "\n" + "x \n" * 5_000, 5_000),
    ],
)
def test_many_comments_and_findings_take_no_longer_than_both(text: str, findings: int) -> None:
    records = run_task("lint", text, config={"rules": ["L001"]})
    assert len(records) == findings
    assert all(len(str(one.get("reason", ""))) <= 500 for one in records)


def test_lines_of_a_comment_are_those_of_the_file() -> None:
    ends = "\f\v\x1c\x85\u2028"
    text = f"/* x{ends}\n * codebatch-ignore-next-line L001\n */   \nconst a = 1;   \n"
    found = linted(text, "b.ts", rules=["L001"])
    assert [(one[1], len(one) > 2) for one in found] == [(3, True), (4, False)]


WORDS = st.sampled_from(
    ["#", "//", "/*", "*/", "noqa", "codebatch-ignore", "-file", ":", "L101", ",", " ", "\n", "\r"]
)


@given(st.lists(WORDS, max_size=30).map("".join), st.sampled_from(["python", "tsx", "text"]))
def test_any_text_can_be_read(text: str, language: str) -> None:
    lines = SourceFile(text.encode(), language).lines
    for one in SourceFile(text.encode(), language).suppressions.directives:
        assert lines[one.line - 1].find(one.how) >= 0 or one.how == "noqa"


def test_a_batch_counts_what_is_suppressed(tmp_path: Path, main: Main) -> None:
    tree = write_tree(
        tmp_path / "tree",
        {"a.py": "import os  # noqa\nimport re\n", "b.py": "# codebatch-ignore-file\nimport re\n"},
    )
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    summary = batch.summary()
    assert summary["suppressed"] == {
        "total": 2,
        "by_code": {"L101": 2},
        "by_how": {FILE: 1, "noqa": 1},
    }
    assert summary["diagnostics"]["by_code"] == {"L101": 1}
    where = ("--store", batch.path)
    assert "  suppressed    2: L101 2\n" in main("summary", *where).out
    rows = json.loads(main("query", "outputs", *where, "--kind", "suppression", "--json").out)
    assert [(row["path"], row["how"]) for row in rows] == [("a.py", "noqa"), ("b.py", FILE)]
    done = main("sql", *where, "SELECT count(*) AS n FROM suppressions", "--json")
    assert json.loads(done.out) == [{"n": 2}]
    assert codebatch.open_store(batch.path).verify(read_data=True).ok
