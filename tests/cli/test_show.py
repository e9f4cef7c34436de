"""`codebatch show`, and the listings of snapshots and batches with sizes, ages and status."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Outcome, Scanned, cli_command, cli_environment, read_outputs, write_tree

import codebatch
from codebatch.cli.render.output import ago
from codebatch.model.clock import seconds_since
from codebatch.model.resources import load_schema

Main = Callable[..., Outcome]


def show(main: Main, scanned: Scanned, text: str, schema: str | None = None) -> Any:
    """The document of an id, checked; its text without a schema."""
    done = main("show", text, "--store", scanned.path, *(["--json"] if schema else []))
    assert done.code == 0, done.err
    if schema is None:
        return done.out
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(load_schema(schema)).validate(found)
    return found


def stored(scanned: Scanned, pattern: str) -> Any:
    (path,) = scanned.path.glob(pattern)
    return json.loads(path.read_bytes())


def test_snapshot_as_it_is_stored(main: Main, scanned: Scanned) -> None:
    snapshot_id = scanned.report.snapshot_id
    expected = stored(scanned, "snapshots/*/snapshot.json")
    for text in (snapshot_id, snapshot_id[:12], snapshot_id.removeprefix("snap-")):
        assert show(main, scanned, text, "cli.show-snapshot") == expected
    page = show(main, scanned, snapshot_id)
    assert page.startswith(f"{snapshot_id}\n")
    assert f"codebatch batch init --snapshot {snapshot_id}" in page


def test_skipped_files_are_listed(main: Main, store: codebatch.Store, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {".gitignore": "*.log\n", "a.py": "", "b.log": ""})
    store.snapshot(tree)
    done = main("show", "latest", "--store", store.path)
    assert done.out.startswith("snap-")  # there is no batch yet
    assert "    b.log: " in done.out


def test_batch_with_its_plan(main: Main, scanned: Scanned) -> None:
    expected = {
        **stored(scanned, "batches/*/batch.json"),
        "plan": stored(scanned, "batches/*/plan.json"),
    }
    for text in ("latest", scanned.batch.id, scanned.batch.id[:10], scanned.batch.id[6:]):
        assert show(main, scanned, text, "cli.show-batch") == expected
    page = show(main, scanned, "latest")
    assert page.startswith(f"{scanned.batch.id}\n")
    assert f"task lint (lint) after parse  {expected['plan']['tasks'][-1]['fingerprint']}" in page
    assert scanned.store.show("latest") == expected


def test_object_is_its_raw_bytes(main: Main, scanned: Scanned) -> None:
    for row in scanned.batch.files():
        content = (
            str((scanned.tree / row["path"]).readlink()).encode()
            if row["language"] == "symlink"
            else (scanned.tree / str(row["path"])).read_bytes()
        )
        digest = str(row["object"])
        for text in (digest, digest[:19], digest.removeprefix("sha256:")):
            done = main("show", text, "--store", scanned.path)
            assert (done.code, done.stdout) == (0, content)
        found = show(main, scanned, digest, "cli.show-object")
        assert (found["object"], found["size"]) == (digest, len(content))


def test_how_an_object_is_stored(main: Main, scanned: Scanned) -> None:
    forms = set()
    for path in sorted(scanned.path.glob("objects/sha256/*/*/*")):
        found = show(main, scanned, f"sha256:{path.name.removesuffix('.zst')}", "cli.show-object")
        assert found["compressed"] == (path.suffix == ".zst")
        assert found["stored_bytes"] == path.stat().st_size
        forms.add(found["compressed"])
    assert forms == {True, False}


@pytest.mark.parametrize(
    ("text", "code", "name"),
    [
        ("zzz", 4, "ID_NOT_FOUND"),
        ("batch-0000000000000000", 4, "BATCH_NOT_FOUND"),
        ("snap-0000000000000000", 4, "SNAPSHOT_NOT_FOUND"),
        ("sha256:" + "0" * 64, 4, "OBJECT_NOT_FOUND"),
        ("sha256:000", 2, "INVALID_ID"),
        ("sha256:../../x", 2, "INVALID_ID"),
        ("../store.json", 2, "INVALID_ID"),
        ("", 2, "INVALID_ID"),
    ],
)
def test_ids_of_nothing(main: Main, scanned: Scanned, text: str, code: int, name: str) -> None:
    done = main("show", text, "--store", scanned.path, "--json")
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (code, name)


def test_digits_that_fit_several(main: Main, tmp_path: Path, store: codebatch.Store) -> None:
    """Bare digits are those of a snapshot or a batch, whichever has them; never a guess."""
    for number in range(20):
        tree = write_tree(tmp_path / str(number), {"a.txt": f"{number}\n"})
        store.batch(store.snapshot(tree), "parse")
    snapshots = {str(row["snapshot_id"])[5] for row in store.snapshots()}
    batches = {str(row["batch_id"])[6] for row in store.batches()}
    digit = min(snapshots & batches)
    done = main("show", digit, "--store", store.path, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (2, "AMBIGUOUS_ID")
    assert {name.split("-")[0] for name in error["details"]["candidates"]} == {"snap", "batch"}


def test_damaged_object_is_never_shown(main: Main, scanned_copy: Scanned) -> None:
    path = next(p for p in scanned_copy.path.glob("objects/sha256/*/*/*") if p.suffix != ".zst")
    path.chmod(0o644)
    path.write_bytes(b"something else")
    done = main("show", f"sha256:{path.name}", "--store", scanned_copy.path)
    assert (done.code, done.stdout) == (4, b"")
    assert hashlib.sha256(b"something else").hexdigest() != path.name


@pytest.mark.parametrize(
    ("content", "code", "shown"),
    [
        (b"tab\there\nesc \x1b[31m \xff\n", 0, b"tab\there\r\nesc \\x1b[31m \\xff\r\n"),
        (b"\0\1\x1b", 2, b""),
    ],
)
def test_object_cannot_steer_a_terminal(
    tmp_path: Path, store: codebatch.Store, content: bytes, code: int, shown: bytes
) -> None:
    tree = write_tree(tmp_path / "tree", {"a.bin": content})
    digest = store.snapshot(tree).files[0].object
    parent, child = pty.openpty()
    done = subprocess.run(
        cli_command("show", digest, "--store", store.path),
        env=cli_environment(),
        stdout=child,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.write(child, b"end")
    written = b""
    while not written.endswith(b"end"):  # a terminal hands out what it has, a piece at a time
        written += os.read(parent, 10_000)
    os.close(child)
    os.close(parent)
    assert (done.returncode, written) == (code, shown + b"end")


def test_batches_have_sizes_and_results(main: Main, scanned: Scanned) -> None:
    (row,) = json.loads(main("batches", "--store", scanned.path, "--json").stdout)
    assert row["result"] == scanned.report.result
    assert row["status"] == "done"
    assert row["file_count"] == len(scanned.batch.files())
    assert row["total_bytes"] == sum(int(str(f["size"])) for f in scanned.batch.files())
    assert row["records"] == len(list(scanned.batch.records()))
    outputs = scanned.path.glob("batches/*/tasks/*/shards/*/outputs.index.jsonl.zst")
    assert row["output_bytes"] == sum(len(read_outputs(path)) for path in outputs)
    heads, line = main("batches", "--store", scanned.path).out.splitlines()
    assert heads.split()[:2] == ["batch", "id"]
    assert scanned.batch.id in line
    assert " ago" in line or "just now" in line
    assert line.split()[1] == scanned.tree.name
    counts = " ".join(str(row[name]) for name in ("findings", "errors", "warnings"))
    assert f" done {counts} " in " ".join(line.split())
    assert line.endswith(f"  {scanned.tree}")


def test_batch_that_is_not_done_has_no_result(store: codebatch.Store, tree: Path) -> None:
    store.batch(store.snapshot(tree))
    (row,) = store.batches()
    assert (row["status"], row["result"], row["records"], row["output_bytes"]) == (
        *("pending", None, 0, 0),
    )


def test_snapshots_have_sizes(main: Main, scanned: Scanned) -> None:
    (row,) = json.loads(main("snapshots", "--store", scanned.path, "--json").stdout)
    assert row["file_count"] == len(scanned.batch.files())
    assert row["skipped_count"] == len(stored(scanned, "snapshots/*/snapshot.json")["skipped"])
    page = main("snapshots", "--store", scanned.path).out
    assert "KiB" in page or " B " in page
    assert " ago" in page or "just now" in page


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-400 * 86_400, "in the future"),
        (-5, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (150, "2 min ago"),
        (3 * 3600 + 1800, "3 hours ago"),
        (86_400, "1 day ago"),
        (13 * 86_400, "1 week ago"),
        (400 * 86_400, "1 year ago"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert ago(seconds) == text


def test_seconds_since() -> None:
    then = datetime.now(timezone.utc) - timedelta(hours=2)
    assert 7200 <= seconds_since(then.isoformat(timespec="microseconds")) < 7260
