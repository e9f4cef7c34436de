"""Trees made to break a reader: what can be read is, the rest is listed, within bounds.

Memory and time of a command are measured as the kernel counts them; the bounds are generous,
since they are to catch what grows with the input, not to compare machines.
"""

from __future__ import annotations

import ast
import os
import pty
import re
import select
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Note, Outcome, cli_command, cli_environment, write_tree
from verifier import verify_store

import codebatch
from codebatch.tasks.languages.python.ruff import RuffInput, RuffRun

MB = 2**20


class Measured(NamedTuple):
    """What a process came to, and its largest memory in MB."""

    code: int
    out: str
    err: str
    megabytes: float
    seconds: float


def measure(*arguments: object, timeout: float = 900) -> Measured:
    """Run the command line, and ask the kernel what it took."""
    began = time.monotonic()
    # From a small process: a child starts with the memory of its parent on its account.
    script = (
        "import os, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, check=False)\n"
        "import resource\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "sys.stdout.buffer.write(b'%d %d\\n' % (done.returncode, used) + done.stdout)\n"
        "sys.stderr.buffer.write(done.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *cli_command(*arguments)],
        env=cli_environment(),
        capture_output=True,
        timeout=timeout,
        check=True,
    )
    head, _, out = done.stdout.decode().partition("\n")
    code, used = map(int, head.split())
    return Measured(code, out, done.stderr.decode(), used / 1024, time.monotonic() - began)


def scan_one(name: str, content: bytes, base: Path) -> tuple[Measured, codebatch.Batch]:
    """Scan a tree of one file besides another, which has to come out as always."""
    tree = base / "tree"
    write_tree(tree, {name: content, "plain.py": "import os\n"})
    done = measure("scan", tree, "--store", base / "store", "--scheduler", "sync", "--json")
    assert (done.code, "Traceback" in done.err) == (0, False), done
    batch = codebatch.open_store(base / "store").find_batch("latest")
    codes = [record["code"] for record in batch.records(kind="diagnostic", path="plain.py")]
    assert codes == ["L101"]
    return done, batch


def reasons(batch: codebatch.Batch, name: str) -> set[object]:
    return {record["reason"] for record in batch.records(kind="skip", path=name)}


# -- one file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["one.py", *(pytest.param(n, marks=pytest.mark.slow) for n in ("one.js", "one.txt", "one"))],
)
def test_a_line_of_a_hundred_megabytes(name: str, tmp_path: Path, note: Note) -> None:
    content = b"x = '" + b"a" * (100 * MB) + b"'\n"
    done, batch = scan_one(name, content, tmp_path)
    assert "too large" in reasons(batch, name)
    assert done.megabytes < 250
    assert done.seconds < 60
    note(f"{name}, 100 MB in a line: {done.megabytes:.0f} MB, {done.seconds:.1f} s")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one.py", "one.js", "one.tsx", "one.txt"])
def test_a_line_as_long_as_is_parsed(name: str, tmp_path: Path, note: Note) -> None:
    content = b"x = '" + b"a" * (16 * MB - 10) + b"'\n"
    done, batch = scan_one(name, content, tmp_path)
    assert "too large" not in reasons(batch, name)
    assert done.megabytes < 600
    note(f"{name}, 16 MB in a line: {done.megabytes:.0f} MB, {done.seconds:.1f} s")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense.py", "dense.js"])
def test_the_densest_source(name: str, tmp_path: Path, note: Note) -> None:
    """A tree takes a multiple of its source; SECURITY.md says which."""
    content = b"x=1;" * (MB // 2) + b"x=1\n"
    done, _ = scan_one(name, content, tmp_path)
    assert done.megabytes < 80 + 800 * len(content) / MB
    note(f"{name}, {len(content) / MB:.0f} MB: {done.megabytes:.0f} MB, {done.seconds:.1f} s")


NESTED = {
    "brackets": b"x = " + b"[" * 10_000 + b"]" * 10_000 + b"\n",
    "open": b"x = " + b"(" * 10_000 + b"\n",
    "minus": b"x = " + b"- " * 100_000 + b"1\n",
    "members": b"x = a" + b".b" * 100_000 + b"\n",
    "templates": b"x = " + b"`${" * 10_000 + b"\n",
    "tags": b"x = " + b"<a>" * 10_000 + b"</a>" * 10_000 + b"\n",
    "blocks": b"if (1) {" * 10_000 + b"\n",
    "strings": b"x = " + b"f'{" * 500 + b"\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["py", "js", "ts", "tsx"])
def test_nesting_without_end(suffix: str, tmp_path: Path, note: Note) -> None:
    """Every file has its record, whatever the parser or the linter makes of it."""
    files: dict[str, str | bytes] = {f"{name}.{suffix}": text for name, text in NESTED.items()}
    write_tree(tmp_path / "tree", {**files, "plain.py": "import os\n"})
    store = tmp_path / "store"
    done = measure("scan", tmp_path / "tree", "--store", store, "--scheduler", "sync")
    assert (done.code, "Traceback" in done.err) == (0, False), done
    batch = codebatch.open_store(store).find_batch("latest")
    for name in files:
        kinds = {record["kind"] for record in batch.records(path=name, task="parse")}
        assert kinds & {"ast", "diagnostic"}, name
    assert [r["code"] for r in batch.records(kind="diagnostic", path="plain.py")] == ["L101"]
    verify_store(store)
    assert done.megabytes < 700
    note(f"nesting in {suffix}: {done.megabytes:.0f} MB, {done.seconds:.1f} s")


def test_file_that_ruff_dies_of_takes_no_other_along(tmp_path: Path) -> None:
    """Among many files; the result is that of all files one by one."""
    files = {f"m{number}.py": "import os\n" for number in range(9)}
    dying = {"deep.py": b"x = " + b"-" * 100_000 + b"1\n", "pkg/__init__.py": NESTED["brackets"]}
    write_tree(tmp_path / "tree", {**files, **dying})
    batch, report = codebatch.scan(tmp_path / "tree", tmp_path / "store", scheduler="sync")
    assert report.status == "done"
    found = {r["path"] for r in batch.records(code="L101")}
    assert found == files.keys()
    if sys.version_info >= (3, 12):  # earlier ones parse what ruff dies of
        assert {r["path"] for r in batch.records(code="E0001")} == dying.keys()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="earlier versions of Python parse deeper")
def test_what_ruff_dies_of_python_refuses() -> None:
    """So no findings are lost by a crash, however deep the code."""
    for depth in (80, 180, 900, 2_900, 5_900):
        for text in ("x = " + "-" * depth + "1", "x = a" + ".b" * depth, "x = 1" + "+1" * depth):
            _check_depth(text.encode())


def _check_depth(content: bytes) -> None:
    try:
        ast.parse(content)
    except (MemoryError, RecursionError):
        return
    assert RuffRun([RuffInput(content, "module")], ["--select=F401"]).findings() == [[]]


def test_sparse_file_is_left_out_and_listed(tmp_path: Path, note: Note) -> None:
    tree = write_tree(tmp_path / "tree", {"plain.py": "import os\n"})
    with (tree / "disk.img").open("wb") as stream:
        stream.truncate(20 * 2**30)
    options = ("--store", tmp_path / "store", "--scheduler", "sync")
    done = measure("scan", tree, *options)
    assert done.code == 0
    assert "1 left out" in done.out
    assert done.megabytes < 250
    assert done.seconds < 30
    taken = codebatch.open_store(tmp_path / "store").snapshot(tree).taken
    assert taken is not None
    assert [(f.path, f.reason) for f in taken.skipped] == [
        ("disk.img", "larger than 1073741824 bytes")
    ]
    note(f"20 GiB sparse: {done.megabytes:.0f} MB, {done.seconds:.1f} s")


def test_limit_of_sizes(tmp_path: Path, main: Callable[..., Outcome]) -> None:
    """It is looked at again where the file or the limit changes, with and without a cache."""
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n", "big.py": "y = 1\n" * 1000})
    store = codebatch.open_store(tmp_path / "store", create=True)

    def paths(limit: int | None) -> list[str]:
        return [file.path for file in store.snapshot(tree, max_file_bytes=limit).files]

    old = time.time() - 100
    for _ in range(2):
        for name in ("a.py", "big.py"):
            os.utime(tree / name, (old, old))
        assert paths(1000) == ["a.py"]
        assert paths(6000) == paths(None) == ["a.py", "big.py"]
    (tree / "big.py").write_text("y = 1\n")
    assert paths(1000) == ["a.py", "big.py"]
    (tree / "a.py").write_text("x = 1\n" * 1000)
    assert paths(1000) == ["big.py"]
    for size, number in (("5", 0), ("1k", 1), ("100M", 2), ("none", 2), ("0", 2), ("1.5GiB", 2)):
        done = main("snapshot", tree, "--store", store.path, "--max-file-size", size, "--json")
        assert f'"file_count": {number}' in done.out
    for size in ("", "-1", "1.5.2G", "huge", "1X"):
        done = main("snapshot", tree, "--store", store.path, "--max-file-size", size)
        assert (done.code, "not a size" in done.err) == (2, True)


@pytest.mark.slow
def test_sparse_file_that_is_wanted(tmp_path: Path, note: Note) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "disk").open("wb") as stream:
        stream.truncate(3 * 2**30)
    options = ("--store", tmp_path / "store", "--max-file-size", "0")
    done = measure("scan", tree, *options, "--scheduler", "sync")
    assert done.code == 0, done
    assert done.megabytes < 250
    note(f"3 GiB sparse, taken: {done.megabytes:.0f} MB, {done.seconds:.1f} s")


# -- trees that change ----------------------------------------------------------------------------


def reasons_by_path(snapshot: codebatch.Snapshot) -> dict[str, str]:
    assert snapshot.taken is not None
    return {file.path: file.reason for file in snapshot.taken.skipped}


@pytest.mark.parametrize("fate", ["gone", "link", "file", "another"])
def test_folder_that_changes_while_the_tree_is_walked(
    fate: str, tmp_path: Path, store: codebatch.Store
) -> None:
    """It is never silently missing, and a link in its place never leads out of the tree."""
    outside = write_tree(tmp_path / "outside", {"secret.py": "KEY = 1\n"})
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n", "z/b.py": "y = 1\n"})

    def change(count: int, _: int) -> None:
        if count == 1 and (tree / "z" / "b.py").exists():
            shutil.rmtree(tree / "z")
            if fate == "link":
                (tree / "z").symlink_to(outside)
            elif fate == "file":
                (tree / "z").write_text("x = 1\n")
            elif fate == "another":
                write_tree(tree, {"z/c.py": "y = 2\n"})

    snapshot = store.snapshot(tree, progress=change)
    taken = {file.path for file in snapshot.files}
    assert "z/secret.py" not in taken
    if fate == "another":
        assert taken == {"a.py", "z/c.py"}
    else:
        assert taken == {"a.py"}
        assert "unreadable directory" in reasons_by_path(snapshot)["z"]
    again = {file.path for file in store.snapshot(tree).files}
    assert (
        again
        == {
            "gone": {"a.py"},
            "link": {"a.py", "z"},
            "file": {"a.py", "z"},
            "another": {"a.py", "z/c.py"},
        }[fate]
    )


def test_files_that_change_while_they_are_read(tmp_path: Path) -> None:
    """They are written to all the time; each snapshot is whole, and ends."""
    tree = write_tree(tmp_path / "tree", {f"f{n}.py": "x = 1\n" * 50 for n in range(40)})
    stop = threading.Event()

    def disturb() -> None:
        number = 0
        while not stop.is_set():
            path = tree / f"f{number % 40}.py"
            with path.open("ab") as stream:
                stream.write(b"y = 2\n")
                stream.truncate(max(0, stream.tell() - 3 * (number % 5)))
            if number % 7 == 0:
                path.unlink()
                path.write_bytes(b"z = 3\n" * (number % 90))
            number += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    store = codebatch.open_store(tmp_path / "store", create=True)
    try:
        for _ in range(5):
            snapshot = store.snapshot(tree)
            names = {file.path for file in snapshot.files} | reasons_by_path(snapshot).keys()
            assert len(names) >= 39, "a file is silently missing"
    finally:
        stop.set()
        thread.join()
    verify_store(tmp_path / "store")


def test_file_that_grows_without_end(tmp_path: Path, store: codebatch.Store) -> None:
    """As fast as it is read; the snapshot lists it and goes on."""
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n", "log.txt": "start\n"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "read", lambda _, size: b"x" * size)
        snapshot = store.snapshot(tree)
    assert [file.path for file in snapshot.files] == []
    reason = "unreadable file: it grows while it is read"
    assert reasons_by_path(snapshot) == {"a.py": reason, "log.txt": reason}


def test_everything_that_is_no_file(tmp_path: Path, note: Note) -> None:
    """Loops of links, pipes, sockets and devices are listed, and nothing waits for them."""
    tree = write_tree(tmp_path / "t", {"a.py": "import os\n"})
    (tree / "loop").symlink_to("loop")
    (tree / "up").symlink_to("..")
    (tree / "out").symlink_to("/")
    (tree / "null.py").symlink_to("/dev/zero")
    os.mkfifo(tree / "pipe.py")
    expected = {"pipe.py": "named pipe"}
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            os.chdir(tree)  # the name of a socket must be short
            listener.bind("socket.py")
        finally:
            os.chdir(here)
        expected["socket.py"] = "socket"
        for name, kind, number in (("zero.py", stat.S_IFCHR, 5), ("disk.py", stat.S_IFBLK, 0)):
            try:
                os.mknod(tree / name, 0o600 | kind, os.makedev(1, number))
            except PermissionError:
                note("no right to make devices: not tried")
                continue
            words = {stat.S_IFCHR: "character device", stat.S_IFBLK: "block device"}
            expected[name] = words[kind]
        done = measure("scan", tree, "--store", tmp_path / "s", "--no-ignore")
    assert done.code == 0, done
    snapshot = codebatch.open_store(tmp_path / "s").snapshot(tree, ignore=False)
    assert reasons_by_path(snapshot) == expected
    taken = {file.path: file.mode for file in snapshot.files}
    assert taken.pop("a.py") == "100644"
    assert taken == dict.fromkeys(["loop", "null.py", "out", "up"], "120000")


# -- what a terminal gets -------------------------------------------------------------------------

EVIL = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202eevil\u2066\x7f\x08"
STEERING = re.compile(
    # But for colours, and for rows of progress that are drawn again; clearing a screen is neither.
    r"\x1b(?!\[[0-9;]*m|\[2?K|\[J|\[[0-9]+A|\[\?25[lh])"
    r"|\r(?!\r*\n|[a-z]+: [0-9]|\x1b\[(?:[0-9]+A|2K))"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]|[\u202a-\u202e\u2066-\u2069\u200e\u200f]"
)


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose names, symbols, messages and links hold what steers a terminal."""
    base = tmp_path_factory.mktemp("evil")
    names = [
        EVIL,
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "a..b",
        "...",
        "CON",
        "aux.txt",
        "x.",
        "x ",
        "a:b",
    ]
    files: dict[str, str | bytes] = {f"{name}.py": f"import {'a' * 9}\n" for name in names}
    files["back\\slash.py"] = "x = 1 \n"
    files["n" * 252 + ".py"] = "import os\n"
    files["strings.js"] = f"export const a = '{EVIL!r}';\nexport {{ a as 'x\x1b[31m' }};\n"
    files["broken.py"] = "x = \x1b[2J\n"
    tree = write_tree(base / "tree", files)
    write_tree(Path(os.fsdecode(os.fsencode(tree) + b"/caf\xe9\xff")), {"a.py": "import os \n"})
    (tree / f"link{EVIL}").symlink_to(EVIL)
    os.mkfifo(tree / f"pipe{EVIL}")
    codebatch.scan(tree, base / "store", scheduler="sync")
    (tree / f"new{EVIL}.py").write_text("import sys\n")
    codebatch.scan(tree, base / "store", scheduler="sync")
    return base / "store"


def on_terminal(*arguments: object) -> tuple[int, str]:
    """The exit code of a command whose streams are a terminal, and what it wrote there."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        cli_command(*arguments),
        env=cli_environment(TERM="xterm"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    written = b"".join(_terminal_output(leader, process))
    os.close(leader)
    return process.wait(240), written.decode("utf-8", "surrogateescape")


def _terminal_output(leader: int, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    while True:
        ready, _, _ = select.select([leader], [], [], 0.2)
        if not ready:
            if process.poll() is not None:
                return
            continue
        try:
            data = os.read(leader, 2**16)
        except OSError:
            return
        if not data:
            return
        yield data


ON_TERMINAL = [
    *("files", "errors", "errors --json", "query outputs", "query symbols", "top", "snapshots"),
    *("show latest", "show S", "files --format csv", "files --format md", "files --format jsonl"),
    *("export --format jsonl", "export --format csv --kind diagnostic", "export --format sarif"),
    *("export --format github", "inspect strings.js", "inspect broken.py --at 1", "inspect NAME"),
    *("explain --task lint --file NAME", "diff OTHER B", "regressions OTHER B", "batches"),
    *("inspect missing\x1b[2J", "show \x1b[2J", "status --batch \x1b[2J", "sql SELECT", "summary"),
]


@pytest.mark.sample(14)
@pytest.mark.parametrize("text", ON_TERMINAL)
def test_nothing_steers_a_terminal(text: str, evil: Path) -> None:
    store = codebatch.open_store(evil)
    batches: list[Any] = store.batches()
    names = {
        "NAME": f"{EVIL}.py",
        "S": str(batches[-1]["snapshot_id"]),
        "B": str(batches[-1]["batch_id"]),
        "OTHER": str(batches[0]["batch_id"]),
        "SELECT": "SELECT path, kind FROM records",
    }
    code, written = on_terminal(
        *(names.get(word, word) for word in text.split(" ")), "--store", evil
    )
    assert code in (0, 2, 4)
    assert "Traceback" not in written
    assert not STEERING.search(written), repr(STEERING.search(written))


def test_scan_on_a_terminal(evil: Path, tmp_path: Path) -> None:
    code, written = on_terminal("scan", evil.parent / "tree", "--store", tmp_path / "s")
    assert code == 0
    assert not STEERING.search(written), repr(STEERING.search(written))
