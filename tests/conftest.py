"""Source trees, stores and the command line, as the tests of every module use them."""

from __future__ import annotations

import dataclasses
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from sampling import (  # noqa: F401 - hooks
    ALL,
    pytest_collection_modifyitems,
    pytest_report_header,
)

import codebatch
from codebatch.maintenance.self_test import Laboratory
from codebatch.store import open_store
from codebatch.store.objects.compression import compress, open_frame, with_checksum
from codebatch.tasks import registry

if TYPE_CHECKING:
    from browsers import Browser

REPOSITORY = Path(__file__).parent.parent

settings.register_profile(
    "codebatch",
    max_examples=100 if ALL else 50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("codebatch")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Whoever started pytest has it ignored, as shells do in the background, and so would each
    # command that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Spare each collection of garbage the thousands of tests, which live as long as pytest."""
    gc.collect()
    gc.freeze()


MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 * 2**30


def has_room(folder: Path) -> bool:
    """Return whether files, programs among them, can be written there, and many."""
    if not os.access(folder, os.W_OK):
        return False
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize >= ROOM_BYTES and not system.f_flag & os.ST_NOEXEC


if not {"TMPDIR", "PYTEST_DEBUG_TEMPROOT"} & set(os.environ) and has_room(MEMORY):
    # Each store is synced many times, and on a disk that is most of what tests wait for.
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # pytest has asked for it before

LONG_LINE = "x = " + "1 + " * 40 + "1"
TREE: dict[str, str | bytes] = {
    "README.md": "# Sample\n\nA hard break  \nand a line.\n",
    "LICENSE": "Do as you like.\n",
    "pkg/__init__.py": "from pkg.cart import Cart\n",
    "pkg/cart.py": (
        '"""A cart."""\nimport os\nimport sys\n\n\nclass Cart:\n    def add(self, item):\n'
        "        def price(list):\n            unused = 1\n            return sum(list)\n"
        "        if item and sys.argv:\n            return price([item])\n        return None\n"
    ),
    "pkg/broken.py": "def broken(:\n    pass\n",
    "pkg/style.py": f"a = 1   \n{LONG_LINE}\n\n\n\n\nb = 2",
    "pkg/latin.py": "# -*- coding: latin-1 -*-\nname = 'h\u00f6he'\n".encode("latin-1"),
    "pkg/empty.py": "",
    "pkg/copy_a.py": "def same():\n    return 1\n",
    "pkg/copy_b.py": "def same():\n    return 1\n",
    "web/app.js": "import unused from './x.js';\nexport function f(a) {\n  return a ? 1 : 2;\n}\n",
    "web/view.tsx": "export const View = (p: { n: number }) => <b onClick={() => 1}>{p.n}</b>;\n",
    "web/types.ts": "export interface Item { id: number }\nexport class Box<T> { v?: T }\n",
    "web/bad.ts": "export function ( { ;\n",
    "data/config.json": '{"a": [1, 2, 3]}\n',
    "data/logo.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "data/table": b"\0\1\2\3" * 64,
    "bin/run": "#!/usr/bin/env python3\nimport json\nprint('hi')\n",
    "d\u00e9j\u00e0/na\u00efve \u540d.py": "value = 1\n",
}


def damage_object(root: Path, digest: str) -> None:
    """Change a byte of an object of a store, wherever it is."""
    objects = open_store(root).objects
    packed = objects.packs.find(digest.removeprefix("sha256:"))
    if packed is None:
        path, place = root / "objects/sha256" / str(objects.location(digest)), 0
    else:
        path, place = root / f"objects/packs/{packed.pack}.pack", packed.offset
    data = bytearray(path.read_bytes())
    data[place + (packed.size if packed else len(data)) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below ``root``, text as UTF-8."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def read_outputs(path: Path) -> bytes:
    """The records in a file of outputs."""
    return open_frame(path.read_bytes(), 2**30)


def write_outputs(path: Path, records: bytes) -> None:
    """Give a file of outputs other records; it stays the same file."""
    path.write_bytes(with_checksum(compress(records)))


def make_tree(root: Path) -> Path:
    """The small multi-language tree, with an executable file and a symbolic link."""
    write_tree(root, TREE)
    (root / "bin/run").chmod(0o755)
    (root / "link.py").symlink_to("pkg/cart.py")
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small source tree in several languages."""
    return make_tree(tmp_path / "tree")


@pytest.fixture
def store(tmp_path: Path) -> codebatch.Store:
    """A new, empty store."""
    return codebatch.open_store(tmp_path / "store", create=True)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred files of the standard library: enough work to be interrupted in."""
    packages = ("email", "json", "logging", "importlib", "unittest", "xml", "http")
    return copy_packages(tmp_path_factory.mktemp("library") / "lib", packages)


@pytest.fixture(scope="session")
def small_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half as many files as `library`, for runs that are stopped after a few shards."""
    packages = ("json", "importlib", "xml")
    return copy_packages(tmp_path_factory.mktemp("library") / "lib", packages)


def copy_packages(root: Path, packages: Iterable[str]) -> Path:
    """Copy packages of the standard library, without their tests."""
    source = Path(sysconfig.get_path("stdlib"))
    unwanted = shutil.ignore_patterns("__pycache__", "test", "tests", "*.so")
    for package in packages:
        shutil.copytree(source / package, root / package, ignore=unwanted)
    return root


@pytest.fixture(scope="module", autouse=True)
def own_garbage() -> Iterator[None]:
    """What a module leaves behind is collected there, where its filters of warnings hold, and not
    at some moment in the next one.
    """
    yield
    gc.collect()


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """Where hostile vectors are run, in the process of each command."""
    with Laboratory("sync", folder=str(tmp_path_factory.mktemp("laboratory"))) as opened:
        yield opened


@pytest.fixture(scope="session", params=["threads", "processes", "cluster"])
def laboratory_elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    """As `laboratory`, with another scheduler."""
    folder = str(tmp_path_factory.mktemp("laboratory"))
    if request.param != "cluster":
        with Laboratory(request.param, folder=folder) as opened:
            yield opened
        return
    from clusters import Cluster  # noqa: PLC0415 - which imports this module

    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_workers(2)
        with Laboratory(cluster.address, folder=folder) as opened:
            yield opened


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; a test that needs one is skipped where there is none."""
    import browsers  # noqa: PLC0415 - tornado, for few tests

    if browsers.find_chromium() is None:
        pytest.skip(f"none of {', '.join(browsers.NAMES)} is on PATH")
    with browsers.Browser() as opened:
        yield opened


# What is shown where a test fails, as (title, text), while it is in here.
evidence: set[Callable[[], Iterable[tuple[str, str]]]] = set()
Note = Callable[[str], None]


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Callable for what a test wants to be read even if it passes: counts, seeds, measures."""
    return lambda text: record_property("note", text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Show what processes beside a test have printed where it fails."""
    report = yield
    if report.failed:
        report.sections += [section for show in list(evidence) for section in show()]
    return report


Interrupt = Callable[[], None]


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    """Callable that interrupts this process, which handles that as Python does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler, "left in place"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the notes of all tests."""
    reports = (r for found in terminalreporter.stats.values() for r in found)
    for report in reports:
        for name, text in getattr(report, "user_properties", ()):
            if name == "note" and report.when == "call":
                terminalreporter.write_line(f"note: {text}")


_TREE = r"\S+(?:  \S+)?  (?:just now|\d+ \w+ ago)"
_OF_WHAT = re.compile(
    rf"^(?:{_TREE}(?: (?:->|→) {_TREE}|  \(of .*\))?|store: .*|note: these are two trees: .*)\n",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Outcome:
    """What a process came to."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def err(self) -> str:
        return self.stderr.decode()

    @property
    def said(self) -> str:
        """What is on stderr but for the lines that say of which tree and store an answer is."""
        return _OF_WHAT.sub("", self.err)


def cli_environment(**changes: str | None) -> dict[str, str]:
    """This environment without what steers codebatch, dask or colours, without the size of a
    terminal, which readline exports, and without a pager, which would wait for keys; None removes
    a name.
    """
    prefixes = ("CODEBATCH_", "DASK_", "GIT_", "PYTHON", "COVERAGE")
    unwanted = {"NO_COLOR", "FORCE_COLOR", "CI", "LINES", "COLUMNS"}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name == "PYTHONPATH" or not (name.startswith(prefixes) or name in unwanted)
    }
    for name, value in {"PAGER": "cat", **changes}.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    return environment


def cli_command(*arguments: object) -> list[str]:
    """The command line as a process of this interpreter."""
    return [sys.executable, "-m", "codebatch", *map(os.fspath, map(_text, arguments))]


def _text(argument: object) -> Any:
    return argument if isinstance(argument, str | bytes | os.PathLike) else str(argument)


# Root may read and write anything. Before it becomes the command, this process gives up that
# right for good, so that permissions hold for it as for everybody.
OBEYING_PERMISSIONS = """
import ctypes, os, sys
if os.geteuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        assert libc.prctl(24, capability, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
"""


def run_cli(
    *arguments: object,
    env: dict[str, str | None] | None = None,
    timeout: float = 600,
    before: str | None = None,
    **options: Any,
) -> Outcome:
    """Run ``codebatch`` with the arguments in a process of its own.

    ``before`` is a Python program that is started instead, with the command as its arguments.
    """
    launcher = [] if before is None else [sys.executable, "-c", before]
    result = subprocess.run(
        launcher + cli_command(*arguments),
        env=cli_environment(**(env or {})),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
        **options,
    )
    return Outcome(result.returncode, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def cli() -> Callable[..., Outcome]:
    """Callable that runs the command line in a process: arguments in, `Outcome` out."""
    return run_cli


@pytest.fixture
def main(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Outcome]:
    """As `cli`, in this process: for what does not depend on there being one of its own."""
    # Here and not above, so that a broken command line breaks no test of anything else.
    from codebatch.cli import main as run_command_line  # noqa: PLC0415

    def call(*arguments: object) -> Outcome:
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as stopped:
            run_command_line([str(argument) for argument in arguments])
        code = stopped.value.code
        captured = capfdbinary.readouterr()
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


@dataclass(frozen=True)
class Scanned:
    """A finished batch; to be read only."""

    tree: Path
    store: codebatch.Store
    batch: codebatch.Batch
    report: codebatch.RunReport

    @property
    def path(self) -> Path:
        return self.store.path


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """The pipeline ``full`` over the small tree, done. Nobody writes to it."""
    base = tmp_path_factory.mktemp("scanned")
    tree = make_tree(base / "tree")
    batch, report = codebatch.scan(tree, base / "store", scheduler="sync")
    assert report.status == "done"
    return Scanned(tree, codebatch.open_store(batch.path), batch, report)


@pytest.fixture
def batch(scanned: Scanned, store: codebatch.Store) -> codebatch.Batch:
    """The batch of `scanned`, planned anew in an empty store."""
    return store.batch(store.snapshot(scanned.tree), "full")


@pytest.fixture
def scanned_copy(scanned: Scanned, tmp_path: Path) -> Scanned:
    """A copy of the finished store, to be damaged."""
    path = tmp_path / "copy"
    shutil.copytree(scanned.path, path)
    opened = codebatch.open_store(path)
    return Scanned(scanned.tree, opened, opened.find_batch(scanned.batch.id), scanned.report)


def replace_task(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    task = dataclasses.replace(registry.find_task(name), **changes)
    monkeypatch.setitem(registry.LOADED, name, task)
