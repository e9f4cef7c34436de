"""Packs under `codebatch verify`: each damage is found once, named with what needs it, repaired."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import OBEYING_PERMISSIONS, Scanned, run_cli, write_tree
from pack_files import write_pack
from test_verify import (
    DAMAGES,
    check,
    codes,
    contents,
    flip,
    overwrite,
    resume,
    snapshot_id,
    source_object,
    the_problem,
    tree_object,
)

import codebatch
from codebatch.maintenance.verify import Problem
from codebatch.store.layout import CHUNK_BYTES
from codebatch.store.objects import pack_writer
from codebatch.store.objects.forms import frame
from codebatch.store.objects.packs import Found, PackIndex, index_name, index_of

__all__ = ["snapshot_id"]

SEED = 20261130


@pytest.fixture(scope="module")
def packed_once(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanned]:
    """The tree of `scanned`, in a store that has its sources and its values in packs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_writer, "LEAST_OBJECTS", 1)
        path = tmp_path_factory.mktemp("packed") / "store"
        batch, report = codebatch.scan(scanned.tree, path, scheduler="sync")
    store = codebatch.open_store(path)
    return Scanned(scanned.tree, store, store.find_batch(batch.id), report)


@pytest.fixture
def packed(packed_once: Scanned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scanned:
    """A copy, to be damaged."""
    monkeypatch.setattr(pack_writer, "LEAST_OBJECTS", 1)
    path = tmp_path / "packed"
    shutil.copytree(packed_once.path, path)
    store = codebatch.open_store(path)
    return Scanned(
        packed_once.tree, store, store.find_batch(packed_once.batch.id), packed_once.report
    )


def indexes(store: Path) -> list[PackIndex]:
    paths = sorted(store.glob("objects/packs/*.idx"))
    return [
        PackIndex(path.stem, str(path.with_suffix(".pack")), path.read_bytes()) for path in paths
    ]


def pack_path(store: Path, name: str) -> Path:
    return store / "objects" / "packs" / f"{name}.pack"


def place_of(store: Path, digest: str) -> tuple[Path, Found]:
    """The pack of an object, and its frame there."""
    (found,) = [
        (pack_path(store, index.name), one)
        for index in indexes(store)
        for one in index.frames()
        if digest.endswith(one.digits)
    ]
    return found


def raw_objects(store: codebatch.Store) -> dict[str, bytes]:
    """All objects that can be read, in files or packs."""
    names = {path.name.removesuffix(".zst") for path in store.path.glob("objects/sha256/*/*/*")}
    names |= {one.digits for index in indexes(store.path) for one in index.frames()}
    found = {}
    for name in names:
        with contextlib.suppress(codebatch.CodeBatchError):
            found[name] = codebatch.open_store(store.path).read_object(f"sha256:{name}")
    return found


def digits_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_packs_that_are_whole(packed: Scanned) -> None:
    report = check(packed.path, read_data=True)
    number = sum(map(len, indexes(packed.path)))
    assert report.ok
    assert number >= 2
    assert report.checked.read == report.checked.objects >= number
    looked = check(packed.path).checked
    assert (looked.objects, looked.read) == (report.checked.objects, 0)
    halves = [check(packed.path, subset=f"{part}/2").checked.read for part in (1, 2)]
    assert sum(halves) == report.checked.read
    assert min(halves) > 0


# -- one damage --------------------------------------------------------------------------------


def _slow_but(names: Iterable[str], *often: str) -> list[Any]:
    slow = pytest.mark.slow
    return [pytest.param(name, marks=[] if name in often else slow) for name in names]


# As of any other file, but for one bit.
ANY_DAMAGES: dict[str, Callable[[Path], object]] = {
    **{how: DAMAGES[how] for how in ("half", "empty", "longer", "link", "folder")},
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "missing": Path.unlink,
}
INDEX_DAMAGES = {
    **ANY_DAMAGES,
    "first bit": flip,
    "last bit": lambda path: flip(path, -2),
    "huge": lambda path: os.truncate(path, 2**31),
}


@pytest.mark.parametrize("how", _slow_but(INDEX_DAMAGES, "first bit", "folder", "missing"))
def test_a_damaged_index_is_made_from_its_pack(how: str, packed: Scanned, snapshot_id: str) -> None:
    before = contents(packed.path)
    path = place_of(packed.path, source_object(packed))[0].with_suffix(".idx")
    path.chmod(0o644)
    INDEX_DAMAGES[how](path)
    found = the_problem(check(packed.path))
    assert (found.code, found.path) == (
        "PACK_INDEX_DAMAGED",
        str(path.relative_to(packed.path)),
    )
    assert (found.snapshots, found.batches) == ((snapshot_id,), (packed.batch.id,))
    assert the_problem(check(packed.path, repair=True)).action == "rewritten"
    after = contents(packed.path)
    assert {one: after[one] for one in after if one.name[0] != "."} == {
        one: before[one] for one in before if one.name[0] != "."
    }
    assert check(packed.path, read_data=True).ok


def test_a_pack_that_is_about_to_have_its_index_is_no_damage(packed: Scanned) -> None:
    name = write_pack(packed.path, [(digits_of(b"x"), frame(b"x"))])
    (packed.path / f"objects/packs/{name}.idx").unlink()
    report = check(packed.path, read_data=True)
    assert (report.ok, report.notes.temporary_files) == (True, 1)


PACK_DAMAGES = {
    **ANY_DAMAGES,
    "last byte gone": lambda path: overwrite(path, path.read_bytes()[:-1]),
    "huge": lambda path: os.truncate(path, 2**40),
}


@pytest.mark.parametrize("how", _slow_but(PACK_DAMAGES, "half", "longer", "link"))
def test_a_damaged_pack_of_sources_is_restored(how: str, packed: Scanned, snapshot_id: str) -> None:
    before = raw_objects(packed.store)
    path, _ = place_of(packed.path, source_object(packed))
    path.chmod(0o644)
    PACK_DAMAGES[how](path)
    found = the_problem(check(packed.path))
    assert (found.code, found.path) == ("PACK_DAMAGED", str(path.relative_to(packed.path)))
    if how not in ("longer", "huge"):  # of which every object is whole
        assert (found.snapshots, found.batches) == ((snapshot_id,), (packed.batch.id,))
        assert the_problem(check(packed.path, repair=True)).action == "none"
        assert path.with_suffix(".idx").exists()
    kept = raw_objects(packed.store)
    report = check(packed.path, repair=True, source=packed.tree)
    assert the_problem(report).action in ("rewritten", "dropped")
    assert raw_objects(packed.store) == before
    assert kept.items() <= before.items()
    assert check(packed.path, read_data=True).ok


@pytest.mark.parametrize("part", _slow_but(["header", "content", "checksum"], "content"))
def test_a_damaged_frame_of_a_source_is_restored(
    part: str, packed: Scanned, snapshot_id: str
) -> None:
    before = raw_objects(packed.store)
    path, one = place_of(packed.path, source_object(packed))
    flip(path, one.offset + {"header": 0, "content": one.size // 2, "checksum": one.size - 1}[part])
    assert check(packed.path).ok
    found = the_problem(check(packed.path, read_data=True))
    assert (found.code, found.path) == ("OBJECT_DAMAGED", str(path.relative_to(packed.path)))
    assert "the content of pkg/cart.py" in found.message
    assert (found.snapshots, found.batches) == ((snapshot_id,), (packed.batch.id,))
    assert the_problem(check(packed.path, read_data=True, repair=True)).action == "none"
    options = {"read_data": True, "repair": True, "source": packed.tree}
    assert the_problem(check(packed.path, **options)).action == "restored"
    assert raw_objects(packed.store) == before
    assert check(packed.path, read_data=True).ok


def test_a_damaged_value_is_computed_again(packed: Scanned) -> None:
    before = raw_objects(packed.store)
    path, one = place_of(packed.path, tree_object(packed))
    flip(path, one.offset + one.size // 2)
    found = the_problem(check(packed.path, read_data=True))
    assert (found.code, found.snapshots, found.batches) == (
        *("OBJECT_DAMAGED", ()),
        (packed.batch.id,),
    )
    assert the_problem(check(packed.path, read_data=True, repair=True)).action == "dropped"
    assert codes(check(packed.path, read_data=True)) == ["STATE_MISSING"]
    assert raw_objects(packed.store).keys() == before.keys() - {one.digits}
    report = resume(packed.path, packed.batch.id)
    assert report.result == packed.report.result
    assert raw_objects(packed.store) == before
    assert check(packed.path, read_data=True).ok


def test_a_frame_is_not_looked_at_where_the_object_has_a_whole_file(packed: Scanned) -> None:
    path, one = place_of(packed.path, source_object(packed))
    flip(path, one.offset + one.size // 2)
    codebatch.open_store(packed.path).snapshot(packed.tree, use_cache=False)
    file = packed.path / "objects/sha256" / one.digits[:2] / one.digits[2:4] / one.digits
    assert file.exists() or file.with_suffix(".zst").exists()
    assert check(packed.path, read_data=True).ok


def test_a_damaged_frame_is_restored_from_another_pack(packed: Scanned) -> None:
    before = raw_objects(packed.store)
    path, one = place_of(packed.path, source_object(packed))
    data = before[one.digits]
    write_pack(packed.path, [(one.digits, frame(data)), (digits_of(b"x"), frame(b"x"))])
    flip(path, one.offset + one.size // 2)
    options = {"read_data": True, "repair": True}
    assert the_problem(check(packed.path, **options)).action == "restored"
    assert before.items() <= raw_objects(packed.store).items()
    assert check(packed.path, read_data=True).ok


def test_a_list_of_chunks_that_is_damaged_is_in_its_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codebatch.shard.compute, "MAX_OBJECT_BYTES", 60)
    monkeypatch.setattr(pack_writer, "LEAST_OBJECTS", 1)
    tree = write_tree(tmp_path / "tree", {"a.py": "def f(a, b):\n    return [a, b, {a: b}]\n"})
    batch, report = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    (record,) = batch.records(kind="ast")
    path, one = place_of(batch.path, str(record["object"]))
    flip(path, one.offset + one.size // 2)
    found = the_problem(check(batch.path))
    assert (found.code, found.path) == ("OBJECT_DAMAGED", str(path.relative_to(batch.path)))
    assert the_problem(check(batch.path, repair=True)).action == "dropped"
    assert resume(batch.path, batch.id).result == report.result
    assert check(batch.path, read_data=True).ok


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_a_damaged_file_beside_a_whole_frame_goes(suffix: str, packed: Scanned) -> None:
    before = raw_objects(packed.store)
    digits = place_of(packed.path, source_object(packed))[1].digits
    path = packed.path / "objects/sha256" / digits[:2] / digits[2:4] / (digits + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(frame(before[digits]) if suffix else before[digits])
    flip(path, 20)
    assert the_problem(check(packed.path, read_data=True, repair=True)).action == "dropped"
    assert not path.exists()
    assert raw_objects(packed.store) == before
    assert check(packed.path, read_data=True).ok


def test_what_nothing_needs_goes_and_the_rest_stays(packed: Scanned) -> None:
    one, other = b"one " * 100, b"other " * 100
    bad = bytearray(frame(one))
    bad[len(bad) // 2] ^= 1
    name = write_pack(packed.path, [(digits_of(one), bytes(bad)), (digits_of(other), frame(other))])
    found = the_problem(check(packed.path, read_data=True))
    assert (found.code, found.snapshots, found.batches) == ("OBJECT_DAMAGED", (), ())
    assert the_problem(check(packed.path, read_data=True, repair=True)).action == "dropped"
    assert not pack_path(packed.path, name).exists()
    store = codebatch.open_store(packed.path)
    assert store.read_object(f"sha256:{digits_of(other)}") == other
    assert check(packed.path, read_data=True).ok


def test_index_and_frame_damaged_together(packed: Scanned) -> None:
    before = raw_objects(packed.store)
    path, one = place_of(packed.path, source_object(packed))
    flip(path, one.offset + one.size // 2)
    flip(path.with_suffix(".idx"))
    report = check(packed.path)
    assert sorted(codes(report)) == ["OBJECT_MISSING", "PACK_INDEX_DAMAGED"]
    check(packed.path, read_data=True, repair=True)
    assert raw_objects(packed.store) == {k: v for k, v in before.items() if k != one.digits}
    left = the_problem(check(packed.path, read_data=True))
    assert left.code == "OBJECT_MISSING"
    restored = check(packed.path, repair=True, source=packed.tree)
    assert the_problem(restored).action == "restored"
    assert raw_objects(packed.store) == before
    assert check(packed.path, read_data=True).ok


@pytest.mark.slow
def test_a_pack_that_cannot_be_read_stays(packed: Scanned) -> None:
    path, _ = place_of(packed.path, source_object(packed))
    path.chmod(0)
    words = ("verify", "--read-data", "--store", packed.path)
    found = run_cli(*words, "--json", before=OBEYING_PERMISSIONS)
    assert [problem["code"] for problem in json.loads(found.stdout)["problems"]] == ["UNREADABLE"]
    left = run_cli(*words, "--repair", "--source", packed.tree, before=OBEYING_PERMISSIONS)
    assert (left.code, path.exists()) == (1, True)
    path.chmod(0o444)
    assert check(packed.path, read_data=True).ok


STRAYS = ("README", f"{'a' * 64}.pak", f"{'A' * 64}.pack", f"{'a' * 63}.idx", "folder/x")


@pytest.mark.parametrize("name", STRAYS)
def test_what_does_not_belong_among_packs(name: str, packed: Scanned) -> None:
    path = packed.path / "objects/packs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    found = the_problem(check(packed.path, read_data=True))
    assert found.code == "FOREIGN_FILE"
    assert the_problem(check(packed.path, read_data=True, repair=True)).action == "none"
    assert path.read_text() == "mine"


# -- every byte --------------------------------------------------------------------------------


def is_whole(store: Path) -> bool:
    return check(store, read_data=True).ok


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one pack of three objects that nothing needs."""
    path = tmp_path_factory.mktemp("tiny") / "store"
    codebatch.open_store(path, create=True)
    texts = [b"", b"a = 1\n" * 9, b"import os\n"]
    write_pack(path, [(digits_of(text), frame(text)) for text in texts])
    assert is_whole(path)
    return path


@pytest.mark.parametrize("suffix", [".pack", ".idx"])
def test_no_flipped_byte_and_no_cut_of_a_pack_escapes(suffix: str, tiny: Path) -> None:
    (path,) = tiny.glob(f"objects/packs/*{suffix}")
    path.chmod(0o644)
    data, chance = path.read_bytes(), random.Random(SEED)
    flips = [(index, 1 << chance.randrange(8)) for index in range(len(data))]
    try:
        for index, bits in flips:
            path.write_bytes(data[:index] + bytes([data[index] ^ bits]) + data[index + 1 :])
            assert not is_whole(tiny), (index, bits)
        for length in range(0, len(data), 7):
            path.write_bytes(data[:length])
            assert not is_whole(tiny), length
    finally:
        path.write_bytes(data)
    assert is_whole(tiny)


# -- hostile -----------------------------------------------------------------------------------

A, B = digits_of(b"a"), digits_of(b"b")
SMALL = len(frame(b"a"))
HOSTILE_INDEXES: dict[str, list[tuple[str, int, int]]] = {
    "a huge frame": [(A, 0, 9_999_999_999)],
    "far outside": [(A, 0, SMALL), (B, 999_999_999_999, SMALL)],
    "twice the same frame": [(A, 0, SMALL), (B, 0, SMALL)],
    "overlapping frames": [(A, 0, SMALL), (B, SMALL - 1, SMALL)],
    "a gap": [(A, 0, SMALL), (B, SMALL + 1, SMALL)],
    "nothing of it": [],
}


@pytest.mark.parametrize("how", HOSTILE_INDEXES)
def test_an_index_of_somebody_else_is_reported_once(how: str, tmp_path: Path) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    data = frame(b"a") + frame(b"b")
    lines = index_of(HOSTILE_INDEXES[how])
    folder = store.path / "objects/packs"
    folder.mkdir(parents=True)
    (folder / f"{index_name(lines)}.idx").write_bytes(lines)
    (folder / f"{index_name(lines)}.pack").write_bytes(data)
    assert the_problem(check(store.path)).code == "PACK_DAMAGED"
    check(store.path, repair=True)
    assert check(store.path, read_data=True).ok


@pytest.mark.parametrize(
    "lines",
    [
        b"\n",
        f"{A} {0:012d} {SMALL:010d}\n".encode() * 2,
        f"{A} {0:012d} {SMALL:010d}\r".encode(),
        f"{A.upper()} {0:012d} {SMALL:010d}\n".encode(),
        b"".join(sorted([f"{x} {0:012d} {SMALL:010d}\n".encode() for x in (A, B)], reverse=True)),
    ],
    ids=["one newline", "a line twice", "another end", "upper case", "out of order"],
)
def test_lines_that_are_none_are_reported_once_and_found_by_none(
    lines: bytes, tmp_path: Path
) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    folder = store.path / "objects/packs"
    folder.mkdir(parents=True)
    (folder / f"{index_name(lines)}.idx").write_bytes(lines)
    (folder / f"{index_name(lines)}.pack").write_bytes(frame(b"a"))
    found = the_problem(check(store.path, read_data=True))
    assert found.code == "PACK_INDEX_DAMAGED"
    check(store.path, repair=True)
    assert check(store.path, read_data=True).ok
    assert codebatch.open_store(store.path).read_object(f"sha256:{A}") == b"a"


def test_a_frame_that_unpacks_to_very_much(tmp_path: Path) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    bomb = bytes(CHUNK_BYTES + 1)
    write_pack(store.path, [(digits_of(bomb), frame(bomb))])
    found: Problem = the_problem(check(store.path, read_data=True))
    assert found.code == "OBJECT_DAMAGED"
    assert "more bytes than it may" in found.message
