"""The command line: what goes to which stream, in which form, with which exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, Scanned, cli_command, cli_environment, write_tree

import codebatch

COLOR = re.compile(rb"\x1b\[[0-9;]*m")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# Every command, as words that are valid against the finished store, and its kind of document.
COMMANDS: dict[str, type] = {
    "init {path}": dict,
    "snapshot {tree}": dict,
    "snapshots": list,
    "batch init": dict,
    "batches": list,
    "run --scheduler sync": dict,
    "resume --scheduler sync": dict,
    "scan {tree} --scheduler sync": dict,
    "status": dict,
    "summary": dict,
    "tasks": list,
    "shards": list,
    "shards --task lint": list,
    "files": list,
    "errors": list,
    "query outputs": list,
    "diff latest latest": dict,
    "regressions latest latest": dict,
    "improvements latest latest": dict,
    "pipelines": list,
    "pipeline full": dict,
}
KEYS: dict[str, str] = {
    "snapshot {tree}": "snapshot_id file_count total_bytes skipped created",
    "batch init": "batch_id snapshot_id pipeline tasks shards created",
    "run --scheduler sync": "batch_id snapshot_id status result shards files seconds",
    "resume --scheduler sync": "batch_id snapshot_id status result shards files seconds",
    "scan {tree} --scheduler sync": "batch_id snapshot_id status result shards files seconds",
    "status": "batch_id status shards tasks",
    "summary": "batch_id snapshot_id pipeline status result files records diagnostics tasks",
    "tasks": "task_id type status needs records",
    "shards": "shard_id status files records",
    "shards --task lint": "shard_id status files records",
    "files": "path object size language records diagnostics",
    "errors": "kind path task_id shard_id code rule severity message line column fingerprint",
    "query outputs": "kind path task_id shard_id",
    "diff latest latest": "a b added removed changed renamed summary",
    "regressions latest latest": "a b items summary",
    "improvements latest latest": "a b items summary",
    "batches": "batch_id snapshot_id pipeline created",
    "snapshots": "snapshot_id file_count total_bytes",
    "pipelines": "name tasks",
    "pipeline full": "name tasks",
}
INNER_KEYS: dict[str, dict[str, str]] = {
    "run --scheduler sync": {"shards": "total done failed", "files": "computed reused quarantined"},
    "diff latest latest": {"summary": "added removed changed renamed unchanged"},
    "regressions latest latest": {"summary": "count by_severity by_code"},
    "improvements latest latest": {"summary": "count by_severity by_code"},
    "status": {"shards": "total done failed pending", "tasks": "task_id status shards"},
    "summary": {
        "files": "total by_language",
        "records": "total by_kind",
        "diagnostics": "total by_severity by_code",
    },
}


def words_of(command: str, scanned: Scanned) -> list[str]:
    return command.format(path=scanned.path, tree=scanned.tree).split()


def call(main: Callable[..., Outcome], scanned: Scanned, command: str, *more: object) -> Outcome:
    words = words_of(command, scanned)
    where = [] if command.startswith(("init", "pipeline")) else ["--store", scanned.path]
    return main(*words, *where, *more)


def load(outcome: Outcome) -> Any:
    return json.loads(outcome.stdout)


# -- documents -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_one_document_and_nothing_else(
    command: str, scanned: Scanned, main: Callable[..., Outcome]
) -> None:
    done = call(main, scanned, command, "--json")
    assert (done.code, done.stderr) == (0, b"")
    document = load(done)
    assert isinstance(document, COMMANDS[command])
    assert done.stdout.endswith(b"\n")
    rows = document if isinstance(document, list) else [document]
    assert rows
    for row in rows:
        assert set(KEYS.get(command, "").split()) <= set(row)
    for key, inner in INNER_KEYS.get(command, {}).items():
        value = document[key]
        for part in value if isinstance(value, list) else [value]:
            assert set(inner.split()) <= set(part), key


@pytest.mark.parametrize("command", COMMANDS)
def test_human_form_says_something_without_colour(
    command: str, scanned: Scanned, main: Callable[..., Outcome]
) -> None:
    done = call(main, scanned, command)
    assert (done.code, done.said) == (0, "")
    assert done.stdout.strip()
    assert b"\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        ("snapshot {tree}", "snap-[0-9a-f]{16}"),
        ("batch init", "batch-[0-9a-f]{16}"),
        ("run", "batch-[0-9a-f]{16}"),
        ("resume", "batch-[0-9a-f]{16}"),
        ("scan {tree}", "batch-[0-9a-f]{16}"),
    ],
)
def test_quiet_prints_the_id_alone(
    command: str, pattern: str, scanned: Scanned, main: Callable[..., Outcome]
) -> None:
    done = call(main, scanned, command, "-q")
    assert re.fullmatch(pattern + "\n", done.out)
    assert done.stderr == b""


def test_documents_agree_with_each_other(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    summary = load(call(main, scanned, "summary", "--json"))
    records = load(call(main, scanned, "query outputs", "--json"))
    files = load(call(main, scanned, "files", "--json"))
    shards = load(call(main, scanned, "shards", "--json"))
    tasks = load(call(main, scanned, "tasks", "--json"))
    found = load(call(main, scanned, "errors", "--json"))

    def count(rows: list[dict[str, Any]], key: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in rows:
            counts[row[key]] = counts.get(row[key], 0) + 1
        return counts

    assert summary["records"] == {"total": len(records), "by_kind": count(records, "kind")}
    assert summary["diagnostics"] == {
        "total": len(found),
        "by_severity": count(found, "severity"),
        "by_code": count(found, "code"),
    }
    assert found == [record for record in records if record["kind"] == "diagnostic"]
    assert summary["files"] == {"total": len(files), "by_language": count(files, "language")}
    assert {f["path"]: f["records"] for f in files if f["records"]} == count(records, "path")
    assert {f["path"]: f["diagnostics"] for f in files if f["diagnostics"]} == count(found, "path")
    assert {s["shard_id"]: s["records"] for s in shards if s["records"]} == count(
        records, "shard_id"
    )
    assert {t["task_id"]: t["records"] for t in tasks} == count(records, "task_id")
    assert summary["tasks"] == tasks
    assert summary["result"] == scanned.report.result


def test_files_lists_every_file(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    expected = sorted(
        os.fsencode(path.relative_to(scanned.tree))
        for path in scanned.tree.rglob("*")
        if path.is_symlink() or path.is_file()
    )
    rows = load(call(main, scanned, "files", "--json"))
    assert [os.fsencode(row["path"]) for row in rows] == expected
    shown = call(main, scanned, "files").out
    assert all(os.fsdecode(path) in shown for path in expected)


def test_languages(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    rows = load(call(main, scanned, "files", "--json"))
    found = {row["path"]: row["language"] for row in rows}
    assert found["bin/run"] == "python"
    assert found["link.py"] == "symlink"
    assert found["web/view.tsx"] == "tsx"
    assert found["web/types.ts"] == "typescript"
    assert found["web/app.js"] == "javascript"
    assert found["data/table"] == "binary"
    assert found["data/config.json"] == "json"
    assert found["README.md"] == "markdown"


def test_the_findings_of_the_tree(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    found = {(row["path"], row["code"]) for row in load(call(main, scanned, "errors", "--json"))}
    assert found >= {
        ("pkg/broken.py", "E0001"),
        ("web/bad.ts", "E0001"),
        ("pkg/cart.py", "L101"),
        ("pkg/cart.py", "L102"),
        ("pkg/cart.py", "L103"),
        ("web/app.js", "L101"),
        ("pkg/style.py", "L001"),
        ("pkg/style.py", "L003"),
        ("pkg/style.py", "L004"),
        ("pkg/style.py", "L005"),
        ("bin/run", "L101"),
    }


@pytest.mark.parametrize(
    ("words", "keep"),
    [
        ("--severity error", lambda row, _: row["severity"] == "error"),
        ("--code L101", lambda row, _: row["code"] == "L101"),
        ("--task lint", lambda row, _: row["task_id"] == "lint"),
        ("--path pkg/*", lambda row, _: row["path"].startswith("pkg/")),
        ("--path *.ts", lambda row, _: row["path"].endswith(".ts")),
        ("--path pkg/cart.py", lambda row, _: row["path"] == "pkg/cart.py"),
        ("--language typescript", lambda _, language: language == "typescript"),
        (
            "--severity warning --language python",
            lambda row, language: (row["severity"], language) == ("warning", "python"),
        ),
        ("--path pkg", lambda row, _: row["path"].startswith("pkg/")),
        ("--code L999", lambda *_: False),
    ],
)
def test_errors_are_filtered(
    words: str,
    keep: Callable[[dict[str, Any], str], bool],
    scanned: Scanned,
    main: Callable[..., Outcome],
) -> None:
    rows = load(call(main, scanned, "files", "--json"))
    languages = {row["path"]: row["language"] for row in rows}
    everything = load(call(main, scanned, "errors", "--json"))
    expected = [row for row in everything if keep(row, languages[row["path"]])]
    assert load(call(main, scanned, "errors", *words.split(), "--json")) == expected
    assert bool(expected) == ("L999" not in words)
    shown = call(main, scanned, "errors", *words.split()).out.splitlines()
    assert len(shown) == len(expected) + 1


def test_limit(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    for command in ("errors", "files", "query outputs"):
        everything = load(call(main, scanned, command, "--json"))
        for limit in (0, 1, 3, 10_000):
            some = load(call(main, scanned, command, "--json", "--limit", limit))
            assert some == everything[:limit]
    assert "2 shown" in call(main, scanned, "errors", "--limit", 2).out.splitlines()[-1]


def test_status_follows_the_batch(
    tree: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    def status() -> dict[str, Any]:
        document: dict[str, Any] = load(main("status", "--store", store.path, "--json"))
        assert document["status"] in main("status", "--store", store.path).out
        return document

    batch = store.batch(store.snapshot(tree), "full")
    total = len(batch.shards())
    fresh = status()
    assert fresh["status"] == "pending"
    assert fresh["shards"] == {"total": total, "done": 0, "failed": 0, "pending": total}
    assert {task["status"] for task in fresh["tasks"]} == {"pending"}
    summary = load(main("summary", "--store", store.path, "--json"))
    assert (summary["status"], summary["result"], summary["records"]["total"]) == (
        "pending",
        None,
        0,
    )
    unfinished = load(main("errors", "--store", store.path, "--json"))
    assert unfinished["error"]["code"] == "BATCH_UNFINISHED"

    batch.run("sync")
    done = status()
    assert done["status"] == "done"
    assert done["shards"] == {"total": total, "done": total, "failed": 0, "pending": 0}

    next(iter(sorted(store.path.glob("batches/*/tasks/lint/shards/*/state.json")))).unlink()
    partial = status()
    assert partial["status"] == "partial"
    assert partial["shards"] == {"total": total, "done": total - 1, "failed": 0, "pending": 1}
    tasks = {task["task_id"]: task["status"] for task in partial["tasks"]}
    assert tasks == {"parse": "done", "analyze": "done", "symbols": "done", "lint": "partial"}


# -- ids and stores ----------------------------------------------------------------------------


def test_ids_may_be_short(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    batch = scanned.batch.id
    for text in (batch, batch[:10], batch[6:9], batch[6:], "latest", "b"):
        assert load(call(main, scanned, "status", "--json", "--batch", text))["batch_id"] == batch


def test_ambiguous_ids_are_refused(
    tree: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    snapshot = store.snapshot(tree)
    ids = [store.batch(snapshot, name).id for name in ("parse", "analyze", "full")]
    done = main("status", "--store", store.path, "--batch", "batch-", "--json")
    error = load(done)["error"]
    assert (done.code, error["code"]) == (2, "AMBIGUOUS_ID")
    assert error["details"]["candidates"] == sorted(ids)
    assert load(main("status", "--store", store.path, "--json"))["batch_id"] == ids[-1]


def test_latest_is_the_one_made_last(
    tmp_path: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    made = []
    for number in range(4):
        root = write_tree(tmp_path / "t", {"a.py": f"x = {number}\n"})
        made.append(store.batch(store.snapshot(root), "parse"))
        status = load(main("status", "--store", store.path, "--json"))
        assert status["batch_id"] == made[-1].id
    rows = load(main("batches", "--store", store.path, "--json"))
    assert [row["batch_id"] for row in rows] == [batch.id for batch in made]
    assert len(load(main("snapshots", "--store", store.path, "--json"))) == 4


def test_store_is_found(scanned_copy: Scanned, tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    inner = tmp_path / "project/a/b"
    inner.mkdir(parents=True)
    elsewhere = {"CODEBATCH_STORE": str(scanned_copy.path)}
    assert cli("status", "-h").code == 0
    none = cli("status", "--json", cwd=inner)
    assert (none.code, load(none)["error"]["code"]) == (4, "STORE_NOT_FOUND")
    assert cli("status", cwd=inner, env=elsewhere).code == 0
    shutil.copytree(scanned_copy.path, tmp_path / "project/.codebatch")
    assert cli("status", cwd=inner).code == 0
    # An option beats the environment, which beats a store above.
    wrong = {"CODEBATCH_STORE": str(tmp_path / "nowhere")}
    assert cli("status", cwd=inner, env=wrong).code == 4
    assert cli("status", "--store", scanned_copy.path, cwd=inner, env=wrong).code == 0
    assert cli("status", cwd=inner, env={"CODEBATCH_STORE": ""}).code == 0


def test_everything_in_one_go(tree: Path, cli: Callable[..., Outcome]) -> None:
    done = cli("scan", ".", cwd=tree)
    assert done.code == 0, done.err
    assert "made a store: .codebatch" in done.err
    assert (tree / ".codebatch/store.json").is_file()
    assert cli("errors", cwd=tree).code == 0


@pytest.mark.parametrize("command", ["init {new}", "snapshot {tree}", "batch init", "scan {tree}"])
def test_next_commands_work_as_printed(
    command: str, tree: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    """A hint is there to be copied: it names the store where the command had to."""
    store = tmp_path / "st"
    if not command.startswith("init"):
        opened = codebatch.open_store(store, create=True)
        opened.snapshot(tree)
    words = command.format(new=store, tree=tree).split()
    where = [] if command.startswith("init") else ["--store", store]
    done = cli(*words, *where, cwd=tmp_path)
    assert done.code == 0, done.err
    printed = re.findall(r"^(?:next: |      )codebatch (.+)$", done.out, re.MULTILINE)
    assert printed
    for line in printed:
        again = cli(*line.replace("DIR", str(tree)).split(), cwd=tmp_path)
        assert again.code == 0, (line, again.err)


# -- mistakes ------------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[int, str]] = {
    "diff latest": (2, "USAGE"),
    "diff latest nonsense": (4, "BATCH_NOT_FOUND"),
    "regressions ../x latest": (2, "INVALID_ID"),
    "nonsense": (2, "USAGE"),
    "": (2, "USAGE"),
    "status --nonsense": (2, "USAGE"),
    "status extra": (2, "USAGE"),
    "snapshot": (2, "USAGE"),
    "scan": (2, "USAGE"),
    "pipeline": (2, "USAGE"),
    "batch": (2, "USAGE"),
    "batch nonsense": (2, "USAGE"),
    "query": (2, "USAGE"),
    "query nonsense": (2, "USAGE"),
    "status --batch": (2, "USAGE"),
    "status --batch latest --batch latest": (2, "USAGE"),
    "status --batch=latest --batch latest": (2, "USAGE"),
    "errors --code L101 --code L102": (2, "USAGE"),
    "errors --limit -1": (2, "USAGE"),
    "errors --limit many": (2, "USAGE"),
    "run --workers 0": (2, "USAGE"),
    "batch init --shards 7": (2, "USAGE"),
    "batch init --shards many": (2, "USAGE"),
    "batch init --pipeline nonsense": (2, "PIPELINE_NOT_FOUND"),
    "pipeline nonsense": (2, "PIPELINE_NOT_FOUND"),
    "pipeline ../full": (2, "PIPELINE_NOT_FOUND"),
    "run --scheduler nonsense": (2, "SCHEDULER_INVALID"),
    "run --scheduler tcp://": (2, "SCHEDULER_INVALID"),
    "run --scheduler http://127.0.0.1:1": (2, "SCHEDULER_INVALID"),
    "errors --severity fatal": (2, "FILTER_INVALID"),
    "errors --language klingon": (2, "FILTER_INVALID"),
    "files --language klingon": (2, "FILTER_INVALID"),
    "errors --code nonsense": (2, "FILTER_INVALID"),
    "query outputs --kind nonsense": (2, "FILTER_INVALID"),
    "errors --task nonsense": (2, "TASK_NOT_FOUND"),
    "shards --task nonsense": (2, "TASK_NOT_FOUND"),
    "shards --task ../../parse": (2, "TASK_NOT_FOUND"),
    "status --batch nonsense": (4, "BATCH_NOT_FOUND"),
    "status --batch batch-0000000000000000": (4, "BATCH_NOT_FOUND"),
    "run --batch nonsense": (4, "BATCH_NOT_FOUND"),
    "batch init --snapshot nonsense": (4, "SNAPSHOT_NOT_FOUND"),
    "status --batch ''": (2, "INVALID_ID"),
    "status --batch ..": (2, "INVALID_ID"),
    "status --batch .": (2, "INVALID_ID"),
    "status --batch a/b": (2, "INVALID_ID"),
    "status --batch /etc/passwd": (2, "INVALID_ID"),
    "status --batch ../batches/latest": (2, "INVALID_ID"),
    "status --batch *": (2, "INVALID_ID"),
    "status --batch a\nb": (2, "INVALID_ID"),
    "status --batch latest\n": (2, "INVALID_ID"),
    "batch init --snapshot ../x": (2, "INVALID_ID"),
    "batch init --snapshot ''": (2, "INVALID_ID"),
    "snapshot /nowhere/at/all": (2, "SOURCE_NOT_FOUND"),
    "snapshot /dev/null": (2, "SOURCE_NOT_FOUND"),
    "snapshot ''": (2, "SOURCE_NOT_FOUND"),
    "scan /nowhere/at/all": (2, "SOURCE_NOT_FOUND"),
}
NO_STORE_OPTION = ("nonsense", "pipeline", "batch nonsense", "query nonsense")


def mistake_words(mistake: str, scanned: Scanned) -> list[object]:
    words = [re.sub("^''$", "", word) for word in mistake.split(" ") if word]
    groups = mistake in ("", "batch", "query")
    return (
        words
        if groups or mistake.startswith(NO_STORE_OPTION)
        else [*words, "--store", scanned.path]
    )


@pytest.mark.parametrize("mistake", MISTAKES, ids=repr)
def test_mistake_is_one_line_on_stderr(
    mistake: str, scanned: Scanned, main: Callable[..., Outcome]
) -> None:
    code, _ = MISTAKES[mistake]
    done = main(*mistake_words(mistake, scanned))
    if mistake in ("", "batch", "query"):  # click shows the help of a group without a command
        assert (done.code, b"Usage:" in done.stderr + done.stdout) == (code, True)
        return
    assert (done.code, done.stdout) == (code, b""), done
    first, *hints = done.said.splitlines()
    assert first.startswith("error: ")
    assert all(hint.startswith("  ") for hint in hints)
    assert not CONTROL.search(done.err)


def test_hints_are_about_the_store_that_was_given(
    scanned: Scanned, main: Callable[..., Outcome], tmp_path: Path
) -> None:
    for words in (["--store", scanned.path], [f"--store={scanned.path}"]):
        unknown = main("status", "--batch", "nope", *words)
        assert unknown.err.endswith(f"\n  list them: codebatch batches --store {scanned.path}\n")
    missing = main("status", "--store", tmp_path / "none")
    assert f"\n  make one: codebatch init {tmp_path / 'none'}\n" in missing.err
    wrong = main("status", "--nope", "--store", scanned.path)
    assert wrong.err.endswith("\n  see codebatch status --help\n")


@pytest.mark.parametrize(
    "mistake", [m for m in MISTAKES if m not in ("", "batch", "query")], ids=repr
)
def test_mistake_with_json_is_an_error_object(
    mistake: str, scanned: Scanned, main: Callable[..., Outcome]
) -> None:
    code, name = MISTAKES[mistake]
    done = main(*mistake_words(mistake, scanned), "--json")
    assert (done.code, done.stderr) == (code, b"")
    document = load(done)
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "hints", "details"}
    assert document["error"]["code"] == name
    assert document["error"]["message"]


def test_mistakes_leave_nothing_behind(tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    for words in (
        ("scan", "nowhere"),
        ("scan", ".", "--pipeline", "nonsense"),
        ("scan", ".", "--scheduler", "nonsense"),
        ("scan", ".", "--shards", "7"),
        ("status",),
        ("snapshot", "."),
    ):
        done = cli(*words, cwd=tmp_path)
        assert done.code in (2, 4)
        assert list(tmp_path.iterdir()) == [], words


# -- terminals, pipes, escape sequences ------------------------------------------------------------


def in_terminal(*arguments: object, env: dict[str, str | None] | None = None) -> bytes:
    """What the command writes to a terminal, both streams together."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        cli_command(*arguments),
        env=cli_environment(**{"TERM": "xterm", **(env or {})}),
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    written = b""
    while True:
        ready, _, _ = select.select([parent], [], [], 240)
        try:
            portion = os.read(parent, 65536) if ready else b""
        except OSError:  # the terminal is gone with its last process
            portion = b""
        if not portion:
            break
        written += portion
    os.close(parent)
    assert process.wait(timeout=240) in (0, 4)
    return written


def test_colours_are_for_terminals_that_want_them(scanned: Scanned) -> None:
    words = ("errors", "--store", scanned.path)
    assert COLOR.search(in_terminal(*words))
    assert not COLOR.search(in_terminal(*words, env={"NO_COLOR": "1"}))
    assert not COLOR.search(in_terminal("--no-color", *words))
    missing = ("errors", "--store", scanned.path / "nowhere")
    assert COLOR.search(in_terminal(*missing))
    assert not COLOR.search(in_terminal(*missing, env={"NO_COLOR": "1"}))
    assert not COLOR.search(in_terminal("--no-color", *missing))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store over names and contents that would steer a terminal."""
    base = tmp_path_factory.mktemp("hostile")
    root = os.fsencode(base / "tree")
    os.makedirs(root + b"/\x1b[31mred")
    names = [b"\x1b]0;title\x07.py", b"a\rb\nc.py", b"\x9b31m.py", b"\xc2\x9b.py", b"caf\xe9.py"]
    names += ["\u202egnp.py".encode(), b"\x7f\x08.py", b"\x1b[31mred/x.py", b"tab\t.py"]
    for name in names:
        with open(root + b"/" + name, "wb") as stream:
            stream.write(b"import \x1b[2Jos\nimport sys\n" + name + b" = (\n")
        with open(root + b"/" + name[:-3] + b".ts", "wb") as stream:
            stream.write(b"import {\x1b[2J} from 'x';\nlet '\x1b]0;t\x07\n")
    codebatch.scan(os.fsdecode(root), base / "store", scheduler="sync")
    return base / "store"


@pytest.mark.parametrize(
    "words",
    ["errors", "files", "query outputs", "summary", "status", "errors --json", "files --json"],
)
def test_escape_sequences_never_reach_the_reader(
    words: str, hostile: Path, main: Callable[..., Outcome]
) -> None:
    done = main(*words.split(), "--store", hostile)
    assert done.code == 0
    assert not CONTROL.search(done.out)
    assert "\u202e" not in done.out
    assert done.said == ""
    if "--json" not in words and words in ("errors", "files"):
        assert "\\x1b[31mred/x.py" in done.out
        assert "a\\rb\\nc.py" in done.out
        assert "caf\\xe9.py" in done.out


def test_json_keeps_odd_names_exactly(hostile: Path, main: Callable[..., Outcome]) -> None:
    rows = load(main("files", "--store", hostile, "--json"))
    found = {os.fsencode(row["path"]) for row in rows}
    assert {b"\x1b]0;title\x07.py", b"a\rb\nc.py", b"\x9b31m.py", b"caf\xe9.py"} <= found


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--batch", "\x1b[31m"],
        ["status", "--store", "/tmp/\x1b[31m\rx\n"],
        ["pipeline", "\x1b]0;t\x07"],
        ["snapshot", "/tmp/\x1b[31m"],
        ["errors", "--severity", "\x1b[31m"],
        ["\x1b[31m"],
        ["status", "--\x1b[31m"],
        ["run", "--scheduler", "\x1b[31m"],
        ["errors", "--limit", "\x1b[31m"],
    ],
    ids=repr,
)
def test_escape_sequences_of_arguments_are_not_echoed(
    words: list[str], scanned: Scanned, main: Callable[..., Outcome]
) -> None:
    with_store = words[0] in ("status", "snapshot", "errors", "run") and "--store" not in words
    for more in ([], ["--json"]):
        done = main(*words, *(["--store", scanned.path] if with_store else []), *more)
        assert done.code in (2, 4)
        assert not CONTROL.search(done.out + done.err)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_in_a_narrow_encoding(encoding: str, hostile: Path, scanned: Scanned) -> None:
    for store in (hostile, scanned.path):
        for command in ("files", "errors", "query outputs"):
            done = subprocess.run(
                cli_command(command.split()[0], *command.split()[1:], "--store", store),
                env={**cli_environment(), "PYTHONIOENCODING": encoding},
                capture_output=True,
                check=False,
            )
            assert (done.returncode, b"Traceback" in done.stderr) == (0, False), command


# -- help ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", ["", *sorted({" ".join(c.split()[:1]) for c in COMMANDS})])
def test_help(command: str, flag: str, main: Callable[..., Outcome]) -> None:
    done = main(*command.split(), flag)
    assert (done.code, done.stderr) == (0, b"")
    assert done.out.startswith(f"Usage: codebatch {command}".rstrip())


def test_every_command_is_in_the_help_and_explained(main: Callable[..., Outcome]) -> None:
    text = main("--help").out
    for command in {words.split()[0] for words in COMMANDS}:
        assert re.search(rf"^  {command}  +\S.*$", text, re.MULTILINE), command


def test_every_option_is_explained(main: Callable[..., Outcome]) -> None:
    for words in COMMANDS:
        command = [word for word in words.split() if word[0] not in "-{"]
        command = command[:2] if command[0] in ("batch", "query") else command[:1]
        lines = main(*command, "--help").out.split("Options:\n")[1].splitlines()
        for number, line in enumerate(lines):
            if line.lstrip().startswith("-"):
                described = re.search(r"\S  +\S", line.strip())
                following = lines[number + 1] if number + 1 < len(lines) else ""
                assert described or following.startswith(" " * 10), (words, line)


def test_version(main: Callable[..., Outcome]) -> None:
    assert main("--version").out == f"codebatch, version {codebatch.__version__}\n"


def test_dask_offers_the_command(scanned: Scanned) -> None:
    for words in (["--help"], ["status", "--store", str(scanned.path), "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "dask", "codebatch", *words],
            env=cli_environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["batch_id"] == scanned.batch.id


def test_scan_makes_the_store_in_an_empty_directory(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, main: Callable[..., Outcome]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main("scan", tree, "--store", "empty", "--scheduler", "sync").code == 0
    assert (tmp_path / "empty/store.json").exists()
    assert not (tmp_path / ".codebatch").exists()


UNFINISHED_VIEWS = [
    *(["errors"], ["top"], ["files"], ["query", "outputs"], ["query", "stats"]),
    *(["sql", "SELECT 1"], ["export", "--format", "sarif", "--output", "-"]),
]


def test_views_of_an_unfinished_batch_say_so_once(
    scanned_copy: Scanned, main: Callable[..., Outcome]
) -> None:
    next(scanned_copy.path.glob("batches/*/tasks/lint/shards/*/state.json")).unlink()
    for words in UNFINISHED_VIEWS:
        outcome = main(*words, "--store", scanned_copy.path)
        assert outcome.code == 0
        assert outcome.err.count(" is partial: ") == 1
        assert "Warning" not in outcome.err


def test_views_of_a_batch_that_was_never_run_are_errors(
    store: codebatch.Store, tree: Path, main: Callable[..., Outcome]
) -> None:
    batch = store.batch(store.snapshot(tree))
    for words in UNFINISHED_VIEWS:
        outcome = main(*words, "--store", store.path)
        assert outcome.code == 2
        assert f"nothing of {batch.id} is done yet" in outcome.err
        assert f"codebatch run --batch {batch.id} --store {store.path}" in outcome.err


def test_a_batch_keeps_the_shards_it_was_planned_with(
    main: Callable[..., Outcome], scanned: Scanned
) -> None:
    words = ("batch", "init", "--snapshot", "latest", "--store", scanned.path)
    assert main(*words).stderr == b""
    done = main(*words, "--shards", "256")
    assert done.code == 0
    shards = len(scanned.batch.shards("parse"))
    assert f"keeps the {shards} shards" in done.err
