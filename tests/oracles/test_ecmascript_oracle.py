"""The ECMAScript front end against TypeScript, Babel and typescript-eslint on real packages.

Faults: the same files, exactly. Unused names: the same names per file; shadowed names: the same
names on the same lines. Intended differences, by name:

- self-named: ``const F = forwardRef(function F() {})`` is no shadowing here;
- pragma: what a ``@jsx`` comment names is used by the elements of the file;
- script: the top level of a file that is no module declares globals.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from codebatch.tasks.source import SourceFile

pytestmark = pytest.mark.oracle

DRIVER = Path(__file__).with_name("ecmascript_oracle.js")
TOOLS = (
    "typescript@5.9.3",
    "@babel/parser@7.29.14",
    "eslint@9.39.5",
    "@typescript-eslint/parser@8.73.0",
    "@typescript-eslint/eslint-plugin@8.73.0",
)
PACKAGES = (
    "@wordpress/components@41.0.0",
    "@wordpress/block-library@11.1.0",
    "@docusaurus/theme-classic@3.10.2",
    "create-vite@9.3.0",
    "ra-ui-materialui@5.15.4",
    "gatsby-theme-docz@2.4.0",
    "react-native@0.81.4",
)
LANGUAGES = {
    ".js": "javascript",
    ".cjs": "javascript",
    ".mjs": "javascript",
    ".jsx": "jsx",
    ".ts": "typescript",
    ".cts": "typescript",
    ".mts": "typescript",
    ".tsx": "tsx",
}
LARGEST = 300_000
NPM_SECONDS = 600
MODULE_WORDS = re.compile(r"\b(?:import|export|require|module|exports)\b")
PRAGMA = re.compile(r"@jsx(?:Frag)?\s+([\w$]+)")

Verdict = dict[str, Any]


def npm(*arguments: str, cwd: Path) -> None:
    program = shutil.which("npm")
    if program is None or shutil.which("node") is None:
        pytest.skip("npm and node are not installed")
    command = [program, *arguments]
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=NPM_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:  # it tries each package again for a minute
        pytest.skip(f"npm {arguments[0]} did not end in {NPM_SECONDS} s: is the registry there?")
    if done.returncode:
        pytest.skip(f"npm {arguments[0]} failed: {done.stderr.strip()[-200:]}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("packages")
    npm("pack", "--silent", *PACKAGES, cwd=root)
    for number, archive in enumerate(sorted(root.glob("*.tgz"))):
        with tarfile.open(archive) as package:
            package.extractall(root / str(number), filter="data")
    found = (path for path in root.rglob("*") if path.suffix in LANGUAGES and path.is_file())
    return sorted(path for path in found if path.stat().st_size < LARGEST)


@pytest.fixture(scope="module")
def verdicts(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    tools = tmp_path_factory.mktemp("tools")
    npm("install", "--silent", "--no-audit", "--no-fund", "--prefix", str(tools), *TOOLS, cwd=tools)
    done = subprocess.run(
        ["node", str(DRIVER), str(tools)],
        input="\n".join(map(str, files)),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def parsed(path: str) -> Any:
    return SourceFile(Path(path).read_bytes(), LANGUAGES[Path(path).suffix]).parsed


def test_faults(verdicts: list[Verdict]) -> None:
    expected = {verdict["file"] for verdict in verdicts if verdict["fault"] is not None}
    found = {verdict["file"] for verdict in verdicts if parsed(verdict["file"]).faults}
    assert len(verdicts) > 5_000
    assert expected
    assert sorted(found ^ expected) == []


def test_most_faults_are_on_the_line_the_oracle_names(verdicts: list[Verdict]) -> None:
    faulty = [verdict for verdict in verdicts if verdict["fault"] is not None]
    same = sum(parsed(verdict["file"]).faults[0].line == verdict["fault"] for verdict in faulty)
    assert same > 0.95 * len(faulty)


def expected_names(verdict: Verdict, rule: str) -> Counter[tuple[str, int]]:
    text = Path(verdict["file"]).read_text(errors="replace")
    pragmas = set(PRAGMA.findall(text))
    is_script = MODULE_WORDS.search(text) is None
    return Counter(
        (finding["name"], finding["line"] if rule == "shadow" else 0)
        for finding in verdict["findings"]
        if finding["rule"] == rule
        and not (rule == "shadow" and finding["selfNamed"])
        and not (rule == "unused" and (is_script or finding["name"] in pragmas))
    )


def found_names(verdict: Verdict, rule: str) -> Counter[tuple[str, int]]:
    return Counter(
        (finding.message.split("`")[1], finding.line if rule == "shadow" else 0)
        for finding in parsed(verdict["file"]).name_findings()
        if (finding.code == "L103") == (rule == "shadow")
    )


@pytest.mark.parametrize("rule", ["unused", "shadow"])
def test_names(verdicts: list[Verdict], rule: str) -> None:
    compared = [verdict for verdict in verdicts if verdict["findings"] is not None]
    differences = []
    total = 0
    for verdict in compared:
        expected, found = expected_names(verdict, rule), found_names(verdict, rule)
        total += expected.total() if hasattr(expected, "total") else sum(expected.values())
        if expected != found:
            differences.append((verdict["file"], expected - found, found - expected))
    assert total > 0
    assert differences == []
