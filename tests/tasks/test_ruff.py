"""Findings of ruff through one process, against ruff itself over a tree of files."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import pytest

from codebatch.tasks.languages.base import NameFinding
from codebatch.tasks.languages.python.ruff import RUFF, RUFF_RULES, RuffInput, RuffRun
from codebatch.tasks.native_tool import NativeTool, ToolError

UNUSED = ["--select=F401,F841"]


def places(source: str | bytes, role: str = "module", *rules: str):
    content = source.encode() if isinstance(source, str) else source
    arguments = [f"--select={','.join(rules)}"] if rules else UNUSED
    (found,) = RuffRun([RuffInput(content, role)], arguments).findings()
    return [(name(f), f.line, f.column) for f in found if not f.is_silenced]


def name(finding: NameFinding) -> str:
    """Ruff's code of a finding."""
    return finding.rule if finding.code in RUFF_RULES.values() else finding.code


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os\n", [("F401", 1, 8)]),
        ("import b\nimport a\n", [("F401", 1, 8), ("F401", 2, 8)]),
        ("def f():\n    x = 1\n", [("F841", 2, 5)]),
        ("\ufeffimport os\n", [("F401", 1, 8)]),
        ("import os\r\nimport sys\r\n", [("F401", 1, 8), ("F401", 2, 8)]),
        ("x = 1\rimport os\r", [("F401", 2, 8)]),
        ("\x0cimport os\n", [("F401", 1, 9)]),
        ('x = "éé😀"; import os\n', [("F401", 1, 19)]),
        ('# coding: latin-1\nx = "éé"; import os\n'.encode("latin-1"), [("F401", 2, 18)]),
        ('# coding: utf-7\nx = "é"; import os\n'.encode("utf-7"), [("F401", 2, 17)]),
        ("#!/usr/bin/env python\nimport os\n", [("F401", 2, 8)]),
        ("", []),
        ("# ruff: noqa\nimport os\n", []),
        ("import os  # noqa\nimport re  # noqa: F401\nimport a  # noqa: E501\n", [("F401", 3, 8)]),
    ],
)
def test_findings_of_odd_sources(source, expected):
    assert places(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        b"import os\n\0\n",
        b"import os # \xe9\n",
        b"# coding: nonsense\nimport os\n",
        b"# coding: rot13\nimport os\n",
        b'# coding: utf-7\nx = "+2AA-"\nimport os\n',
        "import os\n".encode("utf-16"),
        b"import os\nx = (\n",
    ],
)
def test_what_is_no_python_has_no_findings(source):
    assert places(source) == []


def test_answers_are_in_the_order_of_the_files():
    sources = [RuffInput(f"import m{n}\n".encode() * (n % 2), "module") for n in range(30)]
    found = RuffRun(sources, UNUSED).findings()
    assert [[f.message for f in one] for one in found] == [
        [f"`m{n}` imported but unused"] * (n % 2) for n in range(30)
    ]


def test_nothing_to_do():
    assert RuffRun([], UNUSED).findings() == []
    assert RuffRun([RuffInput(b"\xff", "module")], UNUSED).findings() == [[]]
    assert RuffRun([RuffInput(b"import os\n", "module")], []).findings() == [[]]


def test_the_role_is_what_the_name_tells_ruff():
    source = "from . import a\n__all__ = ['absent']\n"
    assert places(source, "module", "F401", "F822") == [("F401", 1, 15), ("F822", 2, 12)]
    assert places(source, "init", "F401", "F822") == [("F401", 1, 15)]
    stub = "def f(x: Later): ...\nclass Later: ...\n"
    assert places(stub, "module", "F821") != []
    assert places(stub, "stub", "F821") == []


def test_messages_do_not_depend_on_the_role_or_the_folder():
    roles = [RuffInput(b"from . import a\nimport b\n", role) for role in ("module", "init", "stub")]
    module, init, stub = RuffRun(roles, UNUSED).findings()
    assert module == init == stub
    assert [f.message for f in module] == ["`.a` imported but unused", "`b` imported but unused"]


def test_the_noqa_line_of_a_finding():
    source = b'x = """\n%s\n""" % (\n    lambda: None)\nfrom a import (\n    b,\n)\n'
    ((finding,),) = RuffRun([RuffInput(source, "module")], UNUSED).findings()
    assert (finding.line, finding.noqa_line) == (6, 6)


def test_configuration_and_environment_do_not_reach_ruff(tmp_path, monkeypatch):
    (tmp_path / "ruff.toml").write_text('lint.ignore = ["F401"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("RUFF_OUTPUT_FORMAT", "concise")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert places("import os\n") == [("F401", 1, 8)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ruff.toml"]


def test_path_does_not_decide_which_ruff_runs(tmp_path, monkeypatch):
    impostor = tmp_path / "ruff"
    impostor.write_text("#!/bin/sh\nexit 9\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert places("import os\n") == [("F401", 1, 8)]


def test_an_unknown_rule_is_one_line_of_error():
    with pytest.raises(ToolError, match="NOPE9") as caught:
        places("x = 1\n", "module", "NOPE9")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("binary", ["absent", "folder", "silent"])
def test_a_ruff_that_does_not_run_is_one_line_of_error(binary, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "silent").write_text("#!/bin/sh\n")
    (tmp_path / "silent").chmod(0o755)
    monkeypatch.setattr(NativeTool, "binary", lambda _: str(tmp_path / binary))
    with pytest.raises(ToolError) as caught:
        places("x = 1\n")
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_an_error(monkeypatch):
    monkeypatch.setattr(RUFF.__class__, "_places", lambda _: iter(()))
    with pytest.raises(ToolError, match="not installed"):
        places("import os\n")


def test_the_version_is_the_binarys():
    out = subprocess.run([RUFF.binary(), "--version"], capture_output=True, check=True).stdout
    assert out.decode().split()[1] == RUFF.version()


@pytest.mark.slow
def test_findings_equal_ruffs_own_over_a_tree(tmp_path):
    """Ruff over the files where they stand, against ours by content and role alone."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(p for p in library.rglob("*.py") if "site-packages" not in p.parts)[::5]
    contents = [path.read_bytes() for path in files]
    kept = [(p, c) for p, c in zip(files, contents, strict=True) if is_utf8(c)]
    (tmp_path / "list").write_text("\n".join(str(path) for path, _ in kept))
    command = [
        *(RUFF.binary(), "check", "--isolated", "--no-cache", "--exit-zero", "--quiet"),
        *("--select", "F401,F841,F811", "--output-format", "json", f"@{tmp_path / 'list'}"),
    ]
    out = subprocess.run(command, capture_output=True, check=True).stdout
    theirs = sorted(
        (item["filename"], item["location"]["row"], item["location"]["column"], item["code"])
        for item in json.loads(out)
        if item["code"] not in {None, "invalid-syntax"}
    )
    sources = [RuffInput(c, "init" if p.name == "__init__.py" else "module") for p, c in kept]
    found = RuffRun(sources, ["--select=F401,F841,F811"]).findings()
    ours = sorted(
        (str(path), f.line, f.column, name(f))
        for (path, _), one in zip(kept, found, strict=True)
        for f in one
    )
    assert ours == theirs
    assert len(ours) > 100


def is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"coding" not in b"".join(content.splitlines()[:2])
