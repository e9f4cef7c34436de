"""Start whole commands, time them, and refuse to go on where one failed.

Every time is that of processes of their own, start-up included: wall time, or processor time of a
command and of all that it starts, where that is what was asked for. What a command prints goes to a
file, so that no reader takes part in the race.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PYTHON = sys.executable
_HERE = Path(__file__).parent
_STEERING = ("CODEBATCH_", "DASK_", "GIT_", "PYTHON", "RUFF_", "RAYON_")


_clocks: list[Callable[[], float]] = [time.perf_counter]


class BenchmarkError(Exception):
    """A command failed, or two that must agree do not: no ratio would mean anything."""


@dataclass(frozen=True)
class Run:
    """What a command took and printed."""

    seconds: float
    stdout: bytes

    def document(self) -> Any:
        """The JSON document that was printed."""
        return json.loads(self.stdout)


def environment() -> dict[str, str]:
    """This environment without what steers the programs compared; git has its defaults."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "PYTHONPATH" or not name.startswith(_STEERING)
    }
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def use_processor_time() -> None:
    """Time what runs from now on by what processors were used for, whoever else uses them."""
    _clocks[:] = [_processor_seconds]


def now() -> float:
    """Return the seconds of the clock that commands are timed by, which have ended by then."""
    return _clocks[0]()


def run(command: Sequence[str], cwd: Path | None = None) -> Run:
    """Run a command to its end; `BenchmarkError` unless it exits with 0."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = now()
        process = start(command, out, err, cwd)
        process.wait()
        return finished(process, now() - began, out, err)


def start(command: Sequence[str], out: Any, err: Any, cwd: Path | None) -> subprocess.Popen[bytes]:
    """The process of a command, printing into two files."""
    return subprocess.Popen(
        command, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err
    )


def finished(process: subprocess.Popen[bytes], seconds: float, out: Any, err: Any) -> Run:
    """What a process that ended has printed, if it ended well."""
    out.seek(0)
    err.seek(0)
    if process.returncode != 0:
        words = " ".join(map(str, process.args if isinstance(process.args, list) else ()))
        tail = err.read().decode("utf-8", "replace")[-2000:]
        raise BenchmarkError(f"exit code {process.returncode}: {words}\n{tail}")
    return Run(seconds, out.read())


def costs(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return its wall time, and the processor time of it and its children."""
    before, began = _processor_seconds(), time.perf_counter()
    run(command)
    return time.perf_counter() - began, _processor_seconds() - before


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def codebatch(*arguments: object, of: Path | None = None) -> list[str]:
    """The command line of CodeBatch, or of that of another checkout, in the same interpreter."""
    words = [PYTHON, "-m", "codebatch", *map(str, arguments)]
    return ["env", "-C", str(of), f"PYTHONPATH={of}", *words] if of else words


def script(name: str, *arguments: object) -> list[str]:
    """A script beside this module, in an interpreter of its own."""
    return [PYTHON, str(_HERE / name), *map(str, arguments)]


def interleaved(
    sides: Sequence[Callable[[int], float]], repeat: int
) -> Iterable[tuple[float, ...]]:
    """The seconds of each side, taken in turns: A B A B, so that both meet the same machine."""
    for index in range(repeat):
        yield tuple(side(index) for side in sides)


def settle() -> None:
    """Let nothing that was written before be paid for by what is timed next."""
    os.sync()


def require(condition: object, message: str) -> None:
    """Stop where a result is not what it must be."""
    if not condition:
        raise BenchmarkError(message)
