"""What a ``.git`` can name: programs, remotes, files elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from codebatch.maintenance.self_test.vector import Command, Plant, Result, Scene, Vector

KIND = "git"

_SNAPSHOT = Command("snapshot {tree} --store {store} --no-cache --json")
_CORE = "[core]\n\trepositoryformatversion = {version}\n\tbare = false\n"
_SKIP_WORKTREE = 0x4000
# Ignores what no vector may let be ignored.
_HIDING = "a.py\npkg\n"


def plant_repository(
    scene: Scene, text: str = "", folder: str = "tree/.git", *, version: int = 0
) -> None:
    """Plant a repository with this configuration; ``{program}`` in it leaves a marker."""
    program = scene.write(
        "tree/program", f"#!/bin/sh\n{scene.shell_marker('program')}\n", mode=0o755
    )
    core = _CORE.replace("{version}", str(version))
    scene.write(f"{folder}/config", core + text.replace("{program}", str(program)))
    scene.write(f"{folder}/HEAD", "ref: refs/heads/main\n")
    for name in ("objects/info", "objects/pack", "refs/heads", "info"):
        (scene.root / folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman"):
        text = f"#!/bin/sh\n{scene.shell_marker(name)}\n"
        scene.write(f"{folder}/hooks/{name}", text, mode=0o755)


def _index(paths: Iterable[str], *, flags: int = 0) -> bytes:
    """Return an index of version 3 with these paths; their objects are nowhere."""
    entries = b""
    for path in sorted(paths):
        name = path.encode()
        status = struct.pack(">10L", *(0,) * 6, 0o100644, 0, 0, 0)
        entry = status + b"\x11" * 20 + struct.pack(">HH", 0x4000 | len(name), flags) + name
        entries += entry + b"\0" * (8 - len(entry) % 8)
    data = struct.pack(">4sLL", b"DIRC", 3, len(list(paths))) + entries
    return data + hashlib.sha1(data, usedforsecurity=False).digest()


def _nothing_hidden(_: Scene, results: Sequence[Result]) -> Iterator[str]:
    """The tree's own files are taken, whatever a file outside would have ignored."""
    for result in results:
        document = json.loads(result.output) if result.code == 0 else {"skipped": []}
        skipped = {file["path"] for file in document["skipped"]}
        if skipped & {"a.py", "pkg", "pkg/b.py"}:
            yield f"a file outside decided what is ignored: {sorted(skipped)}"


def _configured(name: str, text: str, *, version: int = 0) -> Vector:
    """Return the vector of a repository with this configuration, and with an ignore file that
    is not in the work tree and has to be fetched.
    """

    def plant(scene: Scene) -> None:
        plant_repository(scene, text.replace("{elsewhere}", _elsewhere(scene)), version=version)
        scene.write("tree/.gitattributes", "* filter=run diff=run merge=run\n")
        paths = [".gitignore", "pkg/.gitignore", "pkg/b.py"]
        scene.write("tree/.git/index", _index(paths, flags=_SKIP_WORKTREE))

    return _vector(name, plant)


def _vector(name: str, plant: Plant, command: Command = _SNAPSHOT) -> Vector:
    return Vector(KIND, name, plant, (command,), check=_nothing_hidden)


def _elsewhere(scene: Scene) -> str:
    """Plant an ignore file outside of the tree that would hide files; return where."""
    return str(scene.write("elsewhere/ignore", _HIDING))


def _promisor(remote: str) -> str:
    return (
        "[extensions]\n\tpartialClone = origin\n[core]\n\tsshCommand = {program}\n"
        f'[remote "origin"]\n\tpromisor = true\n\tpartialclonefilter = blob:none\n{remote}'
    )


def _foreign_folder(scene: Scene) -> Path:
    """Plant a repository outside of the tree whose rules would hide files."""
    plant_repository(scene, folder="elsewhere/repository/.git")
    scene.write("elsewhere/repository/.git/info/exclude", _HIDING)
    return scene.root / "elsewhere/repository/.git"


def _file_that_names(scene: Scene) -> None:
    scene.write("tree/.git", f"gitdir: {_foreign_folder(scene)}\n")


def _file_that_names_relatively(scene: Scene) -> None:
    _foreign_folder(scene)
    scene.write("tree/pkg/.git", "gitdir: ../../elsewhere/repository/.git\n")
    scene.write("tree/.git", "gitdir: pkg/../../elsewhere/repository/.git\n")


def _worktree_of_another(scene: Scene) -> None:
    """The folder is a linked worktree's, but not this one's."""
    folder = _foreign_folder(scene)
    scene.write("elsewhere/repository/.git/worktrees/w/HEAD", "ref: refs/heads/main\n")
    scene.write("elsewhere/repository/.git/worktrees/w/commondir", "../..\n")
    scene.write("elsewhere/repository/.git/worktrees/w/gitdir", "/nowhere/else/.git\n")
    scene.write("tree/.git", f"gitdir: {folder}/worktrees/w\n")


def _common_folder(scene: Scene) -> None:
    plant_repository(scene)
    scene.write("tree/.git/commondir", f"{_foreign_folder(scene)}\n")


def _link(path: str, target: str, scene: Scene) -> None:
    """Replace a part of the repository by a link out of the tree."""
    plant_repository(scene)
    _foreign_folder(scene)
    place = scene.root / path
    if place.is_dir():
        os.rename(place, scene.root / "aside")
    place.unlink(missing_ok=True)
    place.symlink_to(scene.root / target)


def _alternates(scene: Scene) -> None:
    """The ignore file that is not in the work tree is in another repository's objects."""
    plant_repository(scene, "[core]\n\tsparseCheckout = true\n")
    folder = _foreign_folder(scene)
    scene.write("tree/.git/objects/info/alternates", f"{folder}/objects\n")
    scene.write("tree/.git/index", _index([".gitignore"], flags=_SKIP_WORKTREE))
    scene.write(f"elsewhere/repository/.git/objects/{'11'}/{'11' * 19}", b"blob")


def _bare(scene: Scene) -> None:
    text = "[core]\n\tbare = true\n\tworktree = ..\n\tfsmonitor = {program}\n"
    plant_repository(
        scene, text + _promisor("\turl = ext::{program}\n"), folder="tree/pkg/bare.git"
    )
    scene.write("tree/pkg/bare.git/info/exclude", _HIDING)
    scene.write("tree/pkg/bare.git/index", _index([".gitignore"], flags=_SKIP_WORKTREE))


def _tree_is_bare(scene: Scene) -> None:
    text = "[core]\n\tworktree = {elsewhere}\n\tfsmonitor = {program}\n"
    plant_repository(scene, text.replace("{elsewhere}", str(scene.outside)), folder="tree")
    scene.write("tree/index", _index(["canary.py"]))


def _nested(scene: Scene) -> None:
    plant_repository(scene)
    text = _promisor("\turl = ext::{program}\n")
    plant_repository(scene, text, folder="tree/pkg/.git", version=1)
    scene.write("tree/pkg/.git/index", _index([".gitignore"], flags=_SKIP_WORKTREE))


VECTORS: tuple[Vector, ...] = (
    *(
        _configured(name, text)
        for name, text in {
            "core.fsmonitor": "[core]\n\tfsmonitor = {program}\n",
            "core.hooksPath": "[core]\n\thooksPath = hooks\n\tfsmonitor = true\n",
            "core.pager": "[core]\n\tpager = {program}\n\teditor = {program}\n",
            "filters": '[filter "run"]\n\tclean = {program}\n\tprocess = {program}\n',
            "diff.external": "[diff]\n\texternal = {program}\n",
            "credential.helper": "[credential]\n\thelper = !{program}\n",
            "alias": '[alias]\n\tls-files = "!{program}"\n',
            "core.excludesFile elsewhere": "[core]\n\texcludesFile = {elsewhere}\n",
            "core.excludesFile above": "[core]\n\texcludesFile = ../elsewhere/ignore\n",
            "core.attributesFile": "[core]\n\tattributesFile = {elsewhere}\n",
            "core.worktree": "[core]\n\tworktree = {elsewhere}/..\n",
            "an endless include": "[include]\n\tpath = config\n",
        }.items()
    ),
    *(
        _configured(f"a promisor remote: {name}", _promisor(remote), version=1)
        for name, remote in {
            "ext::": "\turl = ext::{program}\n",
            "uploadpack": "\turl = .\n\tuploadpack = {program}\n",
            "ssh": "\turl = ssh://localhost/x\n",
            "vcs": "\turl = x\n\tvcs = {program}\n",
        }.items()
    ),
    _vector("a .git file names a repository elsewhere", _file_that_names),
    _vector("a .git file leads up", _file_that_names_relatively),
    _vector("a .git file names another worktree", _worktree_of_another),
    _vector("commondir leads elsewhere", _common_folder),
    _vector("objects are borrowed", _alternates),
    _vector("a bare repository with a work tree", _bare),
    _vector("the tree is a bare repository", _tree_is_bare),
    _vector("a nested repository with a promisor remote", _nested),
    *(
        _vector(f"{path} is a link", partial(_link, path, target))
        for path, target in {
            "tree/.git": "elsewhere/repository/.git",
            "tree/.git/info": "elsewhere/repository/.git/info",
            "tree/.git/info/exclude": "elsewhere/repository/.git/info/exclude",
            "tree/.git/objects": "outside",
            "tree/.gitignore": "elsewhere/repository/.git/info/exclude",
            "tree/.codebatchignore": "elsewhere/repository/.git/info/exclude",
            "tree/.git/config": "outside/canary.py",
            "tree/.git/HEAD": "outside/canary.py",
            "tree/.git/index": "outside/canary.py",
        }.items()
    ),
)
