"""Dask clusters of real processes: to be started, broken, and ended without a trace.

`Cluster` starts ``dask scheduler`` and ``dask worker`` on loopback, or on the hosts of a `Network`
(`networks`), each as a `Member` that can be killed and frozen. All of them and all that they start
carry a mark in their environment, by which closing the cluster finds what is left of it and ends
it; what they print is in files, which pytest shows where a test fails. `Run` is a command of
codebatch on such a cluster, watched while it runs. Every wait ends at a deadline.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
import psutil
import pytest
from conftest import Outcome, cli_command, cli_environment, evidence

import codebatch

# A busy machine may take many times as long as usual; a wait is over when what it is for is there.
START_SECONDS = 240
END_SECONDS = 60
# Below what systems give to outgoing connections, so that nobody gets a port that is free for now.
PORTS = range(10_000, 30_000)
MARK = "CODEBATCH_TEST_CLUSTER"
SHOWN_BYTES = 6000
# What members do on their own, many times a second, costs more than the work of most tests.
QUIET = {
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}

# For each line, an address and a number: wait for so many workers, and print who they are.
_WATCHER = """
import json, os, sys, traceback, distributed
for line in sys.stdin:
    address, number, seconds = json.loads(line)
    try:
        with distributed.Client(address, timeout=seconds, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=seconds)
            pids = client.run(os.getpid, on_error="ignore")
            known = client.scheduler_info(n_workers=-1)["workers"]
        found = {str(known[one]["name"]): pid for one, pid in pids.items() if one in known}
    except Exception:
        found = traceback.format_exc()
    print(json.dumps(found), flush=True)
"""


class _Watcher:
    """A process that has distributed imported, and connects to clusters; it ends with this one."""

    def __init__(self, launcher: Sequence[str] = (), **environment: str | None) -> None:
        self._process = subprocess.Popen(
            [*launcher, sys.executable, "-c", _WATCHER],
            env=cli_environment(**environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def workers(self, address: str, number: int) -> dict[str, int]:
        """Wait until a scheduler knows so many; their process ids by name."""
        assert self._process.stdin
        assert self._process.stdout
        late = threading.Timer(START_SECONDS + 60, self._process.kill)
        late.start()
        self._process.stdin.write(json.dumps([address, number, START_SECONDS]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        late.cancel()
        found: dict[str, int] = json.loads(answer or '"it was killed: no answer in time"')
        assert isinstance(found, dict), found
        return found

    def close(self) -> None:
        self._process.communicate()


@functools.cache
def _watcher() -> _Watcher:
    """The one for clusters on this machine: to import distributed takes longer than to connect."""
    started = _Watcher()
    atexit.register(started.close)
    return started


def wait_for(condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """A port on loopback at which nobody listens, and nobody will unless asked to."""
    while True:
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True)
class Host:
    """Where processes run: ``launcher`` is what their commands are put behind."""

    name: str = ""
    address: str = "127.0.0.1"
    launcher: tuple[str, ...] = ()


LOOPBACK = Host()


def apart(*mounts: str, host: Host = LOOPBACK) -> Host:
    """The host for processes to which these mounts alone apply, such as ``mount -t tmpfs …``."""
    script = " && ".join((*mounts, 'exec "$@"'))
    return Host(host.name, host.address, (*host.launcher, "unshare", "-m", "sh", "-c", script, "-"))


def why_not_apart() -> str | None:
    """Why processes cannot be given mounts of their own here, if they cannot."""
    return why_fails("unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt")


def why_fails(*command: str) -> str | None:
    """What a command that should work here says if it does not."""
    if shutil.which(command[0]) is None:
        return f"there is no command {command[0]}"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return f"{' '.join(command)}: {done.stderr.strip()}" if done.returncode else None


@dataclass(frozen=True)
class Tls:
    """Certificates that scheduler, workers and clients show to each other."""

    ca: Path
    certificate: Path
    key: Path

    def options(self) -> tuple[object, ...]:
        return ("--tls-ca-file", self.ca, "--tls-cert", self.certificate, "--tls-key", self.key)

    def environment(self) -> dict[str, str]:
        """Dask's own configuration, by which a client finds them."""
        prefix = "DASK_DISTRIBUTED__COMM__TLS__"
        return {
            f"{prefix}CA_FILE": str(self.ca),
            f"{prefix}CLIENT__CERT": str(self.certificate),
            f"{prefix}CLIENT__KEY": str(self.key),
        }


def make_certificates(folder: Path) -> Tls:
    """An authority, and a certificate that it has signed."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key, key, request, certificate = (
        folder / name for name in ("ca.pem", "ca-key.pem", "key.pem", "request.pem", "cert.pem")
    )
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    new = (*curve, "-days", "2")
    _openssl("req", "-x509", *new, "-subj", "/CN=authority", "-keyout", ca_key, "-out", ca)
    _openssl("req", *curve, "-subj", "/CN=member", "-keyout", key, "-out", request)
    signed_by = ("-CA", ca, "-CAkey", ca_key, "-set_serial", "1", "-days", "2")
    _openssl("x509", "-req", "-in", request, *signed_by, "-out", certificate)
    return Tls(ca, certificate, key)


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


class Member:
    """A process of a cluster, and what it has started: a nanny its worker, that its children."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: dict[str, str],
        log: Path,
        *,
        nanny: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self.is_nanny = nanny
        self.start()

    def start(self) -> None:
        """Start it, again where it has ended."""
        with self.log.open("ab") as stream:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt of the tests is none of theirs
            )
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def worker(self) -> psutil.Process | None:
        """The process that runs tasks: it, or what it watches over as a nanny, while there is one.

        A nanny has a second child, which tracks what the first one shares.
        """
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if not self.is_nanny:
                return process if self.is_running else None
            for child in process.children():
                if any("spawn_main" in word for word in child.cmdline()):
                    return child
        return None

    def family(self) -> list[psutil.Process]:
        """It and what it has started, as far as it runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        return []

    def kill(self) -> None:
        """End it at once; what it has started has to see that for itself."""
        self._process.kill()
        self._process.wait(END_SECONDS)

    def freeze(self) -> None:
        """Stop it and what it has started, as if the machine had stopped."""
        for process in self.family():
            _signalled(process, signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self.family():
            _signalled(process, signal.SIGCONT)

    def end(self) -> None:
        """End it and what it has started: it first, so that it cannot start any anew."""
        family = self.family()
        self.kill()
        for process in family:
            _signalled(process, signal.SIGKILL)

    def output(self) -> str:
        """The end of what it has printed."""
        return self.log.read_bytes()[-SHOWN_BYTES:].decode(errors="replace")


def _signalled(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def with_path(folder: Path) -> Host:
    """A host whose interpreters look into this folder before any other."""
    path = os.pathsep.join(map(str, (folder, Path(codebatch.__file__).parents[1])))
    return Host(launcher=("env", f"--chdir={folder.parent}", f"PYTHONPATH={path}"))


def with_other_ruff(folder: Path) -> Host:
    metadata = folder / "ruff-0.0.1.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: ruff\nVersion: 0.0.1\n")
    return with_path(folder)


class Cluster:
    """A scheduler and its workers.

    State: ``members`` has all that were started, by name, those that ended as well; ``address``
    stays the same when the scheduler is started again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: Host = LOOPBACK,
        tls: Tls | None = None,
        environment: dict[str, str | None] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.host = host
        self.tls = tls
        self.port = free_port()
        self.address = f"{'tls' if tls else 'tcp'}://{host.address}:{self.port}"
        self.scheduler_file = folder / "scheduler.json"
        self.members: dict[str, Member] = {}
        self._mark = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._environment = {**QUIET, **(environment or {}), MARK: self._mark}

    def __enter__(self) -> Cluster:
        evidence.add(self.printed)
        try:
            self.start_scheduler()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def scheduler(self) -> Member:
        return self.members["scheduler"]

    @property
    def client_environment(self) -> dict[str, str | None]:
        """What a client has to know beside the address."""
        return dict(self.tls.environment()) if self.tls else {}

    def start_scheduler(self) -> Member:
        """Start it, and wait until it listens; at the same address where it had ended."""
        self.scheduler_file.unlink(missing_ok=True)
        member = self.members.get("scheduler")
        if member is not None:
            member.start()
        else:
            where = ("--host", self.host.address, "--port", self.port, "--no-dashboard")
            words = ("scheduler", *where, "--scheduler-file", self.scheduler_file)
            member = self._start("scheduler", words, self.host)
        wait_for(lambda: self._is_written() or not member.is_running, "the scheduler starts")
        assert member.is_running, member.output()
        return member

    def start_worker(
        self, name: str, *words: object, nanny: bool = False, host: Host | None = None
    ) -> Member:
        """Start a worker of one thread, and do not wait for it."""
        host = host or self.host
        place = ("--host", host.address, "--name", name, "--local-directory", self.folder / name)
        kind = ("--nthreads", 1, "--nanny" if nanny else "--no-nanny", "--no-dashboard")
        words = ("worker", self.address, *place, *kind, *words)
        return self._start(name, words, host, nanny=nanny)

    def start_workers(self, number: int, **options: Any) -> dict[str, int]:
        """Start so many, and wait for them; their process ids by name."""
        running = sum(member.is_running for member in self.members.values()) - 1
        for _ in range(number):
            self.start_worker(f"w{len(self.members)}", **options)
        return self.wait_for_workers(running + number)

    def wait_for_workers(self, number: int, host: Host | None = None) -> dict[str, int]:
        """Wait until the scheduler knows so many; their process ids by name."""
        host = host or self.host
        if not host.launcher and not self.tls:
            return _watcher().workers(self.address, number)
        with contextlib.closing(_Watcher(host.launcher, **self.client_environment)) as watcher:
            return watcher.workers(self.address, number)

    def printed(self) -> Iterator[tuple[str, str]]:
        """The end of what each member has printed, by its name."""
        for name, member in self.members.items():
            yield f"{name} of {self.address}", member.output()

    def close(self) -> None:
        """End every process of it, and see that none is left."""
        evidence.discard(self.printed)
        for member in self.members.values():
            member.end()
        try:
            wait_for(lambda: not self._marked(), "the cluster ends", END_SECONDS)
        finally:
            for process in self._marked():
                _signalled(process, signal.SIGKILL)

    def _start(
        self, name: str, words: tuple[object, ...], host: Host, *, nanny: bool = False
    ) -> Member:
        assert name not in self.members, name
        options = self.tls.options() if self.tls else ()
        # `dask` would first import what every other distribution adds to it.
        program, *words_of_it = map(str, (*words, *options))
        module = f"distributed.cli.dask_{program}"
        command = [*host.launcher, sys.executable, "-m", module, *words_of_it]
        environment = cli_environment(**self._environment)
        environment[MARK] = self._mark
        member = Member(name, command, environment, self.folder / f"{name}.log", nanny=nanny)
        self.members[name] = member
        return member

    def _is_written(self) -> bool:
        path = self.scheduler_file
        return path.exists() and path.read_text().rstrip().endswith("}")

    def _marked(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _mark_of(process) == self._mark]


def _mark_of(process: psutil.Process) -> str | None:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK) if process.status() != "zombie" else None
    return None


class Run:
    """A command of codebatch that runs beside the test; ``store`` is where its work appears."""

    def __init__(
        self,
        store: Path,
        *words: object,
        host: Host = LOOPBACK,
        environment: dict[str, str | None] | None = None,
    ) -> None:
        self.store = store
        self._folder = store.parent
        command = [*host.launcher, *cli_command(*words, "--store", store, "--json")]
        self._files = [self._folder / f"{store.name}-{os.urandom(4).hex()}.{n}" for n in "oe"]
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self._process = subprocess.Popen(
                command,
                env=cli_environment(**(environment or {})),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def messages(self) -> str:
        """What it has said so far."""
        return self._files[1].read_text(errors="replace")

    def shards_done(self) -> int:
        """How many shards have a committed last task."""
        return sum(1 for _ in self.store.glob("batches/*/tasks/lint/shards/*/state.json"))

    def wait_for_shards(self, number: int, seconds: float = START_SECONDS) -> None:
        """Wait until so many are done, while it runs."""
        wait_for(
            lambda: self.shards_done() >= number or not self.is_running,
            f"{number} shards are done: {self.messages()}",
            seconds,
        )
        assert self.is_running, f"it ended early: {self.messages()}"

    def wait_for_message(self, words: str, seconds: float = START_SECONDS) -> None:
        """Wait until it says something, while it runs."""
        found = functools.partial(lambda: words in self.messages() or not self.is_running)
        wait_for(found, f"it says {words!r}", seconds)
        assert words in self.messages(), self.messages()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(END_SECONDS)

    def outcome(self, seconds: float = 600) -> Outcome:
        """Wait for its end, and what it came to."""
        code = self._process.wait(seconds)
        return Outcome(code, *(path.read_bytes() for path in self._files))

    def report(self, seconds: float = 600) -> dict[str, Any]:
        """Wait for its end; its document, of a batch that is done."""
        done = self.outcome(seconds)
        assert done.code == 0, f"{done.code}: {done.err}{done.out}"
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["status"] == "done", document
        return document


def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two workers, to be made a fixture."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        started.start_workers(2)
        yield started


def connected_client(cluster: Cluster) -> Iterator[Any]:
    """A client of the fixture ``cluster``, to be made a fixture."""
    with distributed.Client(cluster.address, set_as_default=False) as connected:  # type: ignore[no-untyped-call]
        yield connected
