"""``sarif import``: the findings of a finished log as the records of a task."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from conftest import Outcome, cli_command, cli_environment, run_cli, write_tree

import codebatch
from codebatch.batch.log_paths import SnapshotPaths
from codebatch.batch.sarif import name_of
from codebatch.compare.diff import improvements, regressions
from codebatch.model.resources import load_schema
from codebatch.tasks.languages.python.ruff import RUFF

OWN = """
import codebatch

@codebatch.task(version=1)
def own(file):
    yield codebatch.Metric("length", len(file.text))
"""
Main = Callable[..., Outcome]

FILES = {"a.py": "x = 1\ny = 2\n", "pkg/a.py": "import os\n", "pkg/b.py": 'z = "😀é"; w = 1\n'}


def run_of(*results: dict, name: str = "Scan Tool", **more: object) -> dict:
    rule = {"id": "S/1", "name": "First", "helpUri": "https://example.org/1"} | {
        "shortDescription": {"text": "What is wrong"},
        "help": {"text": "What to do"},
        "defaultConfiguration": {"level": "error"},
    }
    driver = {"name": name, "semanticVersion": "1.2", "rules": [rule]}
    return {"tool": {"driver": driver}, "results": list(results), **more}


def result(uri: str, line: int = 1, column: int = 1, text: str = "m", **more: object) -> dict:
    region = {"startLine": line, "startColumn": column}
    place = {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}
    return {"ruleId": "S/1", "message": {"text": text}, "locations": [place], **more}


def write_log(path: Path, *runs: dict) -> Path:
    path.write_text(json.dumps({"version": "2.1.0", "runs": list(runs)}))
    return path


class Here:
    """A store and a log in a folder, and the command line there."""

    def __init__(self, folder: Path, main: Main) -> None:
        self.folder = folder
        self.store = codebatch.open_store(folder / "store", create=True)
        self.main = main

    def scan(self, files: dict[str, str]) -> codebatch.Batch:
        tree = write_tree(self.folder / "tree", files)
        batch = self.store.batch(self.store.snapshot(tree), ["lint"])
        batch.run("sync")
        return batch

    def on_store(self, *arguments: object) -> Outcome:
        return self.main(*arguments, "--store", self.store.path)

    def imported(self, *runs: dict, options: tuple[object, ...] = ()) -> dict[str, Any]:
        """Import a log, and return the answer, which must be as its schema says."""
        log = write_log(self.folder / "log.sarif", *runs)
        done = self.on_store("sarif", "import", log, "--json", *options)
        assert done.code == 0, done.err
        answer: dict[str, Any] = json.loads(done.stdout)
        jsonschema.Draft202012Validator(load_schema("cli.sarif-import")).validate(answer)
        assert answer.keys() == load_schema("cli.sarif-import")["properties"].keys()
        return answer

    def findings(self, batch_id: str, task: str) -> list[tuple[object, ...]]:
        found = self.store.find_batch(batch_id).records(kind="diagnostic", task=task)
        names = ("path", "line", "column", "code", "rule", "severity", "message")
        return sorted(tuple(one[name] for name in names) for one in found)


@pytest.fixture
def here(tmp_path: Path, main: Main) -> Here:
    return Here(tmp_path, main)


def test_findings_stand_beside_the_tasks_of_the_batch(here: Here) -> None:
    base = here.scan(FILES)
    answer = here.imported(
        run_of(result("pkg/a.py", 1, 8, level="note"), result("a.py", 2, text="n"))
    )
    assert answer["tasks"] == [
        {
            "task_id": "scan-tool",
            "tools": [{"name": "Scan Tool", "version": "1.2", "link": ""}],
            "findings": 2,
            "files": 2,
        }
    ]
    assert (answer["left_out"], answer["status"]) == ({}, "done")
    assert here.findings(answer["batch_id"], "scan-tool") == [
        ("a.py", 2, 1, "S-1", "S/1", "error", "n"),
        ("pkg/a.py", 1, 8, "S-1", "S/1", "info", "m"),
    ]
    assert here.findings(answer["batch_id"], "lint") == here.findings(base.id, "lint") != []
    plan = here.store.directory.batches.load_plan(answer["batch_id"])
    before = here.store.directory.batches.load_plan(base.id)
    assert plan.snapshot_id == answer["snapshot_id"] == before.snapshot_id
    assert plan.pipeline == f"{before.pipeline}+scan-tool"
    (rule,) = plan.task("scan-tool").rules
    assert rule == {
        "code": "S-1",
        "name": "S/1",
        "title": "What is wrong",
        "help": "What to do",
        "link": "https://example.org/1",
        "severity": "error",
    }
    config = dict(plan.task("scan-tool").config)
    jsonschema.Draft202012Validator(load_schema("config.sarif")).validate(config)
    assert config["log"] == answer["log"]
    assert "What to do" in here.on_store("inspect", "pkg/a.py", "--batch", answer["batch_id"]).out


def test_the_same_log_gives_the_same_batch(here: Here) -> None:
    here.scan(FILES)
    first = here.imported(run_of(result("a.py")))
    again = here.imported(run_of(result("a.py")))
    assert again == {**first, "created": False}
    alone = here.imported(run_of(result("a.py")), options=("--alone",))
    over = ("--snapshot", first["snapshot_id"])
    assert here.imported(run_of(result("a.py")), options=over) == {**alone, "created": False}
    assert alone["batch_id"] != first["batch_id"]
    plan = here.store.directory.batches.load_plan(alone["batch_id"])
    assert [task.id for task in plan.tasks] == ["scan-tool"]


def test_two_imports_compare(here: Here) -> None:
    here.scan(FILES)
    old = here.imported(run_of(result("a.py"), result("pkg/a.py", text="gone")))
    new = here.imported(run_of(result("a.py", 2, text="more"), result("a.py")))
    assert here.findings(new["batch_id"], "scan-tool") == [
        ("a.py", 1, 1, "S-1", "S/1", "error", "m"),
        ("a.py", 2, 1, "S-1", "S/1", "error", "more"),
    ]
    found = here.store.compare(old["batch_id"], new["batch_id"])
    assert [item.record["message"] for item in regressions(found.diff)] == ["more"]
    assert [item.record["message"] for item in improvements(found.diff, {})] == ["gone"]


def test_runs_of_several_tools_are_several_tasks(here: Here) -> None:
    here.scan(FILES)
    runs = (run_of(result("a.py"), name="A"), run_of(result("a.py"), result("a.py", 2), name="B"))
    answer = here.imported(*runs)
    assert [(task["task_id"], task["findings"]) for task in answer["tasks"]] == [("a", 1), ("b", 2)]
    answer = here.imported(*runs, options=("--task", "both", "--alone"))
    (task,) = answer["tasks"]
    assert (task["task_id"], task["findings"]) == ("both", 2)
    assert [tool["name"] for tool in task["tools"]] == ["A", "B"]
    assert answer["left_out"] == {"repeated": 1}


def test_what_is_left_out_is_counted_and_named(here: Here) -> None:
    here.scan(FILES)
    run = run_of(
        *(result("a.py"), result("a.py", 4), result("a.py", 3), result("a.py", 9)),
        *(result("gone.py"), result("gone.py"), result("b/gone.py")),
        *({"ruleId": "S/1", "message": {"text": "m"}}, result("a.py")),
        *(result("a.py", kind="pass"), result("a.py", suppressions=[{"kind": "inSource"}])),
        invocations=[{"executionSuccessful": False}],
    )
    answer = here.imported(run)
    assert answer["tasks"][0]["findings"] == 2
    assert answer["left_out"] == {
        "beyond the end of the file": 2,
        "not in the snapshot": 3,
        "of no file": 1,
        "passed or not applicable": 1,
        "repeated": 1,
        "suppressed": 1,
    }
    assert answer["missing"] == {"b/gone.py": 1, "gone.py": 2}
    assert answer["beyond"] == {"a.py": 2}
    assert answer["unsuccessful"] == ["Scan Tool"]
    done = here.on_store("sarif", "import", here.folder / "log.sarif")
    assert "left out 3 results not in the snapshot: b/gone.py (1), gone.py (2)\n" in done.err
    assert "left out 2 results beyond the end of the file: a.py (2)\n" in done.err
    assert "left out 1 result of no file\n" in done.err
    assert "the log says that Scan Tool did not end well\n" in done.err
    assert "2 findings in 1 file, of Scan Tool 1.2\n" in done.out


def test_columns_in_units_of_utf_16_become_those_of_characters(here: Here) -> None:
    here.scan(FILES)
    results = [result("pkg/b.py", 1, column) for column in (1, 6, 8, 10, 40)]
    answer = here.imported(run_of(*results, columnKind="utf16CodeUnits"))
    found = here.findings(answer["batch_id"], "scan-tool")
    assert [one[2] for one in found] == [1, 6, 7, 9, 39]
    answer = here.imported(run_of(*results, columnKind="unicodeCodePoints"))
    found = here.findings(answer["batch_id"], "scan-tool")
    assert [one[2] for one in found] == [1, 6, 8, 10, 40]


def test_an_own_export_comes_back_as_it_was(here: Here) -> None:
    base = here.scan({**FILES, "c.py": "import a  \nx = [1](2)\n"})
    exported = here.folder / "own.sarif"
    assert here.on_store("export", "--format", "sarif", "--output", exported).code == 0
    done = here.on_store("sarif", "import", exported, "--task", "back", "-q")
    assert (done.code, done.err) == (0, "")

    def facts(batch_id: str, task: str) -> list[dict[str, object]]:
        found = here.store.find_batch(batch_id).records(kind="diagnostic", task=task)
        unlike = {"rule", "task_id", "shard_id"}
        return [{k: v for k, v in one.items() if k not in unlike} for one in found]

    assert facts(done.out.strip(), "back") == facts(base.id, "lint") != []


def test_an_import_equals_what_ruff_says_itself(here: Here) -> None:
    tree = here.folder / "tree"
    unwanted = shutil.ignore_patterns("__*")
    shutil.copytree(Path(click.__file__).parent, tree / "click", ignore=unwanted)

    def ruff(form: str) -> Any:
        command = [RUFF.binary(), "check", "--isolated", "--no-cache", "--exit-zero", "--quiet"]
        command += ["--select", "ALL", "--output-format", form, tree]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    here.store.batch(here.store.snapshot(tree), ["lint"]).run("sync")
    answer = here.imported(*ruff("sarif")["runs"])
    expected = {
        (
            str(Path(one["filename"]).relative_to(tree)),
            *(one["location"]["row"], one["location"]["column"], one["code"], one["message"]),
        )
        for one in ruff("json")
    }
    found = here.findings(answer["batch_id"], "ruff")
    assert {(p, line, col, rule, text) for p, line, col, _, rule, _, text in found} == expected
    assert len(found) == len(expected) > 1000
    assert answer["left_out"].keys() <= {"repeated"}


def test_an_import_is_kept_checked_and_put_back(here: Here) -> None:
    here.scan(FILES)
    answer = here.imported(run_of(result("a.py")))
    batch = here.store.find_batch(answer["batch_id"])
    here.store.gc(grace=0)
    config = here.store.directory.batches.load_plan(batch.id).task("scan-tool").config
    assert here.store.verify(read_data=True).ok
    assert batch.recheck(scheduler="sync").differ == ()
    place = Path(here.store.directory.layout.object(str(config["object"])))
    (stored,) = place.parent.glob(f"{place.name}*")
    stored.unlink()
    report = here.store.verify(repair=True)
    (problem,) = report.problems
    assert (problem.code, problem.batches) == ("OBJECT_MISSING", (batch.id,))
    assert problem.action == "none"
    assert "sarif import" in problem.message
    assert here.findings(batch.id, "scan-tool") != []
    assert here.imported(run_of(result("a.py"))) == {**answer, "created": False}
    assert here.store.verify(read_data=True).ok
    here.on_store("batch", "rm", batch.id)
    here.store.gc(grace=0)
    assert not list(place.parent.glob(f"{place.name}*"))


def test_an_import_that_lost_results_resumes(here: Here) -> None:
    here.scan(FILES)
    answer = here.imported(run_of(result("a.py"), result("pkg/a.py")))
    found = here.findings(answer["batch_id"], "scan-tool")
    folder = here.store.path / "batches" / answer["batch_id"]
    for state in folder.glob("**/scan-tool/**/state.json"):
        state.unlink()
    assert here.on_store("resume", "--batch", answer["batch_id"]).code == 0
    assert here.findings(answer["batch_id"], "scan-tool") == found
    assert here.on_store("status", "--batch", answer["batch_id"]).code == 0
    explained = here.on_store("explain", "--task", "scan-tool", "--file", "a.py")
    assert explained.code == 0
    assert answer["log"] in explained.out


@pytest.mark.parametrize(
    ("data", "options", "code", "words"),
    [
        ("no", (), "LOG_INVALID", "not JSON"),
        ('{"version": "2.1.0", "runs": []}', (), "LOG_INVALID", "no runs"),
        ('{"version": "2.1.0", "runs": [{}]}', ("--task", "a b"), "USAGE", "no name of a task"),
        ('{"version": "2.1.0", "runs": [{}]}', ("--task", "lint"), "USAGE", "is no import"),
        ("{}", ("--snapshot", "latest", "--batch", "latest"), "USAGE", "--snapshot"),
        (None, (), "LOG_INVALID", "cannot be read"),
    ],
)
def test_what_cannot_be_imported_is_an_error(
    here: Here, data: str | None, options: tuple[str, ...], code: str, words: str
) -> None:
    batch = here.scan(FILES)
    log = here.folder / "bad.sarif"
    if data is not None:
        log.write_text(data)
    done = here.on_store("sarif", "import", log, "--json", *options)
    error = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (2, code)
    assert words in error["message"]
    assert [row["batch_id"] for row in here.store.batches()] == [batch.id]


def test_a_log_on_standard_input(here: Here) -> None:
    here.scan(FILES)
    log = write_log(here.folder / "log.sarif", run_of(result("a.py")))
    answer = here.imported(run_of(result("a.py")))
    command = cli_command("sarif", "import", "-", "-q", "--store", here.store.path)
    done = subprocess.run(
        command, input=log.read_bytes(), env=cli_environment(), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == answer["batch_id"]


def test_tasks_that_are_not_known_here_are_an_error(here: Here) -> None:
    tree = write_tree(here.folder / "tree", FILES)
    own = write_tree(here.folder, {"own_of_import.py": OWN}) / "own_of_import.py"
    scan = run_cli("scan", tree, "--task", f"{own}:own", "--store", here.store.path)
    assert scan.code == 0, scan.err
    log = write_log(here.folder / "log.sarif", run_of(result("a.py")))
    done = here.on_store("sarif", "import", log)
    assert (done.code, "--alone" in done.err) == (2, True)
    assert here.on_store("sarif", "import", log, "--alone").code == 0


def test_in_python(here: Here) -> None:
    batch = here.scan(FILES)
    log = write_log(here.folder / "log.sarif", run_of(result("a.py")))
    report = batch.import_sarif(log, task="mine")
    made = here.store.find_batch(report.batch_id)
    made.run("sync")
    assert len(here.findings(made.id, "mine")) == 1
    assert batch.import_sarif(log, alone=True).batch_id != made.id


@pytest.mark.parametrize(
    ("name", "task"),
    [
        *(("CodeQL", "codeql"), ("Snyk Code", "snyk-code"), ("1st", "sarif-1st")),
        *(("é", "sarif"), ("x" * 99, "x" * 64), ("", "sarif")),
    ],
)
def test_names_of_tasks(name: str, task: str) -> None:
    assert name_of(name) == task


PATHS = ["a.py", "src/app/a.py", "src/app/b.py", "src/lib/b.py", "src/lib/c.py", "tests/c.py"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["a.py", "./src/app/b.py"], ["a.py", "src/app/b.py"]),
        (["/ci/w/src/app/a.py", "/ci/w/a.py"], ["src/app/a.py", "a.py"]),
        (["/ci/w/src/app/a.py"], ["src/app/a.py"]),
        (["C:/w/src/app/b.py", "C:\\w\\a.py"], ["src/app/b.py", "a.py"]),
        # The root is that of most: a file of the same name elsewhere is another one.
        (["/w/src/app/b.py", "/w/a.py", "/usr/lib/a.py"], ["src/app/b.py", "a.py", None]),
        # A log of a folder, and one of a folder above.
        (["app/b.py", "lib/b.py", "nothing.py"], ["src/app/b.py", "src/lib/b.py", None]),
        (["proj/src/app/b.py", "proj/a.py"], ["src/app/b.py", "a.py"]),
        # Two folders are as good: there is no telling which.
        (["b.py"], [None]),
        (["c.py"], [None]),
        (["b.py", "c.py"], ["src/lib/b.py", "src/lib/c.py"]),
        (["../w/a.py", "", "https://example.org/x"], ["a.py", None, None]),
        (["lib.py"], [None]),
    ],
)
def test_paths_are_matched_by_their_ends(said: list[str], expected: list[str | None]) -> None:
    found = SnapshotPaths(PATHS).find_all(said)
    assert [found.get(path) for path in said] == expected


def test_paths_that_no_file_can_have_take_no_time() -> None:
    long = [
        "/" + "x/" * 500_000 + "a.py",
        "y/" * 1_000 + "a.py",
        "z" * 4_100 + "/a.py",
        "é" * 2_100,
    ]
    started = time.monotonic()
    paths = SnapshotPaths([*PATHS, *long])
    assert paths.find_all([*long, "src/app/b.py"]) == {"src/app/b.py": "src/app/b.py"}
    assert time.monotonic() - started < 5


def test_many_files_of_one_name_take_no_time() -> None:
    named = [f"top/p{number}/__init__.py" for number in range(20_000)]
    started = time.monotonic()
    found = SnapshotPaths(named).find_all([path.removeprefix("top/") for path in named])
    assert found == {path.removeprefix("top/"): path for path in named}
    assert time.monotonic() - started < 20
