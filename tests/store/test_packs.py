"""Objects that are added together become a pack; they are read as those in files of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pack_files import write_pack

from codebatch.model.digest import digest_bytes, seal
from codebatch.model.errors import StoreDamagedError
from codebatch.store import StoreDirectory, init_store, open_store
from codebatch.store.leases.leases import pinning
from codebatch.store.objects.forms import frame, open_stored
from codebatch.store.objects.pack_writer import LEAST_OBJECTS
from codebatch.store.objects.packs import index_name, index_of

TEXTS = [f"def function_{number}():\n    return {number}\n".encode() for number in range(100)]
DIGESTS = [digest_bytes(text) for text in TEXTS]


@pytest.fixture
def store(tmp_path: Path) -> StoreDirectory:
    return init_store(tmp_path / "store").store


@pytest.fixture
def packed(store: StoreDirectory) -> StoreDirectory:
    """A store with the texts in one pack."""
    add(store, TEXTS)
    return store


def add(store: StoreDirectory, texts: list[bytes]) -> None:
    with store.group(durable=True) as group:
        for text in texts:
            store.objects.put(text, group)


def files(store: StoreDirectory) -> list[str]:
    """The files of objects by what they are."""
    found = (path for path in store.root.glob("objects/**/*") if path.is_file())
    return sorted(path.suffix for path in found)


def the_pack(store: StoreDirectory) -> Path:
    (path,) = store.root.glob("objects/packs/*.pack")
    return path


def test_many_objects_are_two_files(packed: StoreDirectory) -> None:
    assert files(packed) == [".idx", ".pack"]
    again = open_store(packed.root)
    assert [again.objects.read(digest) for digest in DIGESTS] == TEXTS
    before = the_pack(packed).stat()
    add(again, TEXTS)
    assert files(packed) == [".idx", ".pack"]
    assert the_pack(packed).stat() == before


def test_few_objects_are_files_of_their_own(store: StoreDirectory) -> None:
    add(store, TEXTS[: LEAST_OBJECTS - 1])
    assert len(files(store)) == LEAST_OBJECTS - 1
    assert store.objects.read(DIGESTS[0]) == TEXTS[0]


def test_a_store_of_format_1_has_no_packs(store: StoreDirectory) -> None:
    document = {"format": "codebatch-store", "version": 1, "store_id": store.store_id}
    store.layout.store_document.write_text(json.dumps(seal(document)))
    old = open_store(store.root)
    assert old.version == 1
    add(old, TEXTS)
    assert len(files(old)) == len(TEXTS)
    assert ".pack" not in files(old)


def test_both_forms_are_asked_alike(packed: StoreDirectory) -> None:
    add(packed, [b"alone"])
    for text in (TEXTS[3], b"alone"):
        digest = digest_bytes(text)
        objects = packed.objects
        assert objects.has(digest)
        assert objects.is_intact(digest)
        assert objects.size(digest) == len(text)
        assert objects.read_head(digest, 3) == text[:3]
        assert objects.find(digest[len("sha256:") :][:8]) == [digest]
        location = objects.location(digest)
        assert location is not None
        assert objects.are_at([location.encode()])
        assert objects.stored_form(digest).size > 0
        with pinning(packed.layout, "test", at_once=True) as pins:
            assert objects.pin(digest, pins)
            assert objects.is_kept(digest, pins.start())


def test_an_object_that_is_pinned_makes_its_pack_young(packed: StoreDirectory) -> None:
    path = the_pack(packed)
    os.utime(path, (1, 1))
    with pinning(packed.layout, "test", at_once=True) as pins:
        packed.objects.pin(DIGESTS[0], pins)
    assert path.stat().st_mtime > 1


def test_a_damaged_object_is_told_and_put_again(packed: StoreDirectory) -> None:
    found = packed.objects.packs.find(DIGESTS[5][len("sha256:") :])
    assert found is not None
    path = the_pack(packed)
    data = bytearray(path.read_bytes())
    data[found.offset + found.size // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    store = open_store(packed.root)
    assert not store.objects.is_intact(DIGESTS[5])
    with pytest.raises(StoreDamagedError, match="is damaged"):
        store.objects.read(DIGESTS[5])
    with pytest.raises(StoreDamagedError, match="is damaged"):
        list(store.objects.portions(DIGESTS[5]))
    assert store.objects.read(DIGESTS[6]) == TEXTS[6]
    add(store, TEXTS)
    assert len(files(store)) == 3
    assert store.objects.read(DIGESTS[5]) == TEXTS[5]
    assert store.objects.is_intact(DIGESTS[5])


def test_a_reader_goes_on_where_a_pack_was_replaced(packed: StoreDirectory) -> None:
    reader = open_store(packed.root)
    assert reader.objects.read(DIGESTS[0]) == TEXTS[0]
    (index,) = packed.objects.packs.all()
    path = the_pack(packed)
    data = path.read_bytes()
    kept = {one.digits: one for one in index.frames()}
    first = DIGESTS[1][len("sha256:") :]
    frame = data[kept[first].offset :][: kept[first].size]
    lines = index_of([(first, 0, len(frame))])
    for old in (path, path.with_suffix(".idx")):
        old.unlink()
    path.with_name(f"{index_name(lines)}.pack").write_bytes(frame)
    path.with_name(f"{index_name(lines)}.idx").write_bytes(lines)
    reader.objects.packs.refresh()
    stale = open_store(packed.root)
    assert stale.objects.read(DIGESTS[1]) == TEXTS[1]
    assert reader.objects.read(DIGESTS[1]) == TEXTS[1]
    with pytest.raises(StoreDamagedError, match="is missing"):
        reader.objects.read(DIGESTS[2])


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 9_999_999_999), (999_999_999_999, 50), (0, 3), (0, 0)]
)
def test_an_index_that_lies_is_damage(packed: StoreDirectory, offset: int, size: int) -> None:
    lines = index_of([(DIGESTS[0][len("sha256:") :], offset, size)])
    path = the_pack(packed)
    target = path.with_name(f"{index_name(lines)}.pack")
    path.rename(target)
    path.with_suffix(".idx").unlink()
    target.with_suffix(".idx").write_bytes(lines)
    store = open_store(packed.root)
    with pytest.raises(StoreDamagedError, match="is damaged"):
        store.objects.read(DIGESTS[0], 1000)
    assert not store.objects.is_intact(DIGESTS[0])


def test_an_index_that_is_not_its_name_is_none(packed: StoreDirectory) -> None:
    path = the_pack(packed).with_suffix(".idx")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(StoreDamagedError, match="is missing"):
        open_store(packed.root).objects.read(DIGESTS[0])


def test_nothing_is_left_of_a_group_that_fails(store: StoreDirectory) -> None:
    with contextlib.suppress(ZeroDivisionError), store.group(durable=True) as group:
        for text in TEXTS:
            store.objects.put(text, group)
        raise ZeroDivisionError
    assert files(store) == []


@pytest.mark.parametrize("limit", ["write_group._GROUP_BYTES", "objects.pack_writer.MOST_OBJECTS"])
def test_large_groups_are_several_packs(
    store: StoreDirectory, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr("codebatch.store.objects.pack_writer._BATCH_OBJECTS", 8)
    monkeypatch.setattr(f"codebatch.store.{limit}", 50)
    add(store, TEXTS)
    assert files(store).count(".pack") > 1
    assert [store.objects.read(digest) for digest in DIGESTS] == TEXTS


def test_an_object_is_taken_out_with_plain_tools(packed: StoreDirectory) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("the command zstd is not installed")
    digits = DIGESTS[7][len("sha256:") :]
    script = (
        f"set -- $(grep -H ^{digits} *.idx | tr : ' ')\n"
        'tail -c +$((10#$3 + 1)) "${1%.idx}.pack" | head -c $((10#$4)) | zstd -dc'
    )
    folder = the_pack(packed).parent
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, check=True)
    assert done.stdout == TEXTS[7]


def make_pack(store: StoreDirectory, frames: list[tuple[str, bytes]]) -> str:
    """Put a pack into place that says of each frame that it is an object; return its name."""
    return write_pack(store.root, [(digest[len("sha256:") :], data) for digest, data in frames])


def damaged_frame(data: bytes) -> bytes:
    stored = bytearray(frame(data))
    stored[len(stored) // 2] ^= 1
    return bytes(stored)


def is_read(store: StoreDirectory, digest: str, data: bytes) -> bool:
    """Whether every way to read an object gives it."""
    objects = open_store(store.root).objects
    assert objects.read(digest) == data
    assert open_stored(objects.read_stored(digest)) == data
    assert b"".join(objects.portions(digest)) == data
    assert objects.size(digest) == len(data)
    assert objects.read_head(digest, 4) == data[:4]
    return objects.is_intact(digest)


BAD = {
    "damaged": damaged_frame(TEXTS[0]),
    "too large": frame(bytes(2**24 + 1)),
    "cut off": frame(TEXTS[0])[:-9],
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("order", [min, max])
def test_a_bad_copy_hides_no_good_one(
    bad: str, order: Callable[[list[str]], str], store: StoreDirectory
) -> None:
    others = [("sha256:" + f"{number:064x}", frame(b"another")) for number in range(4)]
    names = [make_pack(store, [(DIGESTS[0], frame(TEXTS[0])), other]) for other in others[:3]]
    kept = order(names)
    for name in {*names} - {kept}:
        for path in store.root.glob(f"objects/packs/{name}.*"):
            path.unlink()
    make_pack(store, [(DIGESTS[0], BAD[bad]), others[3]])
    assert is_read(store, DIGESTS[0], TEXTS[0])


@pytest.mark.parametrize("bad", [*BAD, "another"])
def test_a_bad_frame_hides_no_file(bad: str, store: StoreDirectory) -> None:
    data = BAD.get(bad, frame(b"another"))
    add(store, TEXTS[:1])
    make_pack(store, [(DIGESTS[0], data)])
    opened = open_store(store.root)
    opened.objects.packs.refresh()  # packs that are known are looked into before files
    assert opened.objects.read(DIGESTS[0]) == TEXTS[0]
    assert b"".join(opened.objects.portions(DIGESTS[0])) == TEXTS[0]
    assert opened.objects.is_intact(DIGESTS[0])


def test_a_damaged_file_hides_no_frame(packed: StoreDirectory) -> None:
    path = Path(packed.root, packed.layout.compressed_object(DIGESTS[0]))
    path.parent.mkdir(parents=True)
    path.write_bytes(damaged_frame(TEXTS[0]))
    assert is_read(packed, DIGESTS[0], TEXTS[0])


def test_a_pack_that_is_restored_is_read(packed: StoreDirectory) -> None:
    path = the_pack(packed)
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes(len(whole)))
    objects = open_store(packed.root).objects
    with pytest.raises(StoreDamagedError, match="is damaged"):
        objects.read(DIGESTS[0])
    path.rename(path.with_suffix(".old"))
    path.write_bytes(whole)
    assert objects.read(DIGESTS[0]) == TEXTS[0]


def test_a_pack_that_is_lost_is_noticed(packed: StoreDirectory) -> None:
    locations = [(packed.objects.location(one) or "").encode() for one in DIGESTS]
    the_pack(packed).unlink()
    for store in (packed, open_store(packed.root)):
        assert not store.objects.are_at(locations)
        store.objects.packs.refresh()
        assert store.objects.location(DIGESTS[0]) is None
    add(packed, TEXTS)
    assert open_store(packed.root).objects.read(DIGESTS[0]) == TEXTS[0]


def test_many_packs_are_few_runs(store: StoreDirectory) -> None:
    """Of 300 packs none has to be looked into by itself, whenever which of them was found."""
    made = {}
    late = open_store(store.root)
    for number in range(300):
        text = b"text %d" % number
        made[digest_bytes(text)] = text
        make_pack(store, [(digest_bytes(text), frame(text))])
        if number % 50 == 0:
            assert late.objects.has(digest_bytes(text))
    for objects in (late.objects, open_store(store.root).objects):
        assert [objects.read(digest) for digest in made] == [*made.values()]
        known = objects.packs._known
        assert known is not None
        assert len(known.packs) == 300
        assert len(known.runs) < 10
        pending = [digest[len("sha256:") :].encode() + b"@" for digest in made]
        places = [(objects.location(digest) or "").encode() for digest in made]
        assert all(places)
        for count in (1, 300):  # some are looked up, all are found by reading
            assert objects.settled(pending[:count]) == places[:count]
    gone = index_name(
        index_of([(digest_bytes(b"text 7")[len("sha256:") :], 0, len(frame(b"text 7")))])
    )
    for path in store.root.glob(f"objects/packs/{gone}.*"):
        path.unlink()
    late.objects.packs.refresh()
    assert not late.objects.has(digest_bytes(b"text 7"))
    assert late.objects.read(digest_bytes(b"text 8")) == b"text 8"


def test_threads_find_what_another_has_looked_for(packed: StoreDirectory) -> None:
    """One thread misses, another looks for new packs, and the first looks again all the same."""
    objects = packed.objects
    objects.packs.refresh()
    text = b"of somebody else"
    make_pack(packed, [(digest_bytes(text), frame(text))])
    ours = objects.packs._places

    def between(*words: object) -> object:
        found = ours(*words)  # type: ignore[arg-type]
        objects.packs._places = ours  # type: ignore[method-assign]
        objects.packs.refresh()
        return found

    objects.packs._places = between  # type: ignore[method-assign, assignment]
    assert objects.has(digest_bytes(text))


def test_sparse_indexes_are_not_read(packed: StoreDirectory) -> None:
    folder = the_pack(packed).parent
    for number in range(3):
        path = folder / f"{number:064x}.idx"
        path.touch()
        os.truncate(path, 89 * 2**20)
        path.with_suffix(".pack").touch()
    tracemalloc.start()
    try:
        assert open_store(packed.root).objects.has(DIGESTS[0])
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
