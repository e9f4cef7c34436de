"""Leases and claims: who works in a store, who is alive, and who has which shard."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import wait_for

import codebatch
from codebatch.store.layout import Layout
from codebatch.store.leases import leases
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import (
    EXPIRY_NS,
    Lease,
    Process,
    hold_lease,
    read_lease,
    read_leases,
)

BATCH = "batch-0123456789abcdef"


@pytest.fixture
def layout(store: codebatch.Store) -> Layout:
    return store.directory.layout


def only(layout: Layout) -> Lease:
    (lease,) = read_leases(layout)
    return lease


def write_lease(layout: Layout, lease_id: str, process: Process, batch_id: str = BATCH) -> None:
    """A lease as its holder would write it."""
    leases._write(layout, Lease(lease_id, "run", batch_id, 0, 0, process))


def ended_process() -> Process:
    """A process of this machine that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    started = leases._started(done.pid)
    done.wait()
    return dataclasses.replace(leases.this_process(), pid=done.pid, started=started or "")


ELSEWHERE = Process("elsewhere", "elsewhere boot pid", 1, "1")


# -- leases --------------------------------------------------------------------------------------


def test_a_lease_lasts_as_long_as_its_block(layout: Layout) -> None:
    with hold_lease(layout, "snapshot") as lease:
        found = only(layout)
        assert found.lease_id == lease.lease_id
        assert (found.purpose, found.batch_id) == ("snapshot", None)
        assert found.process == leases.this_process()
        assert found.since_ns == lease.since_ns <= found.touched_ns
        assert found.is_live(found.touched_ns + 1000 * EXPIRY_NS)
    assert read_leases(layout) == []


def test_a_lease_ends_with_an_exception(layout: Layout) -> None:
    with pytest.raises(ValueError, match="no"), hold_lease(layout, "run", BATCH):
        raise ValueError("no")
    assert read_leases(layout) == []


def test_a_lease_is_touched_and_made_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "TOUCH_SECONDS", 0.01)
    with hold_lease(layout, "run", BATCH) as lease:
        path = layout.lease(lease.lease_id)
        os.utime(path, (0, 0))
        wait_for(lambda: path.stat().st_mtime > 0, "it is touched")
        path.unlink()
        wait_for(path.exists, "it is made again")
        again = read_lease(layout, lease.lease_id)
        assert again is not None
        assert again.since_ns == lease.since_ns
    assert not path.exists()


def test_a_lease_of_another_machine_expires(layout: Layout) -> None:
    write_lease(layout, "a", ELSEWHERE)
    found = only(layout)
    assert found.is_live(found.touched_ns + EXPIRY_NS - 1)
    assert not found.is_live(found.touched_ns + EXPIRY_NS)


def test_a_lease_of_a_process_that_ended_is_dead_at_once(layout: Layout) -> None:
    write_lease(layout, "a", ended_process())
    found = only(layout)
    assert not found.is_live(found.touched_ns)


def test_a_process_that_waits_for_its_parent_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alive = dataclasses.replace(
        leases.this_process(), pid=process.pid, started=leases._started(process.pid) or ""
    )
    assert leases.is_running(alive)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not leases.is_running(alive)
    process.communicate()


def test_a_number_that_another_process_has_now(layout: Layout) -> None:
    here = leases.this_process()
    if not here.started:
        pytest.skip("this system does not tell when a process was started")
    write_lease(layout, "a", dataclasses.replace(here, started="1"))
    assert not only(layout).is_live(0)


@pytest.mark.parametrize("content", [b"", b"{", b'{"digest":"x"}\n', b"\xff" * 100, b"[]"])
def test_a_lease_that_cannot_be_read_protects_everything_for_a_while(
    content: bytes, layout: Layout
) -> None:
    layout.leases.mkdir()
    layout.lease("a").write_bytes(content)
    found = only(layout)
    assert (found.since_ns, found.process) == (0, None)
    assert found.is_live(found.touched_ns + 1)
    assert not found.is_live(found.touched_ns + EXPIRY_NS)


def test_odd_files_among_the_leases_stop_nobody(store: codebatch.Store, tree: Path) -> None:
    """A name that no lease has is none; what has the name of one and cannot be read is one."""
    layout = store.directory.layout
    layout.leases.mkdir()
    for name in ("._x.json", ".json", "a b.json", f"{'x' * 120}.json", "notes.txt"):
        (layout.leases / name).write_bytes(b"odd")
    layout.lease("folder").mkdir()
    layout.lease("loop").symlink_to("loop.json")
    found = read_leases(layout)
    assert [lease.lease_id for lease in found] == ["folder", "loop"]
    assert {(lease.since_ns, lease.process) for lease in found} == {(0, None)}
    assert all(lease.is_live(lease.touched_ns + 1) for lease in found)
    assert store.batch(store.snapshot(tree)).run("sync").status == "done"
    assert len(store.gc(grace=0).protected_by) == 2


def test_leases_of_commands(store: codebatch.Store, tree: Path, monkeypatch: pytest.MonkeyPatch):
    """Each that writes holds one, and those that write nothing hold none."""
    held: list[str] = []
    write = leases._write

    def note(layout: Layout, lease: Lease) -> None:
        held.append(lease.purpose)
        write(layout, lease)

    monkeypatch.setattr(leases, "_write", note)
    batch = store.batch(store.snapshot(tree))
    batch.run("sync")
    assert held == ["snapshot", "batch init", "run"]
    held.clear()
    store.batch(store.snapshot(tree)).run("sync")
    batch.summary()
    assert held == []


# -- claims --------------------------------------------------------------------------------------


@pytest.fixture
def runs(layout: Layout) -> Iterator[tuple[str, str]]:
    with hold_lease(layout, "run", BATCH) as one, hold_lease(layout, "run", BATCH) as other:
        yield one.lease_id, other.lease_id


def test_a_shard_has_one_run(layout: Layout, runs: tuple[str, str]) -> None:
    one, other = (Claims(layout, BATCH, run) for run in runs)
    assert one.take("a") is None
    assert one.take("a") is None
    taken = other.take("a")
    assert taken is not None
    assert taken.lease_id == runs[0]
    holder = other.holder("a")
    assert holder is not None
    assert holder.lease_id == runs[0]
    assert one.holder("a") is None
    assert other.take("b") is None
    one.release("a")
    assert other.take("a") is None


def test_shards_of_a_dead_run_are_taken_over_once(layout: Layout, runs: tuple[str, str]) -> None:
    dead = ended_process()
    for number, shard_id in enumerate(("a", "b")):
        write_lease(layout, f"dead{number}", dead)
        assert Claims(layout, BATCH, f"dead{number}").take(shard_id) is None
    layout.lease("dead1").unlink()
    one, other = (Claims(layout, BATCH, run) for run in runs)
    for shard_id in ("a", "b"):
        assert other.holder(shard_id) is None
        assert one.take(shard_id) is None
        assert other.take(shard_id) is not None
        assert other.holder(shard_id) is not None
        assert one.take(shard_id) is None
        one.release(shard_id)
        assert other.take(shard_id) is None


def test_many_take_over_at_once(layout: Layout) -> None:
    """Whoever makes the file has the shard, also where several see that its run is dead."""
    write_lease(layout, "dead", ended_process())
    shards = [f"{number:02x}" for number in range(64)]
    for shard_id in shards:
        Claims(layout, BATCH, "dead").take(shard_id)
    got: dict[str, list[str]] = {}
    barrier = threading.Barrier(4)

    def take() -> None:
        with hold_lease(layout, "run", BATCH) as lease:
            claims = Claims(layout, BATCH, lease.lease_id)
            barrier.wait()
            got[lease.lease_id] = [shard for shard in shards if claims.take(shard) is None]
            barrier.wait()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain.from_iterable(got.values())) == shards


@pytest.mark.parametrize("content", [b"", b"../../x", b"\xff\xfe"])
def test_a_claim_that_names_nobody_counts_for_a_while(
    content: bytes, layout: Layout, runs: tuple[str, str]
) -> None:
    path = layout.claims(BATCH) / "a"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    claims = Claims(layout, BATCH, runs[0])
    assert claims.take("a") is not None
    assert claims.holder("a") is not None
    os.utime(path, (0, 0))
    assert claims.holder("a") is None
    assert claims.take("a") is None


def test_claims_that_are_deleted_are_free(layout: Layout, runs: tuple[str, str]) -> None:
    one, other = (Claims(layout, BATCH, run) for run in runs)
    assert one.take("a") is None
    shutil.rmtree(layout.leases)
    assert other.take("a") is None
