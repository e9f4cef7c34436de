"""``history`` and ``blame``: their forms, and what they say of names from a hostile repository."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from conftest import Outcome
from histories import Release, Repository, one_by_one
from repositories import git

from codebatch.export.sparklines import sparklines

Main = Callable[..., Outcome]
RELEASES = [
    Release("1.0", {"app.py": b"import os\n\n\ndef use():\n    return os\n"}),
    Release("1.1", {"app.py": b"import os\nimport io\n\n\ndef use():\n    return os\n"}),
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return one_by_one(tmp_path_factory.mktemp("history") / "tree", RELEASES)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that all tests of this module share."""
    return tmp_path_factory.mktemp("shared") / "store"


@pytest.fixture
def ask(main: Main, repository: Repository, place: Path) -> Main:
    def asked(command: str, *words: object) -> Outcome:
        where = (repository.folder, "--store", place, "--scheduler", "sync")
        return main(command, *words, *where)

    return asked


def test_a_table_of_revisions(ask: Main, repository: Repository) -> None:
    done = ask("history", "--tags", "--code", "L101", "--metric", "complexity:max", "--changes")
    head, *rows = (line.split() for line in done.out.splitlines())
    assert head[:6] == ["revision", "date", "tags", "subject", "files", "findings"]
    assert [row[0] for row in rows] == [commit[:10] for commit in repository.commits]
    assert rows[0][1:] == "2020-09-14 1.0 Release 1.0 1 0 0 0 0 0 2".split()
    assert rows[1][1:] == "2020-09-15 1.1 Release 1.1 1 1 0 1 0 1 2 1 0".split()


def test_forms_for_programs(ask: Main, repository: Repository, tmp_path: Path) -> None:
    words = ("history", "--every", 1, "--code", "L101,L102", "--metric", "complexity")
    document = json.loads(ask(*words, "--json").stdout)
    assert [one["commit"] for one in document["revisions"]] == repository.commits
    assert document["revisions"][1]["by_code"] == {"L101": 1}
    rows = [json.loads(line) for line in ask(*words, "--format", "jsonl").stdout.splitlines()]
    table = list(csv.DictReader(io.StringIO(ask(*words, "--format", "csv").out)))
    for row, cells in zip(rows, table, strict=True):
        for name in ("commit", "date", "files", "L101", "L102", "complexity"):
            assert cells[name] == str(row[name])
    image = tmp_path / "trend.svg"
    ask(*words, "--format", f"svg:{image}", "--format", f"md:{tmp_path / 'trend.md'}")
    assert image.read_bytes() == ask(*words, "--format", "svg").stdout
    lines = [one for one in ET.parse(image).iter() if one.tag.endswith("polyline")]
    assert len(lines) == len(("findings", "error", "warning", "info", "L101", "L102", "complexity"))
    assert (tmp_path / "trend.md").read_text().startswith("| revision |")


def test_blame_in_words_and_as_a_document(ask: Main, repository: Repository) -> None:
    done = ask("blame", "app.py:2")
    assert done.out.splitlines()[:3] == [
        "app.py:2:8: warning L101 `io` imported but unused",
        f"  came with {repository.commits[1][:10]}  2020-09-15  Release 1.1",
        "  2 revisions looked at",
    ]
    document = json.loads(ask("blame", "app.py:2:L101", "--json").stdout)
    assert document["how"] == "introduced"
    assert document["commit"]["hash"] == repository.commits[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("history",), 2, "give --revs A..B, --every N or --tags"),
        (("history", "--revs", "no..HEAD"), 2, "no commit no in the repository"),
        (("history", "--tags", "--metric", "language"), 2, "the metric language is no number"),
        (("history", "--tags", "--format", "pdf"), 2, "unknown format 'pdf'"),
        (("blame", "app.py:1"), 2, "no finding app.py:1"),
    ],
)
def test_what_cannot_be_is_one_line(
    ask: Main, words: tuple[str, ...], code: int, said: str
) -> None:
    done = ask(*words)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


def test_without_a_repository(main: Main, tmp_path: Path) -> None:
    done = main("history", tmp_path, "--tags", "--store", tmp_path / "store", "--json")
    error: Any = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (2, "REPOSITORY_NOT_FOUND")
    assert not (tmp_path / "store").exists()


def test_hostile_subjects_and_tags_are_inert(main: Main, tmp_path: Path) -> None:
    repository = one_by_one(tmp_path / "tree", RELEASES[:1])
    subject = "::error::x | `y` <script>alert(1)</script> \x1b[31m\x07 ]]>"
    git(repository.folder, "commit", "-q", "--allow-empty", "-m", subject)
    git(repository.folder, "tag", "a'<b>&|`c`")
    where = ("--store", tmp_path / "store", "--scheduler", "sync", "--every", 1)
    table = main("history", repository.folder, *where)
    assert "\x1b" not in table.out
    assert "\x07" not in table.out
    markdown = main("history", repository.folder, *where, "--format", "md").out
    assert "<script>" not in markdown.replace("\\<", "")
    rows = main("history", repository.folder, *where, "--format", "jsonl").stdout.splitlines()
    assert json.loads(rows[-1])["subject"].startswith("::error::x | `y` <script>")


def test_an_image_holds_any_text_and_numbers() -> None:
    names = {"<b>&'\"\x00\x1b\ud800": [1, 2], "x" * 99: [None, 0.5, None, 7.25], "none": [None]}
    image = sparklines(names, "</title><script>")
    root = ET.fromstring(image)
    assert not [one for one in root.iter() if one.tag.endswith("script")]
    texts = [one.text or "" for one in root if one.tag.endswith("text")]
    unknown = "\N{REPLACEMENT CHARACTER}"
    assert texts == [f"<b>&'\"{unknown}{unknown}\\ud800", "2", "x" * 33 + "…", "7.25", "none"]
    points = [one.get("points", "").split() for one in root if one.tag.endswith("polyline")]
    assert [len(one) for one in points] == [2, 1, 1]


def test_a_subject_is_no_formula(main: Main, repository: Repository, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository.folder), str(clone))
    git(clone, "commit", "-q", "--allow-empty", "-m", "=cmd|calc!A1")
    words = ("history", clone, "--every", 1, "--task", "parse", "--scheduler", "sync")
    words = (*words, "--store", tmp_path / "store", "--format")
    rows = list(csv.DictReader(io.StringIO(main(*words, "csv").out)))
    assert rows[-1]["subject"] == "'=cmd|calc!A1"
    lines = main(*words, "jsonl").stdout.splitlines()
    assert json.loads(lines[-1])["subject"] == "=cmd|calc!A1"
