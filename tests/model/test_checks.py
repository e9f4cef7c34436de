"""Documents whose digests are right and which make no sense: they are damage, never an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, Scanned, read_outputs, write_outputs
from verifier import canonical, sha256, short, tagged

import codebatch
from codebatch.model.errors import StoreDamagedError

Change = Callable[[dict[str, Any]], object]


def seal_again(path: Path, change: Change) -> None:
    """Change a sealed document and give it the digest that belongs to it."""
    document = json.loads(path.read_bytes())
    change(document)
    body = {key: value for key, value in document.items() if key != "digest"}
    path.unlink()
    path.write_text(json.dumps({**body, "digest": tagged("sealed", body)}))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        "..",
        ".",
        "a/./b",
        "a//b",
        "a/",
        "",
        "a\0b",
        "\ud800",
    ],
)
def test_path_that_leads_out_of_the_tree(path: str, scanned_copy: Scanned) -> None:
    """In a manifest; its snapshot has the id that belongs to it."""
    (place,) = (scanned_copy.path / "snapshots").iterdir()
    lines = (place / "files.index.jsonl").read_bytes().splitlines()
    first = {**json.loads(lines[0]), "path": path}
    store, snapshot_id = with_manifest(scanned_copy, [canonical(first), *lines[1:]])
    with pytest.raises(StoreDamagedError, match="not a path inside a tree"):
        _ = store.find_snapshot(snapshot_id).files
    with pytest.raises(StoreDamagedError):
        store.batch(snapshot_id, "parse")


@pytest.mark.parametrize("order", ["twice", "reversed"])
def test_files_out_of_order(order: str, scanned_copy: Scanned) -> None:
    (place,) = (scanned_copy.path / "snapshots").iterdir()
    lines = (place / "files.index.jsonl").read_bytes().splitlines()
    lines = [lines[0], *lines] if order == "twice" else lines[::-1]
    store, snapshot_id = with_manifest(scanned_copy, lines)
    with pytest.raises(StoreDamagedError, match="out of order, or there twice"):
        store.batch(snapshot_id, "parse")


def with_manifest(scanned: Scanned, lines: list[bytes]) -> tuple[codebatch.Store, str]:
    """The store with another manifest in its snapshot, and the id that it has by now."""
    (place,) = (scanned.path / "snapshots").iterdir()
    data = b"".join(line + b"\n" for line in lines)
    snapshot_id = short("snap", sha256(data))
    (place / "files.index.jsonl").write_bytes(data)
    seal_again(place / "snapshot.json", lambda d: d.update(snapshot_id=snapshot_id))
    place.rename(place.with_name(snapshot_id))
    return codebatch.open_store(scanned.path), snapshot_id


def component(name: str, value: object) -> Change:
    return lambda d: d["tasks"][0]["components"].update({name: value})


NO_CODE = {"modules": {}, "globals": {}, "distributions": {}, "digest": f"sha256:{'0' * 64}"}

PLANS: dict[str, Change] = {
    "ranges that overlap": lambda d: d["shards"][1].update(offset=0),
    "a range beyond the end": lambda d: d["shards"][-1].update(length=2**62),
    "a range a little longer": lambda d: d["shards"][-1].update(
        length=d["shards"][-1]["length"] + 1
    ),
    "shards out of order": lambda d: d["shards"].reverse(),
    "a shard twice": lambda d: d["shards"].append(d["shards"][-1]),
    "a shard that is a path": lambda d: d["shards"][0].update(shard_id="../x"),
    "no shards": lambda d: d["shards"].clear(),
    "other files": lambda d: d.update(files=10**6),
    "other languages": lambda d: d["languages"].clear(),
    "a task twice": lambda d: d["tasks"].append(d["tasks"][0]),
    "no tasks": lambda d: d["tasks"].clear(),
    "a task that is a path": lambda d: d["tasks"][0].update(id="../../x"),
    "a need that is not there": lambda d: d["tasks"][0].update(needs=["lint"]),
    "components of another task": lambda d: d["tasks"][0]["components"].update(task="lint"),
    "an unknown scope": lambda d: d["tasks"][0].update(scope="tree"),
    "needs of all files at once": lambda d: d["tasks"][0].update(scope="batch", needs=[]),
    "a need of what looks at all files": lambda d: [
        d["tasks"][1].update(scope="batch"),
        d["tasks"][2].update(needs=[d["tasks"][1]["id"]]),
    ],
    "code that is a number": component("code", 5),
    "code that is null": component("code", None),
    "code without parts": component("code", {"a": 1}),
    "code with a number": component("code", {**NO_CODE, "modules": 5}),
    "code with a version that is none": component("code", {**NO_CODE, "distributions": {"x": 1}}),
    "code with more": component("code", {**NO_CODE, "more": {}}),
    "code with no digest": component("code", {**NO_CODE, "digest": "sha256:0"}),
    "a toolchain of numbers": component("toolchain", {"python": 3}),
    "facets of numbers": component("facets", [1]),
    "reads something else": component("reads", ["tree"]),
    "a version that is none": component("version", {}),
    "a config that is none": lambda d: [
        one.update(config=[]) for one in (d["tasks"][0], d["tasks"][0]["components"])
    ],
    "a snapshot that is a path": lambda d: d.update(snapshot_id="../../etc"),
    "another batch": lambda d: d.update(batch_id="batch-0000000000000000"),
}


@pytest.mark.parametrize("name", PLANS)
def test_plan_that_makes_no_sense(
    name: str, scanned_copy: Scanned, main: Callable[..., Outcome]
) -> None:
    (plan,) = scanned_copy.path.glob("batches/*/plan.json")
    before = set(scanned_copy.path.parent.rglob("*"))
    seal_again(plan, PLANS[name])
    explain = "explain --task parse --file pkg/nothing.py"
    for command in ("files", "run", "resume", "summary", "inspect pkg/nothing.py", explain):
        done = main(*command.split(), "--store", scanned_copy.path, "--json")
        # A range is looked at by those who read it.
        allowed = (0, 3, 4) if command in {"run", "resume", "summary"} else (4,)
        allowed = (2, 4) if command == explain else allowed
        assert done.code in (allowed if name.startswith("a range ") else (4,)), (command, done)
    outside = set(scanned_copy.path.parent.rglob("*")) - before
    assert all(path.is_relative_to(scanned_copy.path) for path in outside)


STATES: dict[str, Change] = {
    "more records": lambda d: d["counts"].update(records=10**6),
    "more files": lambda d: d.update(files=d["files"] + 1),
    "other files": lambda d: d["per_file"].append([0, 0]),
    "records of a file": lambda d: d["per_file"].__setitem__(0, [99, 0]),
    "origins unknown": lambda d: d.update(origins="x" * d["files"]),
    "more computed": lambda d: d.update(computed=d["computed"] + 1),
    "failed for no reason": lambda d: d.update(status="failed"),
    "done with an error": lambda d: d.update(error={"code": "X", "message": "x"}),
}


@pytest.mark.parametrize("name", STATES)
def test_state_whose_counts_lie_is_pending(name: str, scanned_copy: Scanned) -> None:
    state = sorted(scanned_copy.path.glob("batches/*/tasks/analyze/shards/*/state.json"))[0]
    seal_again(state, STATES[name])
    assert scanned_copy.batch.status()["shards"]["pending"] == 1  # type: ignore[index]
    again = scanned_copy.batch.run("sync")
    assert (again.status, again.result) == ("done", scanned_copy.report.result)


RECORDS: dict[str, Change] = {
    "no message": lambda d: d.pop("message"),
    "a line that is none": lambda d: d.update(line=0.5),
    "a line below zero": lambda d: d.update(line=-1),
    "a line beyond all": lambda d: d.update(line=2**70),
    "a severity that is none": lambda d: d.update(severity="fatal"),
    "a code that is none": lambda d: d.update(code="\x1b[2J"),
    "a path that leads out": lambda d: d.update(path="../../x"),
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("command", ["errors", "query outputs", "top --by path", "export"])
def test_record_that_is_none(
    command: str, name: str, scanned_copy: Scanned, main: Callable[..., Outcome]
) -> None:
    """Its outputs, and the state over them, have the digests that belong to it."""
    outputs = next(
        path
        for path in sorted(scanned_copy.path.glob("batches/*/tasks/lint/shards/*/*.jsonl.zst"))
        if b'"diagnostic"' in read_outputs(path)
    )
    lines = read_outputs(outputs).splitlines()
    place = next(n for n, line in enumerate(lines) if b'"kind":"diagnostic"' in line)
    record = json.loads(lines[place])
    RECORDS[name](record)
    lines[place] = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    data = b"".join(line + b"\n" for line in lines)
    outputs.unlink()
    write_outputs(outputs, data)
    state = outputs.with_name("state.json")
    seal_again(state, lambda d: d.update(outputs=sha256(data), size=len(data)))
    words = [*command.split(), *(["--format", "jsonl"] if command == "export" else ["--json"])]
    done = main(*words, "--store", scanned_copy.path)
    assert (done.code, b"Traceback" in done.stderr) == (4, False), done
