"""Garbage in packs: what nothing needs goes by writing the rest anew, and nothing else is lost."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, write_tree
from pack_files import write_pack

import codebatch
from codebatch.maintenance.gc import packs as gc_packs
from codebatch.maintenance.gc.marks import DigestSet
from codebatch.maintenance.gc.report import GarbageReport
from codebatch.model.digest import digest_bytes, seal
from codebatch.model.errors import StoreDamagedError
from codebatch.store.leases.leases import hold_lease, pinning
from codebatch.store.objects import pack_writer
from codebatch.store.objects.pack_writer import LEAST_OBJECTS
from codebatch.store.objects.packs import Packs, index_name, index_of
from codebatch.store.removal import remove_pack
from codebatch.store.snapshots import Snapshots

Main = Callable[..., Outcome]

DAY = 86_400


def text(number: int) -> bytes:
    return f"def function_{number}():\n    return {number}\n".encode()


def digest(number: int) -> str:
    return digest_bytes(text(number))


def take(
    store: codebatch.Store, numbers: Iterable[int], folder: str = "tree"
) -> codebatch.Snapshot:
    """A snapshot of so many files in the place of those that were there."""
    tree = store.path.parent / folder
    shutil.rmtree(tree, ignore_errors=True)
    return store.snapshot(write_tree(tree, {f"{one}.py": text(one) for one in numbers}))


def forget(store: codebatch.Store, snapshot: codebatch.Snapshot) -> None:
    shutil.rmtree(store.path / "snapshots" / snapshot.id)


def age(store: codebatch.Store, seconds: float = 30 * DAY) -> None:
    for path in sorted((store.path / "objects").rglob("*"), reverse=True):
        status = path.stat()
        os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


def files(store: codebatch.Store) -> dict[str, int]:
    """The files of objects by their kinds."""
    found = [path.suffix for path in (store.path / "objects").rglob("*") if path.is_file()]
    return {suffix: found.count(suffix) for suffix in set(found)}


def packs(store: codebatch.Store) -> list[Path]:
    return sorted((store.path / "objects/packs").glob("*.pack"))


def packed(store: codebatch.Store) -> list[str]:
    """The objects that are in packs, one for each place."""
    indexes = Packs(store.directory.layout).all()
    return sorted(f"sha256:{found.digits}" for one in indexes for found in one.frames())


def is_whole(store: codebatch.Store, numbers: Iterable[int]) -> bool:
    opened = codebatch.open_store(store.path)
    return all(opened.read_object(digest(one)) == text(one) for one in numbers)


def counts(report: GarbageReport) -> tuple[object, ...]:
    return report.removed, report.removed_bytes, report.kept, report.kept_bytes


@pytest.fixture
def half(store: codebatch.Store) -> codebatch.Store:
    """A store with an old pack of 40 objects, of which 20 are needed."""
    first = take(store, range(40))
    take(store, range(20))
    forget(store, first)
    age(store)
    return store


# -- what goes and what stays ---------------------------------------------------------------------


def test_a_pack_of_which_all_is_needed_stays(store: codebatch.Store) -> None:
    take(store, range(40))
    age(store)
    before = {path: path.stat() for path in packs(store)}
    report = store.gc(grace=0)
    assert (report.removed["objects"], report.removed["packs"]) == (0, 0)
    assert report.kept["objects"] == 40
    assert report.kept_bytes["objects"] == packs(store)[0].stat().st_size
    assert {path: path.stat() for path in packs(store)} == before


def test_a_pack_of_which_nothing_is_needed_goes(store: codebatch.Store) -> None:
    forget(store, take(store, range(40)))
    assert store.gc().removed["packs"] == 0
    age(store, 13 * DAY)
    assert store.gc().removed["packs"] == 0
    age(store, 2 * DAY)
    rehearsal, size = store.gc(dry_run=True), packs(store)[0].stat().st_size
    report = store.gc()
    assert (report.removed["objects"], report.removed["packs"]) == (40, 1)
    assert report.removed_bytes["objects"] == size
    assert counts(rehearsal) == counts(report)
    assert files(store) == {}


def test_a_pack_of_which_much_is_not_needed_is_written_anew(half: codebatch.Store) -> None:
    (old,) = packs(half)
    size, times = old.stat().st_size, old.with_suffix(".idx").stat().st_mtime
    rehearsal = half.gc(dry_run=True)
    assert packs(half) == [old]
    report = half.gc()
    (new,) = packs(half)
    assert new != old
    assert new.stat().st_mtime == times
    assert files(half) == {".pack": 1, ".idx": 1}
    assert packed(half) == sorted(map(digest, range(20)))
    assert is_whole(half, range(20))
    assert counts(rehearsal) == counts(report)
    assert (report.removed["objects"], report.kept["objects"]) == (20, 20)
    assert report.removed_bytes["objects"] == size - new.stat().st_size
    with pytest.raises(StoreDamagedError, match="is missing"):
        codebatch.open_store(half.path).directory.objects.read(digest(30))
    assert half.gc().removed["packs"] == 0


def test_a_pack_of_which_little_is_not_needed_stays(store: codebatch.Store) -> None:
    first = take(store, range(40))
    take(store, range(36))
    forget(store, first)
    age(store)
    before = packs(store)
    assert store.gc().kept["objects"] == 40
    assert packs(store) == before


def test_small_packs_become_one(store: codebatch.Store) -> None:
    numbers = range(gc_packs.LEAST_PACKS * LEAST_OBJECTS)
    for start in numbers[::LEAST_OBJECTS]:
        take(store, range(start, start + LEAST_OBJECTS), folder=f"tree{start}")
        age(store)
        if start != numbers[-LEAST_OBJECTS]:
            assert store.gc().removed["packs"] == 0
    report = store.gc()
    assert (report.removed["packs"], report.removed["objects"]) == (gc_packs.LEAST_PACKS, 0)
    assert report.kept["objects"] == len(numbers)
    assert files(store) == {".pack": 1, ".idx": 1}
    assert is_whole(store, numbers)
    assert store.gc().removed["packs"] == 0


def take_few(store: codebatch.Store, number: int) -> None:
    """Snapshots of so many files that each of them is a file in the store."""
    for start in range(0, number, 16):
        take(store, range(start, min(number, start + 16)), folder=f"tree{start}")
    age(store)


def test_many_old_objects_in_files_of_their_own_become_a_pack(store: codebatch.Store) -> None:
    take_few(store, LEAST_OBJECTS - 1)
    before = files(store)
    assert ".pack" not in before
    store.gc()
    assert files(store) == before
    take_few(store, LEAST_OBJECTS)
    for young in (1000, 1001):  # each a file, which stays
        take(store, [young])
    report = store.gc()
    assert (report.removed["objects"], report.kept["objects"]) == (0, LEAST_OBJECTS + 2)
    assert files(store) == {".pack": 1, ".idx": 1, "": 2}
    assert packed(store) == sorted(map(digest, range(LEAST_OBJECTS)))
    assert is_whole(store, [*range(LEAST_OBJECTS), 1000, 1001])


def test_a_store_of_format_1_gets_no_packs(store: codebatch.Store) -> None:
    document = {"format": "codebatch-store", "version": 1, "store_id": store.directory.store_id}
    (store.path / "store.json").write_text(json.dumps(seal(document)))
    old = codebatch.open_store(store.path)
    take(old, range(40))
    age(old)
    before = files(old)
    old.gc()
    assert files(old) == before
    assert ".pack" not in before


def test_packs_are_of_limited_size(half: codebatch.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_writer, "MOST_OBJECTS", 8)
    monkeypatch.setattr(gc_packs, "LEAST_PACKS", 2)
    half.gc()
    assert len(packs(half)) == 3
    assert half.gc().removed["packs"] == 0, "full ones are not small, however few bytes they have"
    assert packed(half) == sorted(map(digest, range(20)))
    assert is_whole(half, range(20))


def put_alone(store: codebatch.Store, number: int) -> Path:
    """The object in a file of its own, old, whatever packs there are."""
    name = digest(number)[7:]
    path = store.path / "objects/sha256" / name[:2] / name[2:4] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text(number))
    os.utime(path, (1, 1))
    return path


def test_an_object_that_is_in_a_pack_and_in_a_file(half: codebatch.Store) -> None:
    path = put_alone(half, 5)
    young = put_alone(half, 6)
    os.utime(young)
    assert half.gc(dry_run=True).removed["objects"] == 21
    assert half.gc().removed["objects"] == 21
    assert not path.exists()
    assert young.exists()
    assert is_whole(half, range(20))


def test_an_object_that_is_in_several_packs(store: codebatch.Store) -> None:
    take(store, range(40))
    (pack,) = packs(store)
    data = pack.read_bytes()
    (index,) = Packs(store.directory.layout).all()
    entries = [(one.digits, one.offset, one.size) for one in index.frames()]
    half = [one for one in entries if one[1] < len(data) // 2]
    size = sum(one[2] for one in half)
    lines = index_of(half)
    pack.with_name(f"{index_name(lines)}.idx").write_bytes(lines)
    pack.with_name(f"{index_name(lines)}.pack").write_bytes(data[:size])
    age(store)
    rehearsal = store.gc(dry_run=True)
    report = store.gc()
    assert counts(rehearsal) == counts(report)
    assert report.removed["objects"] == len(half)
    assert packed(store) == sorted(map(digest, range(40)))
    assert is_whole(store, range(40))
    assert store.gc().removed["packs"] == 0


def test_packs_of_the_same_objects(store: codebatch.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that are alike but for the order, one stays as it is."""
    monkeypatch.setattr(gc_packs, "LEAST_PACKS", 2)
    take(store, range(40))
    (pack,) = packs(store)
    data = pack.read_bytes()
    (index,) = Packs(store.directory.layout).all()
    frames = [(one.digits, data[one.offset :][: one.size]) for one in index.starting_with(b"")]
    other = pack.with_name(f"{write_pack(store.path, frames)}.pack")
    age(store)
    assert other != pack
    assert store.gc().kept["objects"] == 40
    assert packs(store) == [min(pack, other)]
    assert is_whole(store, range(40))


# -- what is damaged ------------------------------------------------------------------------------


def harm(path: Path, at: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return bytes(data)


def place_of(store: codebatch.Store, number: int) -> tuple[int, int]:
    found = Packs(store.directory.layout).find(digest(number)[7:])
    assert found is not None
    return found.offset, found.size


@pytest.mark.parametrize("number", [5, 30])
def test_damage_is_never_copied_and_never_dropped(half: codebatch.Store, number: int) -> None:
    (pack,) = packs(half)
    offset, size = place_of(half, number)
    harm(pack, offset + size // 2)
    before = {path: path.read_bytes() for path in pack.parent.iterdir()}
    report = half.gc()
    is_needed = number < 20
    assert report.removed["packs"] == (not is_needed)
    assert ({path: path.read_bytes() for path in pack.parent.iterdir()} == before) == is_needed
    assert is_whole(half, (one for one in range(20) if one != number))


def test_a_whole_object_beside_a_damaged_one(half: codebatch.Store) -> None:
    """What a writer has stored again counts, and the pack is written anew without it."""
    offset, size = place_of(half, 5)
    harm(packs(half)[0], offset + size // 2)
    path = put_alone(half, 5)
    assert half.gc().removed["objects"] == 21
    assert path.exists()
    assert packed(half) == sorted(digest(one) for one in range(20) if one != 5)
    assert is_whole(half, range(20))


def test_an_object_that_is_damaged_twice(half: codebatch.Store) -> None:
    (pack,) = packs(half)
    offset, size = place_of(half, 5)
    harm(pack, offset + size // 2)
    path = put_alone(half, 5)
    harm(path, 3)
    assert half.gc().removed["objects"] == 0
    assert path.exists()
    assert packs(half) == [pack]


@pytest.mark.parametrize("suffix", [".pack", ".idx"])
@pytest.mark.parametrize("change", ["cut", "longer"])
def test_a_pack_that_is_not_what_its_index_says(
    half: codebatch.Store, suffix: str, change: str
) -> None:
    path = packs(half)[0].with_suffix(suffix)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] if change == "cut" else data + b"\0")
    age(half)
    before = files(half)
    report = half.gc()
    assert (report.removed["objects"], report.removed["packs"]) == (0, 0)
    assert files(half) == before


def test_an_index_that_is_no_index(half: codebatch.Store) -> None:
    lines = b"z" * 88
    for suffix in ("idx", "pack"):
        (packs(half)[0].parent / f"{index_name(lines)}.{suffix}").write_bytes(lines)
    age(half)
    assert half.gc().removed["packs"] == 1
    assert files(half) == {".pack": 2, ".idx": 2}
    assert is_whole(half, range(20))


# -- what killed commands leave ------------------------------------------------------------------


def test_a_pack_without_an_index_goes_when_it_is_old(half: codebatch.Store) -> None:
    orphan = packs(half)[0].with_name(f"{'0' * 64}.pack")
    orphan.write_bytes(b"half")
    assert half.gc(dry_run=True).removed["packs"] == 1
    assert half.gc().removed["packs"] == 1
    assert orphan.exists()
    os.utime(orphan, (1, 1))
    assert (half.gc(dry_run=True).removed["packs"], half.gc().removed["packs"]) == (1, 1)
    assert not orphan.exists()


def test_a_pack_without_an_index_that_is_too_large_stays(half: codebatch.Store) -> None:
    """It is not looked through, which takes long, so what is in it is not known."""
    orphan = packs(half)[0].with_name(f"{'0' * 64}.pack")
    orphan.touch()
    os.truncate(orphan, 2**40)
    os.utime(orphan, (1, 1))
    assert half.gc(dry_run=True).removed["packs"] == 1
    assert half.gc().removed["packs"] == 1
    assert orphan.exists()
    for repair in (False, True):
        (problem,) = half.verify(repair=repair).problems
        assert (problem.code, problem.path) == ("FOREIGN_FILE", f"objects/packs/{orphan.name}")
        assert "no writer makes a pack that large" in problem.message
    assert orphan.exists()


def test_what_is_needed_is_looked_up_once_for_many_in_a_pack(
    store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(store, take(store, range(700)))
    (pack,) = packs(store)
    pack.with_suffix(".idx").unlink()
    age(store)
    asked, real = [], DigestSet.starting_with

    def starting_with(marks: DigestSet, first: int) -> frozenset[bytes]:
        asked.append(first)
        return real(marks, first)

    monkeypatch.setattr(DigestSet, "starting_with", starting_with)
    assert store.gc().removed["packs"] == 1
    assert not pack.exists()
    assert len(asked) <= 2 * 256


def test_a_pack_that_lost_its_index_stays_for_what_is_needed(half: codebatch.Store) -> None:
    (pack,) = packs(half)
    pack.with_suffix(".idx").unlink()
    assert half.gc().removed["packs"] == 0
    assert half.verify(repair=True).ok
    assert is_whole(half, range(20))
    copy = pack.with_name(f"{'0' * 64}.pack")
    shutil.copy2(pack, copy)
    age(half)
    half.gc()
    assert not copy.exists()
    assert is_whole(half, range(20))


@pytest.mark.parametrize("suffixes", [[".idx"], [".idx", ".pack"]])
def test_a_pack_set_aside_by_a_gc_that_was_killed(
    store: codebatch.Store, suffixes: list[str]
) -> None:
    take(store, range(40))
    age(store)
    (pack,) = packs(store)
    for suffix in suffixes:
        path = pack.with_suffix(suffix)
        path.rename(path.with_name(f".tmp-aside-{path.name}"))
    rehearsal = store.gc(dry_run=True)
    assert rehearsal.removed["packs"] == 0
    assert store.gc().kept["objects"] == 40
    assert sorted(pack.parent.iterdir()) == [pack.with_suffix(".idx"), pack]
    assert is_whole(store, range(40))


def test_what_is_left_of_a_pack_that_was_removed(half: codebatch.Store) -> None:
    half.gc()
    (pack,) = packs(half)
    for suffix in ("idx", "pack"):
        left = pack.with_name(f".tmp-aside-{'0' * 64}.{suffix}")
        left.write_bytes(b"")
        os.utime(left, (1, 1))
        half.gc()
        assert not left.exists()
    assert files(half) == {".pack": 1, ".idx": 1}


# -- beside writers and readers ------------------------------------------------------------------


def test_a_pack_that_is_pinned_when_it_is_taken_away_comes_back(
    half: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = packs(half)

    def touch_first(*arguments: Any) -> bool:
        os.utime(old)
        return remove_pack(*arguments)

    monkeypatch.setattr(gc_packs, "remove_pack", touch_first)
    report = half.gc()
    assert (report.removed["packs"], report.removed["objects"]) == (0, 0)
    assert len(packs(half)) == 2
    assert is_whole(half, range(40))
    monkeypatch.undo()
    age(half)
    half.gc()
    assert packed(half) == sorted(map(digest, range(20)))


def test_a_pack_that_was_touched_lately_stays(half: codebatch.Store) -> None:
    (pack,) = packs(half)
    os.utime(pack)
    assert half.gc().removed["packs"] == 0
    two_hours_ago = time.time() - 7200
    os.utime(pack, (two_hours_ago, two_hours_ago))
    with hold_lease(half.directory.layout, "test") as lease:
        os.utime(pack, ns=(lease.since_ns, lease.since_ns))
        assert half.gc(grace=0).removed["packs"] == 0
        os.utime(pack, (two_hours_ago, two_hours_ago))
        assert half.gc().removed["packs"] == 1


def test_a_pack_whose_objects_a_writer_relies_on(half: codebatch.Store) -> None:
    with pinning(half.directory.layout, "test", at_once=True) as pins:
        assert half.directory.objects.pin(digest(30), pins)
        assert half.gc(grace=0).removed["packs"] == 0
    assert is_whole(half, range(40))


ASKED: dict[str, Callable[[codebatch.Store], object]] = {
    "read": lambda store: store.read_object(digest(3)) == text(3),
    "portions": lambda store: b"".join(store.directory.objects.portions(digest(3))) == text(3),
    "head": lambda store: store.directory.objects.read_head(digest(3), 3) == text(3)[:3],
    "size": lambda store: store.directory.objects.size(digest(3)) == len(text(3)),
    "has": lambda store: store.directory.objects.has(digest(3)),
    "is_kept": lambda store: store.directory.objects.is_kept(digest(3), 1),
    "is_intact": lambda store: store.directory.objects.is_intact(digest(3)),
    "stored_form": lambda store: store.directory.objects.stored_form(digest(3)).size > 0,
    "find": lambda store: store.directory.objects.find(digest(3)[7:15]) == [digest(3)],
    "show": lambda store: store.show(digest(3)[7:]),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_reader_that_knows_a_pack_that_is_gone(half: codebatch.Store, name: str) -> None:
    reader = codebatch.open_store(half.path)
    assert reader.directory.objects.location(digest(3))
    half.gc()
    assert ASKED[name](reader)


def test_a_writer_that_knows_a_pack_that_is_gone(half: codebatch.Store) -> None:
    writer = codebatch.open_store(half.path)
    assert writer.directory.objects.location(digest(3))
    half.gc()
    with pinning(half.directory.layout, "test", at_once=True) as pins:
        assert writer.directory.objects.pin(digest(3), pins)
        assert not writer.directory.objects.pin(digest(30), pins)


def test_a_snapshot_beside_a_gc(store: codebatch.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the packs go that it has found, what it lists is there."""
    for moment in ("is_whole", "add"):
        forget(store, take(store, range(40)))
        age(store)
        original, collected = getattr(Snapshots, moment), []

        def collect_first(*arguments: Any, original: Any = original, found: Any = collected) -> Any:
            if not found:
                found.append(codebatch.open_store(store.path).gc(grace=0))
            return original(*arguments)

        monkeypatch.setattr(Snapshots, moment, collect_first)
        again = take(store, range(40))
        monkeypatch.undo()
        assert collected
        assert is_whole(store, range(40))
        forget(store, again)


def test_a_batch_goes_on_after_its_packs_were_written_anew(
    tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codebatch.store.objects.pack_writer.LEAST_OBJECTS", 2)
    tree = write_tree(tmp_path / "tree", {f"{one}.py": text(one) for one in range(12)})
    batch, report = codebatch.scan(tree, store.path, scheduler="sync")
    age(store)
    monkeypatch.setattr(gc_packs, "LEAST_PACKS", 2)
    assert store.gc().removed["packs"] > 1
    assert len(packs(store)) == 1
    for record in batch.records(kind="ast"):
        assert store.read_object(str(record["object"]))
    again, second = codebatch.scan(tree, store.path, scheduler="sync")
    assert (again.id, second.result) == (batch.id, report.result)


def test_gc_of_packs_for_people(half: codebatch.Store, main: Main) -> None:
    done = main("gc", "--store", half.path, "--dry-run")
    assert "  20 objects, " in done.out
    assert "  1 packs, gone or written anew" in done.out
    document = json.loads(main("gc", "--store", half.path, "--json").stdout)
    assert (document["removed"]["packs"], document["kept"]["objects"]) == (1, 20)
    assert main("gc", "--store", half.path).code == 0
