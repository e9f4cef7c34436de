"""Results shared through a remote in a folder: what is read, what is written, and what if not."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TREE, run_cli, write_tree

import codebatch
from codebatch.model.errors import (
    NotReusedError,
    RemoteDamagedError,
    RemoteError,
    RemoteFormatError,
    RemoteInvalidError,
)
from codebatch.remote import shared
from codebatch.remote.index import INDEX_NAME, Index, index_bytes, parse_index
from codebatch.store.indexes import memo_packs

FILES = {name: TREE[name] for name in ("pkg/cart.py", "web/app.js", "LICENSE")}
TASKS = 4
ALL = {"computed": len(FILES) * TASKS, "reused": 0, "quarantined": 0}
NONE = {"computed": 0, "reused": len(FILES) * TASKS, "quarantined": 0}

Run = Callable[..., codebatch.RunReport]


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "few", FILES)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def run(tmp_path: Path, few: Path, remote: Path) -> Run:
    """Scan in a store, a new one by default, with the remote; notices are collected."""
    numbers = itertools.count()

    def scan(
        store: str | None = None, pipeline: object = "full", memo: object = None
    ) -> codebatch.RunReport:
        place = tmp_path / (store or f"new{next(numbers)}")
        opened = codebatch.open_store(place, create=True)
        batch = opened.batch(opened.snapshot(few), pipeline)
        scan.notices = []
        return batch.run(
            "sync", memo=remote if memo is None else memo, on_notice=scan.notices.append
        )

    return scan


def index_of(remote: Path) -> Index:
    return parse_index((remote / INDEX_NAME).read_bytes())


def packs_in(remote: Path) -> list[Path]:
    return sorted(remote.glob("pack-*.tar"))


# -- a second machine ----------------------------------------------------------------------------


def test_second_store_computes_nothing(run: Run, remote: Path) -> None:
    first = run()
    assert first.files == ALL
    assert first.memo is not None
    assert first.memo["read"]["results"] == 0
    assert first.memo["written"]["results"] == ALL["computed"]
    second = run()
    assert (second.files, second.result) == (NONE, first.result)
    assert second.memo is not None
    assert second.memo["read"]["results"] == ALL["computed"]
    assert second.memo["written"]["packs"] == 0
    assert len(packs_in(remote)) == 1


def test_second_store_computes_only_what_is_new(run: Run, few: Path, remote: Path) -> None:
    run()
    write_tree(few, {"pkg/cart.py": "import os\n", "pkg/new.py": "import re\n"})
    changed = run()
    assert changed.files == {"computed": 2 * TASKS, "reused": 2 * TASKS, "quarantined": 0}
    assert changed.memo is not None
    assert changed.memo["written"]["results"] == 2 * TASKS
    third = run()
    assert (third.files["computed"], third.result) == (0, changed.result)
    assert third.result == run(memo="").result


def test_a_task_that_another_version_of_needs_is_read_in_turn(run: Run) -> None:
    """What a task needs comes from one pack, its own results from one that was written later."""
    run(pipeline="parse")
    run()
    found = run()
    assert found.files == NONE
    assert found.memo is not None
    assert found.memo["read"]["packs"] == 2


def test_nothing_is_read_where_nothing_is_missing(run: Run, remote: Path) -> None:
    run("kept")
    shutil.rmtree(remote)
    again = run("kept")
    assert (again.files, again.memo) == (NONE, None)
    assert not remote.exists()


def test_packs_of_no_use_are_not_read(run: Run, few: Path, remote: Path) -> None:
    run()
    write_tree(few, {name: b"changed = 1\n" + str(name).encode() for name in FILES})
    found = run()
    assert found.files["computed"] > 0
    assert found.memo is not None
    assert found.memo["read"]["packs"] == 0


def test_same_results_give_the_same_pack(run: Run, remote: Path, tmp_path: Path) -> None:
    run()
    run(memo=tmp_path / "other")
    assert packs_in(remote)[0].read_bytes() == packs_in(tmp_path / "other")[0].read_bytes()
    names = {path.name for path in remote.iterdir()}
    assert names == {path.name for path in (tmp_path / "other").iterdir()}


def test_copies_with_one_key_in_several_shards_are_all_shared(run: Run, few: Path) -> None:
    """What reads trees alone has one key for files that differ in a comment."""
    run()
    for number in range(20):
        write_tree(few, {f"copies/{number}.py": f"{TREE['pkg/cart.py']}# {number}\n"})
    first = run()
    assert first.files["computed"] > 0
    assert run().files["computed"] == 0


def test_require_reused_is_content_with_the_remote(few: Path, run: Run, tmp_path: Path) -> None:
    opened = codebatch.open_store(tmp_path / "s", create=True)
    batch = opened.batch(opened.snapshot(few), "full")
    with pytest.raises(NotReusedError):
        batch.run("sync", require_reused=True, memo=tmp_path / "empty")
    run()
    assert batch.run("sync", require_reused=True, memo=tmp_path / "remote").status == "done"


def test_remote_of_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch, few: Path) -> None:
    monkeypatch.setenv("CODEBATCH_MEMO", str(few.parent / "named"))
    assert codebatch.scan(few, few.parent / "x", scheduler="sync")[1].files == ALL
    assert codebatch.scan(few, few.parent / "y", scheduler="sync")[1].files == NONE
    assert codebatch.scan(few, few.parent / "z", scheduler="sync", memo="")[1].files == ALL


def test_a_file_url_is_a_folder(run: Run, remote: Path) -> None:
    run()
    assert run(memo=f"file://{remote}").files == NONE


# -- push and pull -------------------------------------------------------------------------------


def test_push_and_pull(run: Run, remote: Path, tmp_path: Path) -> None:
    first = run("kept", memo="")
    store = codebatch.open_store(tmp_path / "kept")
    pushed = store.push_memo(remote)
    assert (pushed.packs, pushed.results) == (1, ALL["computed"])
    assert pushed.remote_bytes == packs_in(remote)[0].stat().st_size
    assert store.push_memo(remote).packs == 0
    other = codebatch.open_store(tmp_path / "other", create=True)
    pulled = other.pull_memo(remote)
    assert (pulled.packs, pulled.results) == (1, ALL["computed"])
    assert other.pull_memo(remote).packs == 0
    found = run("other", memo="")
    assert (found.files, found.result) == (NONE, first.result)


def test_a_pack_is_an_archive_of_the_memo(run: Run, remote: Path, tmp_path: Path) -> None:
    run()
    codebatch.open_store(tmp_path / "other", create=True).import_memo(packs_in(remote)[0])
    assert run("other", memo="").files == NONE


def test_to_pull_from_where_nothing_was_pushed_is_an_error(tmp_path: Path) -> None:
    store = codebatch.open_store(tmp_path / "s", create=True)
    with pytest.raises(RemoteError, match="nowhere: nothing was ever pushed"):
        store.pull_memo(tmp_path / "nowhere")
    assert store.push_memo(tmp_path / "nowhere").packs == 0
    assert not (tmp_path / "nowhere" / INDEX_NAME).exists()


def test_many_small_packs_become_one(
    run: Run, few: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_SMALL_PACKS", 4)
    for number in range(5):
        write_tree(few, {"pkg/cart.py": f"value = {number}\n"})
        last = run()
    assert len(index_of(remote).packs) == 2  # the fifth push merges four
    assert {pack.name for pack in index_of(remote).packs} == {p.name for p in packs_in(remote)}
    assert run(pipeline="full").result == last.result
    for number in range(5):
        write_tree(few, {"pkg/cart.py": f"value = {number}\n"})
        assert run().files["computed"] == 0


def test_what_a_reader_finds_gone_is_in_a_merged_pack(
    run: Run, few: Path, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    write_tree(few, {"pkg/new.py": "x = 1\n"})
    run()
    old = (remote / INDEX_NAME).read_bytes()
    monkeypatch.setattr(shared, "_SMALL_PACKS", 2)
    write_tree(few, {"pkg/newer.py": "y = 1\n"})
    run()
    current, read = (remote / INDEX_NAME).read_bytes(), Path.read_bytes
    (remote / INDEX_NAME).write_bytes(old)

    def replace_index(packs: object) -> None:
        (remote / INDEX_NAME).write_bytes(current)

    place = shared.SharedMemo._is_there

    def is_there(self: shared.SharedMemo, pack: object, take: object) -> bool:
        replace_index(pack)
        return place(self, pack, take)

    monkeypatch.setattr(shared.SharedMemo, "_is_there", is_there)
    assert read(remote / INDEX_NAME) == old
    assert run().files["computed"] == 0


def test_a_remote_keeps_within_its_limit(
    run: Run, few: Path, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("kept")
    size = packs_in(remote)[0].stat().st_size
    store = codebatch.open_store(tmp_path / "kept")
    assert store.push_memo(remote, max_bytes=2 * size).removed == 0
    for number in range(4):
        write_tree(few, {name: f"value = {number}\n{name}" for name in ("a.py", "b.py", "c.py")})
        run()
        total = sum(path.stat().st_size for path in packs_in(remote))
        assert total == index_of(remote).size <= 2 * size
    assert store.push_memo(remote, max_bytes=0).remote_packs == 0
    assert packs_in(remote) == []
    assert run().files["computed"] > 0


def test_an_entry_whose_object_is_lost_is_not_pushed(
    run: Run, remote: Path, tmp_path: Path
) -> None:
    run("kept", memo="")
    store = codebatch.open_store(tmp_path / "kept")
    tree = next(r["object"] for r in store.find_batch().records(kind="ast"))
    digest = str(tree).removeprefix("sha256:")
    for path in (store.path / "objects").rglob(f"{digest}*"):
        path.unlink()
    assert store.push_memo(remote).results == ALL["computed"] - 1


def test_prune_removes_what_killed_pushes_have_left(run: Run, remote: Path, tmp_path: Path) -> None:
    run("kept")
    old, young = remote / f"pack-{'0' * 64}.tar", remote / ".tmp-1-2"
    foreign = remote / "notes.txt"
    for path in (old, young, foreign):
        path.write_bytes(b"left")
    os.utime(old, (1, 1))
    os.utime(foreign, (1, 1))
    report = codebatch.open_store(tmp_path / "kept").push_memo(remote, prune=True)
    assert report.removed == 1
    assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)
    assert run().files == NONE


def test_prune_writes_what_is_gone_again(run: Run, remote: Path, tmp_path: Path) -> None:
    run("kept")
    packs_in(remote)[0].unlink()
    store = codebatch.open_store(tmp_path / "kept")
    assert store.push_memo(remote).packs == 0
    assert store.push_memo(remote, prune=True).packs == 1
    assert run().files == NONE


# -- what goes wrong costs time alone ------------------------------------------------------------


@pytest.mark.parametrize("name", [INDEX_NAME, "pack"])
def test_any_flipped_byte_gives_the_same_result(run: Run, remote: Path, name: str) -> None:
    first = run(pipeline="parse")
    path = remote / INDEX_NAME if name == INDEX_NAME else packs_in(remote)[0]
    whole = path.read_bytes()
    for place in {*range(0, min(len(whole), 60), 12), *range(60, len(whole), len(whole) // 6)}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        found = run(pipeline="parse", memo=shutil.copytree(remote, remote.with_name(f"r{place}")))
        assert found.result == first.result
        assert run.notices
    path.write_bytes(whole)
    assert run(pipeline="parse").files["computed"] == 0


def test_a_damaged_pack_is_replaced(run: Run, remote: Path) -> None:
    first = run()
    (pack,) = packs_in(remote)
    pack.write_bytes(b"damaged")
    second = run()
    assert (second.files, second.result) == (ALL, first.result)
    assert any("is damaged" in text for text in run.notices)
    assert run().files == NONE
    assert run.notices == []


def test_a_damaged_index_is_begun_anew(run: Run, remote: Path) -> None:
    run()
    (remote / INDEX_NAME).write_bytes(b"codebatch-memo 1\nnothing")
    assert run().files == ALL
    assert any("damaged" in text for text in run.notices)
    assert run().files == NONE


def test_an_index_of_another_format_is_left_alone(run: Run, remote: Path, tmp_path: Path) -> None:
    run("kept")
    (remote / INDEX_NAME).write_bytes(b"codebatch-memo 2\nwhatever")
    assert run().files == ALL
    assert any("format" in text for text in run.notices)
    assert (remote / INDEX_NAME).read_bytes() == b"codebatch-memo 2\nwhatever"
    with pytest.raises(RemoteFormatError):
        codebatch.open_store(tmp_path / "kept").push_memo(remote)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "huge"])
def test_what_is_no_file_in_the_folder_is_not_read_and_replaced(
    run: Run, remote: Path, tmp_path: Path, kind: str
) -> None:
    first = run(pipeline="parse")
    for path in (remote / INDEX_NAME, *packs_in(remote)):
        data = path.read_bytes()
        path.unlink()
        if kind == "link":
            (tmp_path / path.name).write_bytes(data)
            path.symlink_to(tmp_path / path.name)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            with path.open("wb") as stream:
                stream.truncate(2**40)
        found = run(pipeline="parse")
        assert found.result == first.result
        assert [text.startswith(f"{remote}: ") for text in run.notices] == [True]
        assert "damaged" in run.notices[0]
        assert path.read_bytes() == data
        assert not path.is_symlink()
        assert run(pipeline="parse").files["computed"] == 0
        assert run.notices == []


def test_a_folder_that_cannot_be_made(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run(memo=tmp_path / "file" / "remote").files == ALL
    assert len(run.notices) == 1
    store = codebatch.open_store(tmp_path / "new0")
    with pytest.raises(RemoteError, match=r"file/remote: .*: Not a directory"):
        store.push_memo(tmp_path / "file" / "remote")


def test_pull_names_what_is_damaged(run: Run, remote: Path, tmp_path: Path) -> None:
    run()
    packs_in(remote)[0].write_bytes(b"damaged")
    other = codebatch.open_store(tmp_path / "other", create=True)
    with pytest.raises(RemoteDamagedError, match="1 pack"):
        other.pull_memo(remote)


@pytest.mark.parametrize(
    "memo",
    [
        *("ftp://host/x", "s3://", "http://example.org/x", "https://", "file://host/x"),
        *("https://user:secret@host/x", "https://host/x?token=secret", "https://host/x#secret"),
        *("https://[::1/x", "https://host:port/x", "file://", "https://host/a b", "https://hôst/"),
        *("https://a..b/x", f"https://{'a' * 64}/x", "https://host/pä", "file:///tmp/a%00b"),
    ],
)
def test_what_is_no_remote_is_an_error_before_anything_is_made(
    few: Path, tmp_path: Path, memo: str
) -> None:
    with pytest.raises(RemoteInvalidError) as caught:
        codebatch.scan(few, tmp_path / "store", memo=memo)
    assert not (tmp_path / "store").exists()
    assert "secret" not in str(caught.value.as_document())


def test_a_folder_of_another_machine(few: Path, tmp_path: Path) -> None:
    with pytest.raises(RemoteInvalidError, match="this machine"):
        codebatch.scan(few, tmp_path / "store", memo="file://host/x")


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "1e300"])
def test_a_timeout_that_is_none(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("CODEBATCH_MEMO_TIMEOUT", text)
    with pytest.raises(RemoteInvalidError, match="TIMEOUT"):
        codebatch.scan(few, tmp_path / "store", memo=tmp_path / "remote")
    assert not (tmp_path / "store").exists()


def test_no_remote_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODEBATCH_MEMO", raising=False)
    store = codebatch.open_store(tmp_path / "s", create=True)
    with pytest.raises(RemoteInvalidError, match="no remote is named"):
        store.push_memo()


# -- several at once -----------------------------------------------------------------------------


def test_pushes_at_once_lose_nothing(run: Run, few: Path, remote: Path, tmp_path: Path) -> None:
    reports = []
    for number in range(4):
        write_tree(few, {"pkg/cart.py": f"value = {number}\n"})
        reports.append(run(f"s{number}", memo="", pipeline="parse"))
    stores = [codebatch.open_store(tmp_path / f"s{number}") for number in range(4)]
    threads = [threading.Thread(target=one.push_memo, args=(remote,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index_of(remote).packs) == 4
    for number, report in enumerate(reports):
        write_tree(few, {"pkg/cart.py": f"value = {number}\n"})
        found = run(pipeline="parse")
        assert (found.files["computed"], found.result) == (0, report.result)


PUSH = """
import sys, time, codebatch
from codebatch.remote import folder
write = folder.FolderLocation.write
def slow(self, name, data):
    write(self, name, data)
    print(name, flush=True)
    time.sleep(60)
folder.FolderLocation.write = slow
codebatch.open_store(sys.argv[1]).push_memo(sys.argv[2])
"""


@pytest.mark.parametrize("writes", [1, 2])
def test_a_push_that_is_killed_leaves_the_remote_readable(
    run: Run, few: Path, remote: Path, tmp_path: Path, writes: int
) -> None:
    first = run(pipeline="parse")
    write_tree(few, {"pkg/new.py": "x = 1\n"})
    run("killed", memo="", pipeline="parse")
    words = [tmp_path / "killed", remote]
    script = PUSH.replace("time.sleep(60)", "time.sleep(60 if name == 'index' or %d == 1 else 0)")
    with subprocess.Popen(
        [sys.executable, "-c", script % writes, *words], stdout=subprocess.PIPE
    ) as pushing:
        assert pushing.stdout is not None
        for _ in range(writes):
            pushing.stdout.readline()
        pushing.send_signal(signal.SIGKILL)
    found = run(pipeline="parse")
    assert found.files["computed"] == (1 if writes == 1 else 0)
    assert run.notices == []
    (few / "pkg/new.py").unlink()
    assert run(pipeline="parse").result == first.result


# -- the command line ----------------------------------------------------------------------------


def test_on_the_command_line(few: Path, tmp_path: Path) -> None:
    memo = tmp_path / "remote"
    first = run_cli("scan", few, "--store", tmp_path / "a", "--memo", memo, "--scheduler", "sync")
    assert "0 results read from 0 packs, 12 written" in first.out
    answer = run_cli("scan", few, "--store", tmp_path / "b", "--memo", memo, "--json")
    second = json.loads(answer.out)
    assert second["files"]["computed"] == 0
    pulled = run_cli("memo", "pull", memo, "--store", tmp_path / "a")
    assert pulled.out.startswith("pulled 0 results in 0 packs")
    pushed = run_cli("memo", "push", memo, "--max-size", "1G", "--prune", "--store", tmp_path / "a")
    assert "the remote has 1 pack" in pushed.out
    (memo / INDEX_NAME).write_bytes(b"no index")
    third = run_cli("scan", few, "--store", tmp_path / "c", "--memo", memo, "--json")
    assert (third.code, json.loads(third.out)["result"]) == (0, second["result"])
    assert "damaged" in third.err
    (memo / INDEX_NAME).write_bytes(b"no index")
    failed = run_cli("memo", "pull", memo, "--store", tmp_path / "a", "--json")
    assert (failed.code, json.loads(failed.out)["error"]["code"]) == (4, "REMOTE_DAMAGED")
    wrong = run_cli("scan", few, "--store", tmp_path / "a", "--memo", "gopher://x")
    assert (wrong.code, "not a remote" in wrong.err) == (2, True)


# -- what an index says --------------------------------------------------------------------------


def test_an_index_reads_as_it_was_written(run: Run, remote: Path) -> None:
    run()
    data = (remote / INDEX_NAME).read_bytes()
    assert index_bytes(parse_index(data)) == data


@pytest.mark.parametrize("size", [0, memo_packs.PACK_BYTES + 1, 2**63])
def test_an_index_with_an_impossible_size(run: Run, remote: Path, size: int) -> None:
    run()
    index = index_of(remote)
    packs = (shared.replace(index.packs[0], size=size),)
    (remote / INDEX_NAME).write_bytes(index_bytes(Index(packs)))
    assert run().files == ALL
    assert any("damaged" in text for text in run.notices)


def test_packs_are_filled_to_a_bounded_size(
    run: Run, few: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is put into several packs is found again, and what fits into none is computed."""
    write_tree(few, {f"pkg/m{number}.py": f"value = {number}\n" * 50 for number in range(20)})
    monkeypatch.setattr(memo_packs, "TARGET_BYTES", 6000)
    first = run(pipeline="parse")
    assert first.memo is not None
    assert first.memo["written"]["packs"] == len(packs_in(remote)) > 2
    left = first.files["computed"] - first.memo["written"]["results"]
    found = run(pipeline="parse")
    assert (found.files["computed"], found.result) == (left, first.result)
