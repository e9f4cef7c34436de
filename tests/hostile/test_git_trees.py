"""Trees, packs and indexes that no git would write: what is taken of them, at what cost."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Outcome, write_tree
from repositories import git, git_init, without_own_settings

import codebatch
from codebatch.model.errors import (
    CodeBatchError,
    NotFetchedError,
    NothingStagedError,
    UsageError,
)
from codebatch.snapshot import of_tree
from codebatch.snapshot.git import trees
from codebatch.snapshot.git.history import open_history

_WHO = "a <a@a> 1 +0000"


class Made:
    """A repository whose objects are made one by one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("objects", "refs/heads"):
            (root / ".git" / folder).mkdir(parents=True)
        (root / ".git/HEAD").write_text("ref: refs/heads/main\n")
        (root / ".git/config").write_text("[core]\n\trepositoryformatversion = 0\n")

    def add(self, kind: str, data: bytes, *, as_name: bytes | None = None) -> bytes:
        whole = f"{kind} {len(data)}\0".encode() + data
        name = as_name or hashlib.sha1(whole, usedforsecurity=False).digest()
        return self.put(name, zlib.compress(whole))

    def put(self, name: bytes, data: bytes) -> bytes:
        path = self.root / ".git/objects" / name.hex()[:2] / name.hex()[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return name

    def tree(self, *entries: tuple[bytes, bytes, bytes]) -> bytes:
        return self.add("tree", b"".join(b"%s %s\0%s" % entry for entry in entries))

    def commit(self, tree: bytes) -> None:
        text = f"tree {tree.hex()}\nauthor {_WHO}\ncommitter {_WHO}\n\nx\n"
        head = self.add("commit", text.encode())
        (self.root / ".git/refs/heads/main").write_text(head.hex() + "\n")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "work")


def taken(store: codebatch.Store, root: Path) -> tuple[set[str], dict[str, str]]:
    found = store.snapshot(root, rev="HEAD")
    assert found.taken is not None
    return {f.path for f in found.files}, {s.path: s.reason for s in found.taken.skipped}


def test_names_that_no_file_can_have(made: Made, store: codebatch.Store) -> None:
    blob = made.add("blob", b"x = 1\n")
    folder = made.tree((b"100644", b"ok.py", blob), (b"100644", b"../up.py", blob))
    names = (b"..", b".", b"", b"a/b", b"/etc/passwd", b"n" * 256, b".git", b".GIT", b"\xff.py")
    listed = [(b"100644", name, blob) for name in names]
    listed += [(b"40000", b"d", folder), (b"40000", b"..", folder), (b"40000", b".git", folder)]
    listed += [(b"100644", b"d", blob), (b"100644", b"twice", blob), (b"120000", b"twice", blob)]
    made.commit(made.tree(*listed))
    files, skipped = taken(store, made.root)
    assert files == {"\udcff.py", "d", "twice"}
    assert {skipped[name] for name in ("..", ".", "", "a/b", "/etc/passwd", "n" * 256)} == {
        trees.NO_NAME
    }
    assert skipped[".git"] == skipped[".GIT"] == "git metadata"
    assert skipped["twice"] == skipped["d"] == trees.NAMED_TWICE


@pytest.mark.parametrize("mode", [b"0", b"99", b"abc", b"170000", b"7" * 5000, b"-1", b"+100644"])
def test_modes_that_are_none(made: Made, store: codebatch.Store, mode: bytes) -> None:
    blob = made.add("blob", b"x\n")
    made.commit(made.tree((mode, b"odd", blob), (b"0100755", b"run", blob)))
    files, skipped = taken(store, made.root)
    assert files == {"run"}
    assert skipped == {"odd": "an entry of a mode that is not known"}


def test_entries_that_are_not_what_their_mode_says(made: Made, store: codebatch.Store) -> None:
    blob = made.add("blob", b"x\n")
    inner = made.tree((b"100644", b"a", blob))
    made.commit(made.tree((b"100644", b"file", inner), (b"100644", b"ok", blob)))
    files, skipped = taken(store, made.root)
    assert files == {"ok"}
    assert "damaged" in skipped["file"]
    made.commit(made.tree((b"40000", b"folder", blob)))
    with pytest.raises(NotFetchedError, match="folder is missing"):
        store.snapshot(made.root, rev="HEAD")
    cut = made.add("tree", b"100644 cut\0" + blob[:7])
    made.commit(cut)
    assert taken(store, made.root) == (set(), {"cut": "an entry that is cut"})


def test_content_that_is_not_what_its_name_says(made: Made, store: codebatch.Store) -> None:
    other = hashlib.sha1(b"blob 2\0y\n", usedforsecurity=False).digest()
    made.add("blob", b"x\n", as_name=other)
    made.commit(made.tree((b"100644", b"a.py", other)))
    files, skipped = taken(store, made.root)
    assert not files
    assert list(skipped) == ["a.py"]
    elsewhere = Made(made.root.parent / "good")
    elsewhere.commit(elsewhere.tree((b"100644", b"a.py", elsewhere.add("blob", b"y\n"))))
    (path,) = store.snapshot(elsewhere.root, rev="HEAD").files
    assert store.directory.objects.read(path.object) == b"y\n"


def test_folders_that_nest_without_end(
    made: Made, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    tree = made.tree((b"100644", b"a", made.add("blob", b"x\n")))
    for _ in range(1500):
        tree = made.tree((b"40000", b"d", tree))
    made.commit(tree)
    outcome = main("snapshot", made.root, "--rev", "HEAD", "--store", store.path)
    assert outcome.code == 0, outcome.err
    files, skipped = taken(store, made.root)
    assert not files
    assert set(skipped.values()) == {"nested too deep"}


def test_trees_that_multiply(
    made: Made, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "_MOST_ENTRIES", 5000)
    tree = made.tree((b"100644", b"a", made.add("blob", b"x\n")))
    for _ in range(40):
        tree = made.tree((b"40000", b"a", tree), (b"40000", b"b", tree))
    made.commit(tree)
    with pytest.raises(UsageError, match="more than 5,000 entries"):
        store.snapshot(made.root, rev="HEAD")


def test_objects_that_unpack_to_other_sizes(made: Made, store: codebatch.Store) -> None:
    name = b"\x11" * 20
    bomb = zlib.compress(b"blob 3\0" + bytes(64 * 2**20))
    listed = []
    for number, data in enumerate(
        (bomb, zlib.compress(b"blob 99999999999\0abc"), zlib.compress(b"blob 3\0ab"), b"", b"junk")
    ):
        one = made.put(bytes([number]) + name[1:], data)
        listed.append((b"100644", b"f%d" % number, one))
    made.commit(made.tree(*listed))
    files, skipped = taken(store, made.root)
    assert not files
    assert len(skipped) == len(listed)


def packed(entries: list[bytes], names: list[bytes]) -> tuple[bytes, bytes]:
    """A pack of these entries, and its index."""
    data, offsets = b"PACK" + struct.pack(">LL", 2, len(entries)), []
    for entry in entries:
        offsets.append(len(data))
        data += entry
    data += hashlib.sha1(data, usedforsecurity=False).digest()
    pairs = sorted(zip(names, offsets, strict=True))
    index = b"\xfftOc" + struct.pack(">L", 2)
    index += b"".join(
        struct.pack(">L", sum(name[0] <= byte for name, _ in pairs)) for byte in range(256)
    )
    index += b"".join(name for name, _ in pairs) + bytes(4 * len(pairs))
    index += b"".join(struct.pack(">L", offset) for _, offset in pairs) + data[-20:]
    return data, index + hashlib.sha1(index, usedforsecurity=False).digest()


def number(value: int) -> bytes:
    found = bytearray()
    while True:
        found.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(found)


def entry(kind: int, size: int, base: bytes, data: bytes) -> bytes:
    head = size & 0xF | kind << 4
    rest = number(size >> 4) if size >> 4 else b""
    return bytes([head | (0x80 if rest else 0)]) + rest + base + zlib.compress(data)


def test_deltas_in_circles_and_of_any_size(made: Made, store: codebatch.Store) -> None:
    first, second, third, fourth = (bytes([byte]) * 20 for byte in (1, 2, 3, 4))
    copies = number(2) + number(2**40) + bytes([0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF]) * 1000
    many = number(2) + number(2**23) + bytes([0x90, 2]) * 2**18
    blob = made.add("blob", b"x\n")
    entries = [
        entry(7, 4, second, b"\2\2\x90\2"),
        entry(7, 4, first, b"\2\2\x90\2"),
        entry(7, len(copies), blob, copies),
        entry(7, len(many), blob, many),
    ]
    pack, index = packed(entries, [first, second, third, fourth])
    folder = made.root / ".git/objects/pack"
    folder.mkdir()
    (folder / "pack-1.pack").write_bytes(pack)
    (folder / "pack-1.idx").write_bytes(index)
    (folder / "pack-2.idx").write_bytes(b"\xfftOc\0\0\0\2" + b"\xff" * 2000)
    (folder / "pack-3.idx").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pack-4.idx")
    names = (first, second, third, fourth)
    made.commit(made.tree(*((b"100644", b"f%d" % name[0], name) for name in names)))
    files, skipped = taken(store, made.root)
    assert not files
    assert len(skipped) == 4


@pytest.mark.parametrize(
    "delta",
    [
        b"\xff" * 2**20,  # sizes without end
        number(5) + number(5) + bytes(2**22),  # commands that are none
        number(5) + number(5) + bytes([0x88, 9]) * 2**21,  # pieces from behind the end
    ],
)
def test_deltas_that_take_long_to_read(made: Made, delta: bytes) -> None:
    base, commit = b"\1" * 20, b"\2" * 20
    entries = [entry(3, 5, b"", b"hello"), entry(7, len(delta), base, delta)]
    pack, index = packed(entries, [base, commit])
    folder = made.root / ".git/objects/pack"
    folder.mkdir()
    (folder / "pack-1.pack").write_bytes(pack)
    (folder / "pack-1.idx").write_bytes(index)
    start = time.process_time()
    with open_history(os.fsencode(made.root)) as history:
        assert history.resolve(commit.hex()) is None
    assert time.process_time() - start < 1


def test_trees_whose_paths_multiply(
    made: Made, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_tree, "_MOST_LISTED", 2**20)
    name, blob = b"n" * 200, made.add("blob", b"x\n")
    for mode in (b"100644", b"99"):  # what is taken, and what is skipped
        tree = made.tree(*((mode, b"%d" % n + name, blob) for n in range(30)))
        for count in (30, *[1] * 8):
            tree = made.tree(*((b"40000", b"%d" % n + name, tree) for n in range(count)))
        made.commit(tree)
        with pytest.raises(UsageError, match="more than 1,048,576 bytes of paths"):
            store.snapshot(made.root, rev="HEAD")


def test_an_index_of_folders_in_folders(made: Made, store: codebatch.Store) -> None:
    entries = b""
    for number in range(40):
        path = b"%04d/" % number + b"a/" * 2040 + b"f"
        entries += bytes(26) + b"\x81\xa4" + bytes(12) + b"\3" * 20 + b"\x0f\xff" + path
        entries += bytes(8 - (62 + len(path)) % 8)
    data = b"DIRC" + struct.pack(">LL", 2, 40) + entries + bytes(20)
    (made.root / ".git/index").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(NothingStagedError, match="too many folders in folders"):
            store.snapshot(made.root, staged=True)
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


def test_an_index_with_numbers_without_end(made: Made, store: codebatch.Store) -> None:
    data = b"DIRC" + struct.pack(">LL", 4, 1) + bytes(62) + b"\xff" * 2**20 + bytes(40)
    (made.root / ".git/index").write_bytes(data)
    start = time.process_time()
    with pytest.raises(NothingStagedError, match="a number that is too long"):
        store.snapshot(made.root, staged=True)
    assert time.process_time() - start < 1


# -- damage of any kind --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 30))]
)
def test_damaged_repositories_end_in_errors_or_in_what_is_there(
    tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    dice = random.Random(seed)
    whole = write_tree(
        tmp_path / "whole",
        {f"d{n % 3}/f{n}.py": "".join(f"x{m} = {n}\n" for m in range(40)) for n in range(12)},
    )
    (whole / ".gitattributes").write_text("* text=auto\n")
    git_init(whole, options=("-b", "main"))
    (whole / "d0/f0.py").write_text("changed\n")
    git(whole, "commit", "-q", "-a", "-m", "second")
    if seed % 2:
        git(whole, "gc", "-q", "--prune=now")
    expected = {rev: store.snapshot(whole, rev=rev).id for rev in ("HEAD", "HEAD~1")}
    places = sorted(path for path in (whole / ".git").rglob("*") if path.is_file())
    places = [p for p in places if p.parts[-2] != "hooks" and p.suffix not in (".sample", ".rev")]
    for number_of in range(25):
        root = tmp_path / f"damaged{number_of}"
        shutil.copytree(whole, root, symlinks=True)
        place = root / dice.choice(places).relative_to(whole)
        data = bytearray(place.read_bytes())
        place.chmod(0o644)
        if data and dice.random() < 0.7:
            for _ in range(dice.choice([1, 1, 4])):
                data[dice.randrange(len(data))] = dice.randrange(256)
        else:
            del data[dice.randrange(len(data) + 1) :]
        place.write_bytes(data)
        for options in ({"rev": "HEAD"}, {"rev": "HEAD~1"}, {"staged": True}):
            try:
                found = store.snapshot(root, use_cache=False, **options)  # type: ignore[arg-type]
            except CodeBatchError:
                continue
            assert found.taken is not None
            if "rev" in options and not found.taken.skipped:
                assert found.id in expected.values()
        with suppress(CodeBatchError), open_history(os.fsencode(root)) as history:
            history.tags()
            history.default_branch()
