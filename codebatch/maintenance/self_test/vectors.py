"""The vectors, kind by kind: a name, the files that are planted, and the commands that meet them.

To add one, add a line to a table of its kind; those of git are in `git_metadata`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from codebatch.maintenance.self_test.git_metadata import GIT, Files, repository
from codebatch.maintenance.self_test.scene import (
    DONE,
    REFUSED,
    Command,
    Content,
    Scene,
    Vector,
    commands,
    link,
    pipe,
    repeated,
    socket_at,
    sparse,
)
from codebatch.store.objects.compression import with_checksum, zstd

_SCAN = commands("scan {tree}", codes=DONE)
_SNAPSHOT = commands("snapshot {tree}", codes=DONE)

# -- programs: code of the tree that would run where Python or a program is started beside it ----

# What Python imports when it starts, what is imported late, and what Dask imports.
_MODULES = (
    *("json", "click", "msgpack", "resource", "selectors", "site", "sitecustomize", "struct"),
    *("usercustomize", "__future__", "typing", "ruff", "tree_sitter", "filelock", "yaml"),
)
_PACKAGES = ("codebatch", "dask", "distributed", "encodings", "multiprocessing", "numpy", "tornado")
_PROGRAMS = ("ruff", "oxlint", "git", "sh", "python", "python3", "npm", "ldd")
_AS_MODULE = ("-m", "codebatch")
_RELATIVE_PATH = {"PATH": ".::bin:{tree}:{tree}/bin:/usr/bin:/bin"}


def _planted_program(
    name: str,
    files: Iterable[str],
    environment: Mapping[str, str] | None = None,
    start: Sequence[str] | None = None,
    words: str = "scan {tree} --store {store}",
    beside: Mapping[str, Content] | None = None,
    codes: frozenset[int] = DONE,
) -> Vector:
    """Return the vector of files that leave a marker, which are Python or else programs."""
    planted: dict[str, Content] = dict(beside or {})
    for file in files:
        marker = f"{{root}}/markers/{file.replace('/', '-')}"
        code = f"open({marker!r}, 'w').close()\n"
        texts = {".py": code, ".pth": f"import sys; {code}"}
        planted[f"tree/{file}"] = texts.get(Path(file).suffix, f"#!/bin/sh\n: > '{marker}'\n")
    return Vector("programs", name, planted, (Command(words, codes, environment or {}, start),))


_ALL = [f"{name}.py" for name in _MODULES]
_ALL_PACKAGES = [f"{name}/__init__.py" for name in _PACKAGES]
_ALL_PROGRAMS = [*_PROGRAMS, *(f"bin/{name}" for name in _PROGRAMS)]

# What offers a task, or names one, without the user having named a file.
_OFFERED = {
    "tree/planted-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n",
    "tree/planted-1.0.dist-info/entry_points.txt": "[codebatch.tasks]\nplanted = planted:task\n",
    "tree/pipeline.json": '{"name": "p", "tasks": [{"id": "t", "task": "planted:task"}]}\n',
}
_TASKS = {
    "a task that a folder in the tree offers": "--task planted",
    "a module of the current folder that is named as a task": "--task planted:task",
    "a pipeline of the tree that names a module of it": "--pipeline {tree}/pipeline.json",
}

PROGRAMS = (
    *(
        _planted_program(
            name,
            ["planted.py"],
            words=f"scan {{tree}} --store {{store}} {words}",
            beside=_OFFERED,
            codes=REFUSED,
        )
        for name, words in _TASKS.items()
    ),
    *(_planted_program(f"a module {name} in the tree", [f"{name}.py"]) for name in _MODULES),
    *(
        _planted_program(f"a package {name} in the tree", [f"{name}/__init__.py"])
        for name in _PACKAGES
    ),
    _planted_program("modules beside python -m codebatch", _ALL, start=_AS_MODULE),
    _planted_program(
        "all of it beside python -I -m", _ALL + _ALL_PACKAGES, start=("-I", *_AS_MODULE)
    ),
    _planted_program("a startup file", ["start.py"], {"PYTHONSTARTUP": "start.py"}, _AS_MODULE),
    *(
        _planted_program(f"PYTHONPATH has {what}", ["json.py"], {"PYTHONPATH": path}, _AS_MODULE)
        for what, path in {"the current folder": ".", "an empty entry": ":"}.items()
    ),
    _planted_program("PATH has the tree", _ALL_PROGRAMS, _RELATIVE_PATH),
    _planted_program(
        "PATH has the tree, diagnose", _ALL_PROGRAMS, _RELATIVE_PATH, words="diagnose"
    ),
    _planted_program(
        "a package folder of the tree", ["ruff-99.0.dist-info/RECORD", "a.pth", "bin/ruff"]
    ),
)


# -- links: links inside a store that lead out of it ---------------------------------------------

_FOLDERS = (
    *("objects", "objects/sha256", "objects/packs", "snapshots", "snapshots/{snapshot}", "batches"),
    *("batches/{batch}", "batches/{batch}/tasks", "batches/{batch}/tasks/lint/shards"),
    *("leases", "leases/{batch}", "indexes", "indexes/stat", "indexes/shards", "indexes/memo"),
    *("indexes/quarantine", "indexes/totals", "indexes/sql"),
    "indexes/columns",
)
_FILES = (
    *("store.json", "maintenance.lock", "maintenance.json", "snapshots/{snapshot}/snapshot.json"),
    *("batches/{batch}/plan.json", "batches/{batch}/batch.json", "batches/{batch}/events.jsonl"),
)
_TARGETS = dict.fromkeys(_FOLDERS, "outside") | dict.fromkeys(_FILES, "outside/folder/canary.txt")

LINKS = tuple(
    Vector(
        "links",
        f"{path} is a link",
        {f"store/{path}": link(target)},
        commands("scan {tree}", "gc --grace 0", "verify --repair"),
    )
    for path, target in _TARGETS.items()
)


# -- blocking: pipes and devices in place of files, patterns without end: nothing may wait -------

_PIPES = (
    *("tree/.gitignore", "tree/.codebatchignore", "tree/pkg/.gitignore"),
    *("tree/.git", "tree/pkg/.git", "tree/store.json", "tree/pkg/store.json"),
)
_PIPES_OF_GIT = (
    *("tree/.git/HEAD", "tree/.git/config", "tree/.git/index", "tree/.git/commondir"),
    *("tree/.git/info", "tree/.git/info/exclude", "tree/.git/objects"),
    *("home/.gitconfig", "home/.config/git/config", "home/.config/git/ignore"),
)
_PIPES_OF_STORE = (
    *("store.json", "maintenance.lock", "maintenance.json", "leases", "indexes/totals"),
    *("snapshots/{snapshot}/snapshot.json", "snapshots/{snapshot}/files.index.jsonl"),
    *("batches/{batch}/batch.json", "batches/{batch}/plan.json", "objects/sha256"),
    *("batches/{batch}/events.jsonl", "batches/{batch}/inputs.index.jsonl"),
)
_LONG_NAMES: Files = {f"tree/names/{'a' * 200}{number}": "" for number in range(100)}
_IN_TREE: dict[str, Files] = {
    **{f"{path} is a pipe": {path: pipe} for path in _PIPES},
    **{f"{path} is a pipe": {**repository(), path: pipe} for path in _PIPES_OF_GIT},
    "an ignore file is a socket": {"tree/.gitignore": socket_at},
    "an ignore file leads to an endless device": {"tree/.gitignore": link("/dev/zero")},
    **{
        name: {**repository(), "pipe": pipe, "home/.gitconfig": text}
        for name, text in {
            "the user's excludes are a pipe": "[core]\n\texcludesFile = {root}/pipe\n",
            "the user's configuration includes a pipe": "[include]\n\tpath = {root}/pipe\n",
        }.items()
    },
    **{
        f"{name} names a pipe": {"tree/pipe": pipe, **repository(text)}
        for name, text in {
            "core.excludesFile": "[core]\n\texcludesFile = pipe\n",
            "include.path": "[include]\n\tpath = ../pipe\n",
        }.items()
    },
    **{
        f"{path} has 8 GiB": {**repository(), path: sparse}
        for path in ("tree/.gitignore", "tree/.git/index", "tree/.git/config", "tree/.git/HEAD")
    },
    **{
        name: {**(repository() if in_git else {}), "tree/.gitignore": text, **_LONG_NAMES}
        for name, in_git, text in (
            ("a pattern of stars", False, "a*" * 12 + "Z\n"),
            ("a pattern of many stars", True, "*a" * 2000 + "Z\n"),
            ("a pattern of double stars", True, "/**/a" * 400 + "Z\n"),
            ("300,000 names", False, repeated("nameN\n", 300_000)),
            ("300,000 patterns", True, repeated("aN*?Z\n", 300_000)),
            ("300,000 patterns that begin with a star", False, repeated("*aN*Z\n", 300_000)),
            ("300,000 classes", False, repeated("[ab]*[cd]N\n", 300_000)),
        )
    },
}
_ON_STORE = commands("summary --batch {batch}", "resume --batch {batch}", "gc", "verify --repair")

BLOCKING = (
    *(Vector("blocking", name, files, _SNAPSHOT) for name, files in _IN_TREE.items()),
    *(
        Vector("blocking", f"{path} of the store is a pipe", {f"store/{path}": pipe}, _ON_STORE)
        for path in _PIPES_OF_STORE
    ),
)


# -- sizes: sparse files, bombs, sources that cost a parser too much -----------------------------

_SOURCES = {
    "zeros.py": ("[0,0],", 2_500_000),
    "terms.py": ("a+", 8_000_000),
    "lambdas.py": ("lambda:", 160_000),
    "open.js": ("[", 16_000_000),
    "spaces.txt": ("  \n", 5_000_000),
}
_STORED_OUTPUTS = "batches/{batch}/tasks/lint/shards/*/outputs.index.jsonl.zst"
_STORED = (
    *("store.json", "snapshots/{snapshot}/snapshot.json", "snapshots/{snapshot}/files.index.jsonl"),
    *("batches/{batch}/batch.json", "batches/{batch}/plan.json", "batches/{batch}/events.jsonl"),
    *("batches/{batch}/inputs.index.jsonl", "batches/{batch}/tasks/lint/task.json"),
    "batches/{batch}/tasks/lint/shards/*/state.json",
    _STORED_OUTPUTS,
    *("objects/sha256/*/*/*", "indexes/stat/*", "indexes/memo/*/*"),
)


def _bomb(_: Scene, place: Path) -> None:
    """Put a frame there that unpacks to 4 GiB."""
    compressor = zstd.ZstdCompressor(level=1)
    portion = bytes(2**24)
    frame = b"".join([compressor.compress(portion) for _ in range(256)] + [compressor.flush()])
    place.write_bytes(with_checksum(frame))


def _bomb_of_object(scene: Scene, place: Path) -> None:
    """Put such a frame in the place of the object of a file."""
    digest = hashlib.sha256((scene.root / "tree/a.py").read_bytes()).hexdigest()
    stored = place.parent / digest[:2] / digest[2:4] / digest
    stored.unlink(missing_ok=True)
    _bomb(scene, stored.with_name(f"{digest}.zst"))


def _memo(_: Scene, place: Path) -> None:
    """Put 128 MB of empty lists in the place of each memo."""
    unpacked = b"\xdd" + (2**27 - 5).to_bytes(4, "big") + b"\x90" * (2**27 - 5)
    data = zstd.compress(unpacked)
    for folder in place.parents[1].iterdir():
        for memo in folder.iterdir():
            memo.unlink()
        (folder / f"{hashlib.sha256(data).hexdigest()}.memo").write_bytes(data)


SIZES = (
    *(
        Vector(
            "sizes",
            f"{name} of {count} times {unit!r}",
            {f"tree/{name}": repeated(unit, count)},
            _SCAN,
        )
        for name, (unit, count) in _SOURCES.items()
    ),
    *(
        Vector(
            "sizes",
            f"{path} has 8 GiB",
            {f"store/{path}": sparse},
            commands("status --batch {batch}", "errors --batch {batch}", "verify", "gc"),
        )
        for path in _STORED
    ),
    Vector(
        "sizes",
        "an object unpacks to 4 GiB",
        {"store/objects/sha256/bomb": _bomb_of_object},
        commands("inspect a.py --batch {batch}", "verify --read-data", "run --batch {batch}"),
    ),
    Vector(
        "sizes",
        "outputs unpack to 4 GiB",
        {f"store/{_STORED_OUTPUTS}": _bomb},
        commands(
            "errors --batch {batch}", "verify --read-data", "gc --dry-run", "run --batch {batch}"
        ),
    ),
    Vector(
        "sizes",
        "a memo of empty lists",
        {
            "store/indexes/memo/*/*": _memo,
            **{f"tree/{name}.py": "x = 1\n" for name in ("a", "pkg/__init__", "pkg/b")},
        },
        _SCAN,
    ),
)


# -- swaps: folders that become links while they are walked --------------------------------------


@contextlib.contextmanager
def _swapping(scene: Scene) -> Iterator[None]:
    """Exchange the folder for a link to the one outside, again and again."""
    stop = threading.Event()
    folder, link, aside = (scene.root / name for name in ("tree/swapped", "link", "aside"))

    def swap() -> None:
        while not stop.is_set():
            os.rename(folder, aside)
            os.rename(link, folder)
            os.rename(folder, link)
            os.rename(aside, folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


_SWAPPED = [f"tree/swapped/canary{number}.py" for number in ("", *range(50))]

SWAPS = (
    Vector(
        "swaps",
        "a folder is swapped for a link",
        {**dict.fromkeys(_SWAPPED, "x = 1\n"), "link": link("outside")},
        commands("snapshot {tree} --no-cache", codes=DONE) * 5,
        meanwhile=_swapping,
    ),
)

VECTORS: tuple[Vector, ...] = (*PROGRAMS, *GIT, *LINKS, *BLOCKING, *SIZES, *SWAPS)
