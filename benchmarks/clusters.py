"""A Dask cluster on the loopback interface: a scheduler and workers, processes of their own."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import PYTHON, environment, require
from benchmarks.memory import peak_bytes

_START_SECONDS = 60
_ALONE = ("--nthreads", "1", "--no-nanny", "--no-dashboard")


@dataclass(frozen=True)
class Cluster:
    """Where the scheduler is to be found, and which process it is."""

    scheduler_file: Path
    scheduler: subprocess.Popen[bytes]

    def peak_bytes(self) -> int:
        """The most memory that the scheduler has held."""
        return peak_bytes(self.scheduler.pid)


@contextlib.contextmanager
def running_cluster(workers: int, scratch: Path) -> Iterator[Cluster]:
    """A cluster for a block, with workers of one thread each."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder, "scheduler.json")
        where = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(path))
        processes = [_start("scheduler", *where, "--no-dashboard")]
        try:
            _await(path, processes[0])
            own = ("--scheduler-file", str(path), "--local-directory", folder)
            processes += [_start("worker", *own, *_ALONE) for _ in range(workers)]
            yield Cluster(path, processes[0])
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [PYTHON, "-m", "dask", *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _await(path: Path, scheduler: subprocess.Popen[bytes]) -> None:
    """Until the scheduler has written where it is."""
    deadline = time.monotonic() + _START_SECONDS
    while not path.exists() or not path.read_text(encoding="utf-8").rstrip().endswith("}"):
        require(scheduler.poll() is None, "the scheduler did not start")
        require(time.monotonic() < deadline, "the scheduler says nothing")
        time.sleep(0.02)
