"""The store: how it comes to be, what it holds, and that damage anywhere is found or harmless."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    OBEYING_PERMISSIONS,
    Outcome,
    Scanned,
    make_tree,
    read_outputs,
    write_outputs,
    write_tree,
)

import codebatch
from codebatch import CodeBatchError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def files_of(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sealed(document: dict[str, Any]) -> bytes:
    """A document with its digest, as the format describes it."""
    body = {key: value for key, value in document.items() if key != "digest"}
    digest = hashlib.sha256(b"sealed\n" + canonical(body)).hexdigest()
    return json.dumps({**body, "digest": f"sha256:{digest}"}).encode()


# -- init --------------------------------------------------------------------------------------


def test_init_makes_a_store_and_opens_it_again(
    tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    root = tmp_path / "a" / "new"
    first = json.loads(main("init", root, "--json").stdout)
    before = (root / "store.json").read_bytes()
    second = json.loads(main("init", root, "--json").stdout)
    assert first["created"] is True
    assert second == {**first, "created": False}
    assert (root / "store.json").read_bytes() == before
    assert json.loads(before)["store_id"] == first["store_id"]


def test_two_stores_have_two_identities(tmp_path: Path, main: Callable[..., Outcome]) -> None:
    ids = {
        json.loads(main("init", tmp_path / name, "--json").stdout)["store_id"]
        for name in ("one", "two")
    }
    assert len(ids) == 2


def test_init_takes_an_empty_directory(tmp_path: Path, main: Callable[..., Outcome]) -> None:
    (tmp_path / "empty").mkdir()
    assert main("init", tmp_path / "empty", "-q").code == 0
    assert main("snapshots", "--store", tmp_path / "empty", "--json").stdout == b"[]\n"


def test_a_store_hides_itself_from_git(tmp_path: Path, main: Callable[..., Outcome]) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    main("init", tmp_path / "store")
    done = subprocess.run(
        ["git", "-C", tmp_path, "status", "--porcelain"], check=True, capture_output=True
    )
    assert done.stdout == b""


@pytest.mark.parametrize("kind", ["file", "nonempty", "below a file", "foreign store.json"])
def test_init_refuses_what_is_not_its_own(
    kind: str, tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    write_tree(
        tmp_path, {"file": "", "nonempty/precious": "x", "foreign store.json/store.json": '{"a":1}'}
    )
    root = tmp_path / ("file/x" if kind == "below a file" else kind)
    before = {path: path.read_bytes() for path in files_of(tmp_path)}
    done = main("init", root, "--json")
    assert done.code == 4
    assert re.fullmatch("STORE_[A-Z_]+", json.loads(done.stdout)["error"]["code"])
    assert {path: path.read_bytes() for path in files_of(tmp_path)} == before


# -- opening -----------------------------------------------------------------------------------

STORE_DOCUMENTS: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "STORE_NOT_FOUND"),
    "empty": (b"", "STORE_INCOMPATIBLE"),
    "not JSON": (b"hello", "STORE_INCOMPATIBLE"),
    "foreign JSON": (b'{"format": "something-else", "version": 1}', "STORE_INCOMPATIBLE"),
    "foreign list": (b"[1, 2]", "STORE_INCOMPATIBLE"),
    "truncated": (b'{"format": "codebatch-store", "ver', "STORE_DAMAGED"),
    "without digest": (b'{"format": "codebatch-store", "version": 1}', "STORE_DAMAGED"),
    "not UTF-8": (b'{"format": "codebatch-store", "\xff": 1}', "STORE_DAMAGED"),
    "newer": (
        sealed({"format": "codebatch-store", "version": 99, "store_id": "0" * 32}),
        "STORE_INCOMPATIBLE",
    ),
}


@pytest.mark.parametrize("kind", STORE_DOCUMENTS)
def test_a_store_that_cannot_be_opened_is_named(
    kind: str, tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    content, code = STORE_DOCUMENTS[kind]
    root = tmp_path / "store"
    root.mkdir()
    if content is not None:
        (root / "store.json").write_bytes(content)
    done = main("snapshots", "--store", root, "--json")
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (4, code)
    assert str(root) in json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize(
    "words", ["init {}", "snapshot {}/..", "scan {}/..", "run", "summary", "gc", "verify --repair"]
)
def test_a_store_of_a_newer_version_is_refused_and_left(
    words: str, tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    root = tmp_path / "store"
    content, code = STORE_DOCUMENTS["newer"]
    write_tree(root, {"store.json": content or b"", "objects/sha256/new": "x", "batches/x": "x"})
    before = {path: path.read_bytes() for path in files_of(root)}
    command, *rest = words.format(root).split()
    done = main(command, *rest, "--store", root, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (4, code)
    assert "99" in error["message"]
    assert any("newer" in hint for hint in error["hints"])
    assert {path: path.read_bytes() for path in files_of(root)} == before


@pytest.mark.parametrize("command", ["snapshots", "batches", "status", "summary", "errors", "run"])
def test_missing_store(command: str, tmp_path: Path, main: Callable[..., Outcome]) -> None:
    done = main(command, "--store", tmp_path / "nowhere", "--json")
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (4, "STORE_NOT_FOUND")
    assert not (tmp_path / "nowhere").exists()


def test_store_document_that_is_a_folder(tmp_path: Path, main: Callable[..., Outcome]) -> None:
    (tmp_path / "store/store.json").mkdir(parents=True)
    assert main("snapshots", "--store", tmp_path / "store").code == 4
    assert main("init", tmp_path / "store").code == 4


REFUSALS = {
    "folders that may not be written": ("**", 0o555, "snapshot ."),
    "store document that may not be read": ("store.json", 0, "status"),
    "batches that may not be listed": ("batches", 0, "status"),
    "snapshots that may not be listed": ("snapshots", 0, "snapshots"),
    "batch that may not be written": ("batches/*", 0o555, "resume"),
    "objects that may not be written": ("objects/sha256", 0o555, "snapshot ."),
    "plan that may not be read": ("batches/*/plan.json", 0, "summary"),
    "outputs that may not be read": ("batches/*/tasks/lint/shards/*/outputs*", 0, "errors"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_missing_permission_is_an_error_not_a_bug(
    name: str, scanned_copy: Scanned, cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    glob, mode, words = REFUSALS[name]
    (tmp_path / "new.py").write_text("new = 1\n")
    paths = [p for p in scanned_copy.path.glob(glob) if glob != "**" or p.is_dir()]
    usual = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    for path in paths:
        path.chmod(mode)
    store = ("--store", scanned_copy.path)
    done = cli(*words.split(), *store, "--json", cwd=tmp_path, before=OBEYING_PERMISSIONS)
    for path in paths:
        path.chmod(usual[path])
    assert b"Traceback" not in done.stderr
    if words == "resume" and done.code == 0:
        return  # there was nothing to write
    assert done.code == 4, done
    assert json.loads(done.stdout)["error"]["code"].startswith("STORE_")


# -- objects -----------------------------------------------------------------------------------


def objects_of(store: Path) -> list[Path]:
    return list(files_of(store / "objects"))


def raw_bytes(path: Path) -> bytes:
    return zstd.decompress(path.read_bytes()) if path.suffix else path.read_bytes()


def test_objects_are_named_by_their_bytes_and_read_only(scanned: Scanned) -> None:
    paths = objects_of(scanned.path)
    assert {path.suffix for path in paths} == {"", ".zst"}
    for path in paths:
        name = path.name.removesuffix(".zst")
        assert hashlib.sha256(raw_bytes(path)).hexdigest() == name
        assert path.parent.name == name[2:4]
        assert path.parent.parent.name == name[:2]
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
        assert path.stat().st_size <= len(raw_bytes(path))


@pytest.mark.skipif(not shutil.which("zstd"), reason="needs the zstd program")
def test_objects_verify_with_plain_tools(scanned: Scanned) -> None:
    for path in objects_of(scanned.path):
        show = f"zstd -dc {path}" if path.suffix else f"cat {path}"
        done = subprocess.run(f"{show} | sha256sum", shell=True, check=True, capture_output=True)
        assert done.stdout.decode().split()[0] == path.name.removesuffix(".zst")


def test_every_source_and_every_value_has_its_object(scanned: Scanned) -> None:
    names = {f"sha256:{path.name.removesuffix('.zst')}" for path in objects_of(scanned.path)}
    sources = {
        file.object for file in codebatch.open_store(scanned.path).find_snapshot("latest").files
    }
    values = {record["object"] for record in scanned.batch.records(kind="ast")}
    assert sources
    assert values
    assert names == sources | values


def test_documents_are_plain_json(scanned: Scanned) -> None:
    for path in files_of(scanned.path):
        if path.suffix == ".json":
            assert isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
        elif path.suffix == ".jsonl":
            for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
                assert isinstance(json.loads(line), dict)


def test_outputs_are_canonical_sorted_and_free_of_circumstances(scanned: Scanned) -> None:
    outputs = sorted(scanned.path.glob("batches/*/tasks/*/shards/*/outputs.index.jsonl.zst"))
    assert outputs
    for path in outputs:
        lines = read_outputs(path).splitlines()
        records = [json.loads(line) for line in lines]
        assert [canonical(record) for record in records] == lines
        order = [os.fsencode(record["path"]) for record in records]
        assert order == sorted(order)
        for record in records:
            assert not {"time", "host", "pid", "batch_id", "attempt", "seconds"} & set(record)
            assert str(scanned.tree) not in json.dumps(record)


def test_states_cover_their_outputs(scanned: Scanned) -> None:
    for path in scanned.path.glob("batches/*/tasks/*/shards/*/state.json"):
        state = json.loads(path.read_bytes())
        stored = path.with_name("outputs.index.jsonl.zst")
        assert stored.exists() == (state["size"] > 0)
        outputs = read_outputs(stored) if stored.exists() else b""
        assert state["outputs"] == f"sha256:{hashlib.sha256(outputs).hexdigest()}"
        assert state["size"] == len(outputs)
        assert state["counts"]["records"] == len(outputs.splitlines())


@pytest.mark.skipif(not shutil.which("zstdcat"), reason="needs the zstd program")
def test_outputs_verify_with_plain_tools(scanned: Scanned) -> None:
    for path in scanned.path.glob("batches/*/tasks/lint/shards/*/outputs.index.jsonl.zst"):
        done = subprocess.run(
            f"zstdcat {path} | sha256sum", shell=True, check=True, capture_output=True, text=True
        )
        state = json.loads(path.with_name("state.json").read_bytes())
        assert state["outputs"] == f"sha256:{done.stdout.split()[0]}"


def test_no_temporary_files_are_left(scanned: Scanned) -> None:
    assert not [path for path in files_of(scanned.path) if path.name.startswith(".tmp")]


# -- damage ------------------------------------------------------------------------------------


def flipped(data: bytes, place: float) -> bytes:
    index = min(int(len(data) * place), len(data) - 1)
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :] if data else b"\0"


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "first bit": lambda data: flipped(data, 0),
    "middle bit": lambda data: flipped(data, 0.5),
    "last bit": lambda data: flipped(data, 1),
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "longer": lambda data: data + b"\n{}\n",
    "missing": lambda _: None,
}
# Every kind of file in a store, and how many of its instances are damaged at once.
KINDS = {
    "asking": "*/*/asked.json",
    "store document": "store.json",
    "raw object": "objects/**/*[0-9a-f]",
    "compressed object": "objects/**/*.zst",
    "snapshot document": "snapshots/*/snapshot.json",
    "manifest": "snapshots/*/files.index.jsonl",
    "batch document": "batches/*/batch.json",
    "plan": "batches/*/plan.json",
    "inputs": "batches/*/inputs.index.jsonl",
    "events": "batches/*/events.jsonl",
    "task document": "batches/*/tasks/*/task.json",
    "state": "batches/*/tasks/*/shards/*/state.json",
    "outputs": "batches/*/tasks/*/shards/*/outputs.index.jsonl.zst",
    "askings": "*/*/asked.json",
    "ignore file": ".gitignore",
}


def test_the_kinds_are_all_the_kinds(scanned: Scanned) -> None:
    known = {path for glob in KINDS.values() for path in scanned.path.glob(glob) if path.is_file()}
    derived = {*(scanned.path / "indexes").rglob("*"), scanned.path / "maintenance.lock"}
    assert set(files_of(scanned.path)) - derived == known


def damage(root: Path, kind: str, how: str) -> list[Path]:
    """Damage the files of the kind; for shards one file, so that the others must stay."""
    paths = [path for path in sorted(root.glob(KINDS[kind])) if path.is_file()]
    changed = []
    for path in paths if "object" in kind else [p for p in paths if p.stat().st_size][:1]:
        data = DAMAGES[how](path.read_bytes())
        path.chmod(0o644)
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
        changed.append(path)
    assert changed
    return changed


def answers(store: Path, batch_id: str) -> dict[str, object]:
    """What a reader is told, each an answer or the code of an error."""
    views: dict[str, Callable[[codebatch.Batch], object]] = {
        "summary": lambda batch: batch.summary(),
        "files": lambda batch: batch.files(),
        "records": lambda batch: batch.sorted_records().to_list(),
        "snapshot": lambda batch: codebatch.open_store(batch.path).find_snapshot("latest").files,
    }
    return {name: answer(store, batch_id, view) for name, view in views.items()}


def answer(store: Path, batch_id: str, view: Callable[[codebatch.Batch], object]) -> object:
    try:
        batch = codebatch.open_store(store).find_batch(batch_id)
        batch.on_unfinished = lambda _: None
        return view(batch)
    except CodeBatchError as error:
        return error.code


DAMAGE_CODES = {
    "STORE_DAMAGED",
    "STORE_INCOMPATIBLE",
    "STORE_NOT_FOUND",
    "BATCH_NOT_FOUND",
    "SNAPSHOT_NOT_FOUND",
    "BATCH_UNFINISHED",
}


@pytest.mark.slow
@pytest.mark.sample(40)
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_to_a_finished_batch_is_found_or_harmless(
    kind: str, how: str, scanned: Scanned, scanned_copy: Scanned
) -> None:
    """A reader gets the right answer, an error, or is told that the batch is not finished."""
    before = answers(scanned.path, scanned.batch.id)
    damage(scanned_copy.path, kind, how)
    after = answers(scanned_copy.path, scanned.batch.id)
    unfinished = False
    if isinstance(after["summary"], dict):
        unfinished = after["summary"]["status"] != "done"
        assert unfinished == (after["summary"]["result"] is None)
        if after["summary"]["skipped"]["left_out"] is None:  # it says that it cannot tell
            after["summary"]["skipped"] = before["summary"]["skipped"]
    for name, answer in after.items():
        told = answer in DAMAGE_CODES if isinstance(answer, str) else unfinished
        assert answer == before[name] or told, f"{name}: {answer}"


@pytest.mark.slow
@pytest.mark.sample(40)
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "store document"])
def test_damage_to_a_finished_batch_is_repaired_by_doing_it_again(
    kind: str, how: str, scanned: Scanned, scanned_copy: Scanned
) -> None:
    before = answers(scanned.path, scanned.batch.id)
    changed = damage(scanned_copy.path, kind, how)
    if "object" in kind:  # as the hint of the error says
        for path in changed:
            path.unlink(missing_ok=True)
    store = codebatch.open_store(scanned_copy.path)
    snapshot = store.snapshot(scanned.tree)
    batch = store.batch(snapshot, "full")
    assert batch.id == scanned.batch.id
    report = batch.run("sync")
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert answers(scanned_copy.path, scanned.batch.id) == before


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", ["state", "outputs"])
def test_damage_to_one_shard_costs_that_shard_alone(
    kind: str, how: str, scanned: Scanned, scanned_copy: Scanned
) -> None:
    (changed,) = damage(scanned_copy.path, kind, how)
    others = {
        path: path.read_bytes()
        for path in scanned_copy.path.glob(KINDS["state"])
        if path.parent != changed.parent
    }
    shutil.rmtree(scanned_copy.path / "indexes", ignore_errors=True)  # what it would remember
    report = scanned_copy.batch.run("sync")
    assert report.result == scanned.report.result
    assert 0 < report.files["computed"] < scanned.report.files["computed"]
    assert {path: path.read_bytes() for path in others} == others


@pytest.mark.sample(3)
@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_sources_never_give_results(how: str, tmp_path: Path) -> None:
    """Objects that are not what they were fail their shards; put back, the batch completes."""
    tree = make_tree(tmp_path / "tree")
    store = codebatch.open_store(tmp_path / "store", create=True)
    snapshot = store.snapshot(tree)
    batch = store.batch(snapshot, "full")
    (cart,) = (file.object for file in snapshot.files if file.path == "pkg/cart.py")
    (path,) = (p for p in objects_of(store.path) if p.name.startswith(cart.split(":")[1]))
    good = path.read_bytes()
    path.chmod(0o644)
    data = DAMAGES[how](good)
    path.unlink() if data is None else path.write_bytes(data)
    report = batch.run("sync")
    assert report.status == "failed"
    assert [error["code"] for error in report.errors] == ["STORE_DAMAGED"]
    assert report.errors[0]["shard_id"] == cart.split(":")[1][0]
    assert report.shards["done"] == report.shards["total"] - 1
    with pytest.warns(codebatch.UnfinishedBatchWarning, match="is failed"):
        assert all(record["path"] != "pkg/cart.py" for record in batch.records())
    path.write_bytes(good)
    other = codebatch.open_store(tmp_path / "other", create=True)
    expected = other.batch(other.snapshot(tree), "full").run("sync")
    again = batch.run("sync")
    assert (again.status, again.result) == ("done", expected.result)


def test_damaged_source_in_the_command_line(tmp_path: Path, main: Callable[..., Outcome]) -> None:
    root = write_tree(tmp_path / "t", {"a.py": "x = 1\n" * 100, "b.py": "y = 3\n"})
    store = tmp_path / "store"
    main("init", store)
    main("snapshot", root, "--store", store)
    main("batch", "init", "--store", store)
    (path,) = store.glob("objects/**/*.zst")
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    done = main("run", "--store", store, "--scheduler", "sync", "--json")
    document = json.loads(done.stdout)
    assert (done.code, document["status"], document["result"]) == (3, "failed", None)
    assert document["shards"] == {"total": 2, "done": 1, "failed": 1}
    status = json.loads(main("status", "--store", store, "--json").stdout)
    assert status["status"] == "failed"


@pytest.mark.parametrize("folder", ["", "snapshots/*", "batches/*", "batches/*/tasks/*/shards/*"])
def test_temporary_files_of_a_killed_process_do_no_harm(
    folder: str, scanned: Scanned, scanned_copy: Scanned
) -> None:
    for place in scanned_copy.path.glob(folder) if folder else [scanned_copy.path]:
        (place / ".tmp-1-abc").write_bytes(b"half a docu")
    for place in ("snapshots/snap-0123456789abcdef", "batches/batch-0123456789abcdef"):
        (scanned_copy.path / place).mkdir()
        (scanned_copy.path / place / ".tmp-1-abc").write_bytes(b"{")
    assert answers(scanned_copy.path, scanned.batch.id) == answers(scanned.path, scanned.batch.id)
    assert [row["batch_id"] for row in scanned_copy.store.batches()] == [scanned.batch.id]
    assert len(scanned_copy.store.snapshots()) == 1
    assert scanned_copy.batch.run("sync").result == scanned.report.result


def test_another_content_under_a_committed_key_is_reported_not_written(
    scanned_copy: Scanned,
) -> None:
    """A state that vouches for other bytes, with those bytes in place, is never overwritten."""
    outputs = sorted(
        scanned_copy.path.glob("batches/*/tasks/parse/shards/*/outputs.index.jsonl.zst")
    )
    path = next(path for path in outputs if read_outputs(path).count(b"\n") > 1)
    other = read_outputs(path).splitlines(keepends=True)[0]
    write_outputs(path, other)
    state = json.loads(path.with_name("state.json").read_bytes())
    state["outputs"] = f"sha256:{hashlib.sha256(other).hexdigest()}"
    state["size"] = len(other)
    path.with_name("state.json").write_bytes(sealed(state))
    sibling = next(
        p.with_name("state.json")
        for p in scanned_copy.path.glob(KINDS["outputs"])
        if p.parent.name == path.parent.name and p != path
    )
    sibling.unlink()  # so that it is computed again, and what it builds on
    report = scanned_copy.batch.run("sync")
    assert read_outputs(path) == other
    assert [error["code"] for error in report.errors] == ["NON_DETERMINISTIC"]


def test_two_writers_at_once_do_no_harm(
    library: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    store = tmp_path / "store"
    codebatch.open_store(store, create=True)
    words = ("scan", library / "json", "--store", store, "--json", "--scheduler", "sync")
    with ThreadPoolExecutor(3) as pool:
        done = [call.result() for call in [pool.submit(cli, *words) for _ in range(3)]]
    documents = [json.loads(outcome.stdout) for outcome in done]
    assert [document["status"] for document in documents] == ["done"] * 3
    assert len({document["result"] for document in documents}) == 1
    assert not [path for path in files_of(store) if path.name.startswith(".tmp")]


FULL_DISK = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_full_disk_is_named(tree: Path, tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    """A limit on file size stands for a disk that is full: the write fails half-way."""
    (tree / "big.bin").write_bytes(os.urandom(2**16))
    store = tmp_path / "store"
    codebatch.open_store(store, create=True)
    done = cli("snapshot", tree, "--store", store, "--json", before=FULL_DISK)
    assert (done.code, json.loads(done.stdout)["error"]["code"]) == (4, "STORE_WRITE_FAILED")
    assert codebatch.open_store(store).snapshots() == []
    assert not [path for path in files_of(store) if path.name.startswith(".tmp")]
    assert cli("snapshot", tree, "--store", store, "-q").code == 0
