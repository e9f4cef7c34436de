"""The door of a store: one contract, by the kernel's own call and folder by folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from codebatch import CodeBatchError
from codebatch.store import door as doors
from codebatch.store import openat
from codebatch.store.door import Door
from codebatch.store.files import append_line, create_file, link_file, remove_file, write_file
from codebatch.store.removal import remove_tree
from codebatch.store.write_group import WriteGroup


@pytest.fixture(params=["kernel", "walk"])
def door(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    """A door to a store with a file and folders, reached through a link; beside it, `outside`."""
    kernel = openat.kernel_open()
    if request.param == "kernel" and kernel is None:
        pytest.skip("this kernel has no openat2, or a sandbox refuses it")
    chosen = kernel if request.param == "kernel" else None
    monkeypatch.setattr(openat, "_kernel_open", lambda: chosen)
    (tmp_path / "real" / "a" / "b").mkdir(parents=True)
    (tmp_path / "real" / "a" / "b" / "file").write_bytes(b"content")
    (tmp_path / "outside" / "b").mkdir(parents=True)
    (tmp_path / "outside" / "b" / "file").write_bytes(b"outside")
    (tmp_path / "store").symlink_to("real")
    return Door(str(tmp_path / "store"))


def outside(door: Door) -> dict[str, bytes]:
    root = Path(door.root).parent / "outside"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def lead_out(door: Door, place: str) -> None:
    path = Path(door.root) / place
    path.rename(path.with_name("moved"))
    target = {"a": "../outside", "a/b": "../../outside/b", "a/b/file": "../../../outside/b/file"}
    path.symlink_to(target[place])


def test_what_is_there(door: Door) -> None:
    root = Path(door.root)
    assert door.read(root / "a/b/file", 7) == b"content"
    assert door.names(root / "a") == ["b"]
    assert door.names(root / "absent") == []
    assert door.is_file(root / "a/b/file")
    assert door.is_folder(root / "a/b")
    assert not door.is_there(root / "a/b/absent")
    with pytest.raises(FileNotFoundError):
        door.read(root / "a/absent/file", 7)
    with pytest.raises(NotADirectoryError):
        door.read(root / "a/b/file/below", 7)


def test_what_is_written(door: Door) -> None:
    root = Path(door.root)
    write_file(door, root / "new/folder/file", b"data", durable=False)
    assert (root / "new/folder/file").read_bytes() == b"data"
    assert create_file(door, root / "new/folder/file") is None
    append_line(door, root / "new/lines", b"one")
    append_line(door, root / "new/lines", b"two")
    assert (root / "new/lines").read_bytes() == b"one\ntwo\n"
    link_file(door, root / "new/lines", root / "other/lines")
    assert (root / "other/lines").stat().st_nlink == 2
    with pytest.raises(CodeBatchError):
        append_line(door, root / "other/lines", b"elsewhere as well")
    link_file(door, root / "new/folder/file", root / "other/lines")
    assert (root / "other/lines").read_bytes() == b"data"
    assert os.listdir(root / "other") == ["lines"]
    remove_file(door, root / "new/lines")
    remove_file(door, root / "new/lines")
    remove_tree(door, root / "new")
    assert sorted(os.listdir(root)) == ["a", "other"]


ACTS: dict[str, Callable[[Door, Path], object]] = {
    "read": lambda door, root: door.read(root / "a/b/file", 100),
    "stream": lambda door, root: door.stream(root / "a/b/file").__enter__(),
    "list": lambda door, root: door.names(root / "a/b"),
    "write": lambda door, root: write_file(door, root / "a/b/file", b"new", durable=False),
    "create": lambda door, root: create_file(door, root / "a/b/new"),
    "append": lambda door, root: append_line(door, root / "a/b/file", b"line"),
    "link": lambda door, root: link_file(door, root / "a/b/file", root / "other"),
    "touch": lambda door, root: door.touch(root / "a/b/file"),
    "remove": lambda door, root: remove_file(door, root / "a/b/file"),
    "remove a tree": lambda door, root: remove_tree(door, root / "a/b"),
}
MAY_REPLACE = {"write", "touch", "remove"}  # a link in the place of a file, itself


@pytest.mark.parametrize("place", ["a", "a/b", "a/b/file"])
@pytest.mark.parametrize("act", ACTS)
def test_a_link_is_followed_by_nothing(door: Door, act: str, place: str) -> None:
    lead_out(door, place)
    before = outside(door)
    last = place == "a/b/file"
    if last and (act in MAY_REPLACE or act in ("list", "create", "remove a tree")):
        ACTS[act](door, Path(door.root))
    else:
        with pytest.raises(CodeBatchError) as refused:
            ACTS[act](door, Path(door.root))
        assert place in str(refused.value)
        assert refused.value.exit_code == 4
    assert outside(door) == before
    assert not door.is_file(Path(door.root) / "a/b/file") or (last and act == "write")


def test_a_link_that_is_put_in_the_way_of_a_group(door: Door) -> None:
    def write() -> None:
        with WriteGroup(door, durable=False) as group:
            group.add(f"{door.root}/a/b/new", b"data", above=door.root)
            lead_out(door, "a/b")

    before = outside(door)
    with pytest.raises(CodeBatchError, match="a/b in the store is a symbolic link"):
        write()
    assert outside(door) == before
    assert not list(Path(door.root).rglob("new"))
    assert not list(Path(door.root).rglob(".tmp-*"))


def test_folders_that_are_removed_meanwhile_are_made_again(door: Door) -> None:
    with WriteGroup(door, durable=False) as group:
        group.add(f"{door.root}/a/b/new/one", b"data", above=door.root)
        remove_tree(door, Path(door.root) / "a")
    assert (Path(door.root) / "a/b/new/one").read_bytes() == b"data"


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
@pytest.mark.parametrize("act", ["read", "stream", "append"])
def test_only_files_are_opened(door: Door, act: str, kind: str) -> None:
    path = Path(door.root) / "a" / "b" / "file"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            folder = os.open(path.parent, os.O_RDONLY)
            bound.bind(f"/proc/self/fd/{folder}/file")
            os.close(folder)
    with pytest.raises(CodeBatchError, match="a/b/file in the store is"):
        ACTS[act](door, Path(door.root))


def test_no_more_is_read_than_may_be(door: Door) -> None:
    path = Path(door.root) / "a" / "b" / "file"
    with path.open("wb") as stream:
        stream.truncate(8 * 2**30)
    with pytest.raises(CodeBatchError, match="8589934592 bytes"):
        door.read(path, 2**20)


def test_a_tree_of_any_depth_is_removed_with_links_in_it(door: Door) -> None:
    root = Path(door.root)
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=descriptor)
        os.symlink(root.parent / "outside", "link", dir_fd=descriptor)
        below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    before = outside(door)
    remove_tree(door, root / "deep")
    assert outside(door) == before
    assert sorted(os.listdir(root)) == ["a", "link"]


@pytest.mark.parametrize("path", ["../outside/b/file", "a/../../outside/b/file", "a/b/fi\0le"])
def test_a_path_that_is_not_below_the_store(door: Door, path: str) -> None:
    with pytest.raises(ValueError, match="not below"):
        door.read(f"{door.root}/{path}", 100)


def test_what_stands_there_is_named() -> None:
    assert "a/b in the store is a socket" in doors.misplaced("a/b", "socket").message
