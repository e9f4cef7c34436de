"""Findings for GitLab, JUnit and Markdown: what they say, that it fits, and that it is inert."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from conftest import Scanned, write_tree

import codebatch
from codebatch.export import markdown
from codebatch.export.links import link_base_of

FORMATS = ("gitlab", "junit", "md")
NAMES = [
    b"::error::x/a.py",
    b"pi|pe.py",
    b"``ticks``.py",
    b"`start.py",
    b"<img src=x onerror=alert(1)>.py",
    b"@everyone #1 GH-2 a.py",
    b"line\n::error::end.py",
    b"[x](http://evil).py",
    b"esc\x1b[31m\x01.py",
    b"caf\xe9.py",
    b"##[add-mask]a.py",
    b"a&b\"c'd.py",
    b"\xef\xbf\xbe.py",
    b"**bold**_it_~~x~~.py",
    b" space .py",
    "\u061c\u200b\ufeff\ufffe.py".encode(),
]
# What the schema of Jenkins lets an element have: attributes, and elements in it.
JUNIT = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp"}
        | {"hostname", "id", "package"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "assertions", "time", "classname", "status"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set[str]()),
}
REQUIRED = {"testsuite": {"name", "tests"}, "testcase": {"name"}}


def exported(batch: codebatch.Batch, name: str, **options: Any) -> str:
    stream = io.BytesIO()
    batch.export(name, stream, **options)
    return stream.getvalue().decode()  # it is UTF-8 whatever the names are


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    """A finding in files of every name that could mean something."""
    root = tmp_path_factory.mktemp("odd")
    for name in NAMES:
        path = os.path.join(os.fsencode(root), b"tree", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_text("import os\n")
    batch, _ = codebatch.scan(root / "tree", root / "store", scheduler="sync")
    return batch


def findings(batch: codebatch.Batch) -> list[dict[str, Any]]:
    return [dict(record) for record in batch.records(kind="diagnostic")]


# -- gitlab ----------------------------------------------------------------------------------------


def test_gitlab_says_what_the_records_say(scanned: Scanned) -> None:
    report = json.loads(exported(scanned.batch, "gitlab"))
    severities = {"error": "major", "warning": "minor", "info": "info"}
    assert Counter(
        (
            *(one["location"]["path"], one["location"]["lines"]["begin"], one["check_name"]),
            *(one["description"], one["severity"]),
        )
        for one in report
    ) == Counter(
        (one["path"], one["line"], one["code"], one["message"], severities[one["severity"]])
        for one in findings(scanned.batch)
    )
    assert len({one["fingerprint"] for one in report}) == len(report)


def test_gitlab_fingerprints_stay_when_lines_move(tmp_path: Path) -> None:
    tree, store = write_tree(tmp_path / "tree", {"a.py": "import os\n"}), tmp_path / "store"
    before, _ = codebatch.scan(tree, store, scheduler="sync")
    write_tree(tree, {"a.py": "# moved\nimport os\n", "b.py": "import os\n"})
    after, _ = codebatch.scan(tree, store, scheduler="sync")
    (old,), new = (json.loads(exported(batch, "gitlab")) for batch in (before, after))
    assert [one["fingerprint"] == old["fingerprint"] for one in new] == [True, False]
    (only,) = json.loads(exported(after, "gitlab", base=before))
    assert only["location"]["path"] == "b.py"


# -- junit -----------------------------------------------------------------------------------------


def suites(text: str) -> ET.Element:
    """The root of a report that has nothing but what servers know."""
    root = ET.fromstring(text)
    for element in root.iter():
        attributes, inner = JUNIT[element.tag]
        assert {*element.attrib} <= attributes
        assert {*element.attrib} >= REQUIRED.get(element.tag, set())
        assert {child.tag for child in element} <= inner
    for suite in root:
        assert suite.get("tests") == str(len(suite))
    assert root.get("tests") == str(sum(len(suite) for suite in root))
    return root


def test_junit_has_a_case_for_each_finding(scanned: Scanned) -> None:
    root = suites(exported(scanned.batch, "junit"))
    found = findings(scanned.batch)
    assert root.get("failures") == str(len(found))
    cases = Counter(
        (case.get("classname"), failure.get("type"), failure.get("message"))
        for case in root.iter("testcase")
        for failure in case
    )
    assert cases == Counter((one["path"], one["severity"], one["message"]) for one in found)


def test_junit_without_findings_has_passed(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    ((case,),) = suites(exported(batch, "junit"))
    assert not len(case)


# -- inert -----------------------------------------------------------------------------------------


def test_junit_of_hostile_names_is_xml(odd: codebatch.Batch) -> None:
    text = exported(odd, "junit")
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", text)
    names = {suite.get("name") for suite in suites(text)}
    assert len(names) == len(NAMES)
    assert {"<img src=x onerror=alert(1)>.py", "line\n::error::end.py", "a&b\"c'd.py"} <= names
    assert "esc\\x1b[31m\\x01.py" in names


SPAN = re.compile(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)")


def test_markdown_of_hostile_names_is_code(odd: codebatch.Batch) -> None:
    """What is outside of code spans and links is our own, and each finding is one line."""
    text = exported(odd, "md", link_base="https://forge/o/r/blob/abc")
    lines = text.splitlines()
    assert len(lines) == 1 + 2 + 4 * len(NAMES)
    for line in lines:
        bare = SPAN.sub("CODE", line)
        assert re.fullmatch(
            r"|### CodeBatch: \d+ findings|\d+ warning|\*\*CODE\*\*"
            r"|- warning CODE \[line 1\]\(https://forge/o/r/blob/abc/[\w%.~/-]+#L1\): CODE",
            bare,
        ), line
    assert not any(line.lstrip().startswith("::") for line in lines)
    assert "##[" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text)


@pytest.mark.parametrize("name", FORMATS)
def test_messages_are_as_inert_as_names(tmp_path: Path, name: str) -> None:
    source = "import a as `x|<b>@me`\n"
    tree = write_tree(tmp_path / "tree", {"a.py": source, "b.js": "let x = <b>::error::</c>;\n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    text = exported(batch, name)
    if name == "junit":
        suites(text)
    elif name == "md":
        assert all("<" not in SPAN.sub("", line) for line in text.splitlines())
    else:
        assert len(json.loads(text)) == len(findings(batch))


# -- limits ----------------------------------------------------------------------------------------


def test_markdown_fits_a_comment(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"m{n:03}_🐍.py": "import os, sys, re\n" for n in range(300)}
    files |= {"bad.py": "def (:\n"}
    tree = write_tree(tmp_path / "tree", files)
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    text = exported(batch, "md", link_base=f"https://forge/{'o' * 100}/blob/abc")
    units = len(text.encode("utf-16-le")) // 2
    assert markdown.MAX_CHARACTERS - 2_000 < units <= markdown.MAX_CHARACTERS
    stream = io.BytesIO()
    report = batch.export("md", stream)
    assert report.written + sum(report.left_out.values()) == len(findings(batch))
    assert "`bad.py`" in text  # the most severe stays
    assert re.search(r"^[\d,]+ of [\d,]+ findings are left out \(\d+ warning\)", text, re.M)
    whole = exported(batch, "md", limited=False)
    assert whole.count("\n- ") == len(findings(batch))
    assert "left out" not in whole


def test_links_follow_the_build() -> None:
    github = {
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_SHA": "abc",
    }
    gitlab = {"CI_PROJECT_URL": "https://gitlab.com/g/r", "CI_COMMIT_SHA": "abc"}
    assert link_base_of(github, "def") == "https://github.com/o/r/blob/def"
    assert link_base_of(github, None) == "https://github.com/o/r/blob/abc"
    assert link_base_of(gitlab, None) == "https://gitlab.com/g/r/-/blob/abc"
    assert link_base_of({}, "def") is None
    hostile = {**github, "GITHUB_REPOSITORY": "o)](x <b>"}
    assert link_base_of(hostile, "def") is None or ")" not in str(link_base_of(hostile, "def"))


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_batch_gives_the_same_bytes(
    odd: codebatch.Batch, tmp_path: Path, name: str
) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    again = store.batch(store.snapshot(Path(str(odd.source_folder))), shards=16)
    again.run("sync")
    assert exported(again, name) == exported(odd, name)


def test_what_is_not_seen_is_spelled_and_long_messages_are_cut(tmp_path: Path) -> None:
    @codebatch.task(version=1, needs=())
    def speak(file: codebatch.File) -> Any:
        """Yield a long finding with marks."""
        yield codebatch.Diagnostic("X1", "info", 1, "\u061c\u202e\u200b\x9b" + "m" * 10_000)

    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", tasks=[speak], scheduler="sync")
    for name in ("github", "gitlab", "md"):
        text = exported(batch, name)
        assert not {*text} & {*"\u061c\u202e\u200b\x9b"}
        assert 400 < text.count("m") < 1000
