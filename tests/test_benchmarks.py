"""The benchmarks run and report every row; what they measure is no test's concern."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, cli_environment, make_tree

ROWS = {
    *("cold", "cold-library", "one-file", "again", "branch", "remote", "size"),
    *("check", "check-one-file", "watch"),
    *("snapshot", "unchanged", "unchanged-plain", "revision"),
    *("growth", "memory", "summary", "status", "errors", "cluster", "shipped"),
    *("files", "stored-files", "verify", "verify-stored", "typescript"),
}
# Rows that another commit of this repository is needed for.
ROWS_BEFORE = {
    *("large", "cold-before", "one-file-before", "again-before", "branch-before"),
    *("query-before", "errors-before", "sql-before"),
}


def benchmark(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of the programs in ``benchmarks`` with a tree."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env=cli_environment(),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


def table_of(stdout: str) -> list[list[str]]:
    """The cells of the Markdown table, without its head."""
    lines = [line for line in stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.slow
def test_all_rows(tree: Path, tmp_path: Path) -> None:
    library, scratch = make_tree(tmp_path / "library"), tmp_path / "scratch"
    scratch.mkdir()
    written = tmp_path / "rows.json"
    is_checkout = (REPOSITORY / ".git").exists()
    done = benchmark(
        *("-m", "benchmarks", "--tree", tree, "--library", library, "--scratch", scratch),
        *("--repeat", 1, "--files", "3,6,9", "--records", 200, "--json", written),
        *("--typescript", tree, "--large", tree),
        *(("--before", "HEAD") if is_checkout else ()),
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(written.read_text())
    names = [row["name"] for row in document["rows"]]
    wanted = [*ROWS, "growth", *(ROWS_BEFORE if is_checkout else ())]
    assert sorted(names) == sorted(wanted), "a row of growth for each larger corpus"
    assert [cells[0] for cells in table_of(done.stdout)] == [r["work"] for r in document["rows"]]
    assert all(row["values"] and min(row["values"]) > 0 for row in document["rows"])
    for word in ("processor", "cores", "python", "git", "file system"):
        assert f"{word}: {document['machine'][word]}\n" in done.stdout
    assert list(scratch.iterdir()) == []


def test_one_row(tree: Path) -> None:
    before = {path: path.read_bytes() for path in tree.rglob("*.py")}
    chosen = ("--only", "size", "cold", "--quick", "--processor")
    done = benchmark("-m", "benchmarks", "--tree", tree, *chosen)
    assert done.returncode == 0, done.stderr
    assert len(table_of(done.stdout)) == 2
    assert "times: of processors\n" in done.stdout
    assert {path: path.read_bytes() for path in tree.rglob("*.py")} == before


def test_unknown_row(tree: Path) -> None:
    done = benchmark("-m", "benchmarks", "--tree", tree, "--only", "nothing")
    assert done.returncode == 2
    assert "invalid choice: 'nothing'" in done.stderr


def test_a_row_that_needs_an_option(tree: Path) -> None:
    done = benchmark("-m", "benchmarks", "--tree", tree, "--large", tree, "--only", "cold", "large")
    assert done.returncode == 2
    assert "large needs --large and --before" in done.stderr


def test_profile(tree: Path) -> None:
    done = benchmark("-m", "benchmarks.profile_scan", tree)
    assert done.returncode == 0, done.stderr
    assert "processor: " in done.stdout
    assert "codebatch.cli.commands.scan:scan" in done.stdout


def test_tools(tree: Path) -> None:
    done = benchmark("-m", "benchmarks.tools", tree, "ruff", "--repeat", 1)
    assert done.returncode == 0, done.stderr
    heading, row = done.stdout.splitlines()
    assert heading.split()[:2] == ["tool", "direct"]
    assert row.startswith("ruff ")


@pytest.mark.slow
def test_columns(tmp_path: Path) -> None:
    done = benchmark(
        *("-m", "benchmarks.columns", "--records", 1000, "--repeat", 2, "--scratch", tmp_path)
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["records"] == 1080
    assert len(found["seconds"]) == 2
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_naive(tree: Path) -> None:
    (tree / "link.py").unlink()
    done = benchmark("benchmarks/naive.py", tree)
    assert done.returncode == 0, done.stderr
    assert "ratio" in done.stdout


@pytest.mark.slow
def test_scale(tmp_path: Path) -> None:
    written = tmp_path / "steps.json"
    done = benchmark(
        *("-m", "benchmarks.scale", "--files", 300, "--shards", 16, "--walk", 40),
        *("--no-cluster", "--scratch", tmp_path, "--json", written),
    )
    assert done.returncode == 0, done.stderr
    steps = json.loads(written.read_text())["steps"]
    assert [cells[0] for cells in table_of(done.stdout)] == [step["name"] for step in steps]
    planner, rest = steps[:8], [step["name"] for step in steps[8:]]
    assert [step["shards"] for step in planner] == [16] * 8
    assert rest == [*["one shard"] * 3, "`snapshot`", "`snapshot`, unchanged"]
    runs = [step["facts"]["files"] for step in planner if step["name"].startswith("`run`")]
    # Of 300 files, six are copies; a run again computes nothing, and after an edit three files.
    assert [found["computed"] for found in runs] == [4 * 294, 0, 4 * 3]
    assert all(step["facts"]["peak_bytes"] > 2**20 for step in steps)
    assert list(tmp_path.iterdir()) == [written]


@pytest.mark.slow
def test_scale_with_real_files_and_a_cluster(tree: Path, tmp_path: Path) -> None:
    done = benchmark(
        *("-m", "benchmarks.scale", "--files", 300, "--shards", 16, "--tree", tree),
        *("--real-files", 40, "--scratch", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    names = [cells[0] for cells in table_of(done.stdout)]
    assert names[11] == "`run` on a cluster"
    assert names[-2:] == ["real files, shared", "real files, shipped"]


@pytest.mark.slow
def test_the_page_of_a_report(browser: object) -> None:
    """``browser`` is there for the test to be skipped where no Chromium is."""
    done = benchmark("-m", "benchmarks.report", "--findings", 200, "--keys", "va", "--repeat", 1)
    assert done.returncode == 0, done.stderr
    assert "written: 200 findings in " in done.stdout
    assert "\na key press: " in done.stdout
