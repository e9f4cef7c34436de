"""The peak memory of any process that a command starts, read from ``/proc`` while it runs."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.commands import Run, finished, now, start

_INTERVAL_SECONDS = 0.1
_KIBIBYTE = 1024


def run_watched(command: Sequence[str]) -> tuple[Run, int]:
    """Run a command; also the most bytes that were resident in one of its processes.

    ``VmHWM`` only grows, so seeing each process once near its end is enough; pages that
    processes share count in each. The seconds are exact to the interval of looking.
    """
    peak = 0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = now()
        process = start(command, out, err, None)
        while True:
            peak = max(peak, *map(peak_bytes, _family(process.pid)))
            try:
                process.wait(_INTERVAL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        return finished(process, now() - began, out, err), peak


def _family(root: int) -> Iterator[int]:
    """A process and all below it."""
    pending = [root]
    while pending:
        process = pending.pop()
        yield process
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            pending.extend(map(int, _text(children).split()))


def peak_bytes(process: int) -> int:
    """The most bytes that were resident in a process; 0 where it has ended."""
    return memory_bytes("VmHWM", process)


def memory_bytes(name: str, process: int | str = "self") -> int:
    """What ``/proc`` says of the memory of a process under a name."""
    for line in _text(Path(f"/proc/{process}/status")).splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * _KIBIBYTE
    return 0


def _text(file: Path) -> str:
    """What a file of ``/proc`` says; nothing where the process has ended meanwhile."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
