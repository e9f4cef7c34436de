"""Where the time of a cold scan goes: a sampling profile in plain text.

    python -m benchmarks.profile_scan TREE > benchmarks/PROFILE.txt

One process scans into an empty store with scheduler ``sync``, start-up included. A timer that
runs on processor time looks at the stack, and each look weighs what was used since the look
before, so that long calls into C count in full, for the function that made them. Time of other
threads counts for what the main thread was waiting in; processes that are started (ruff) are
given as a sum. Two tables: the time inside each module, libraries that it calls included,
which adds up to the whole; and the time below each function, which does not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from benchmarks.corpus import read_all
from benchmarks.machine import describe_machine

_INTERVAL_SECONDS = 0.001
_PACKAGE = "codebatch"
_IMPORTS = "(imports)"
_OTHER = "(interpreter, command line)"
_IMPORTLIB = "<frozen importlib._bootstrap>"
_SHOWN_SHARE = 0.01


class SamplingProfile:
    """Seconds of processor time by module (``inside``) and by function (``below``)."""

    def __init__(self) -> None:
        self.inside: defaultdict[str, float] = defaultdict(float)
        self.below: defaultdict[str, float] = defaultdict(float)
        self._last = 0.0

    def start(self) -> None:
        """Look at the stack from now on; only the main thread may call this."""
        self._last = time.process_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_SECONDS, _INTERVAL_SECONDS)

    def stop(self) -> None:
        """Look no more."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        now = time.process_time()
        weight, self._last = now - self._last, now
        places = list(_places(frame))
        self.inside[places[0][0] if places else _OTHER] += weight
        for place in set(places):
            self.below[":".join(place)] += weight


def _places(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    """Module and function of our frames, innermost first; what an import does is the import's."""
    while frame is not None:
        code, module = frame.f_code, str(frame.f_globals.get("__name__"))
        if code.co_filename == _IMPORTLIB:
            yield _IMPORTS, "all"
        elif module.partition(".")[0] == _PACKAGE and code.co_name != "<module>":
            yield module, getattr(code, "co_qualname", code.co_name)
        frame = frame.f_back


def profile_scan(tree: Path, store: Path) -> list[str]:
    """Scan a tree and describe where the time went, a line at a time."""
    profile = SamplingProfile()
    began, before = time.perf_counter(), os.times()
    profile.start()
    try:
        code = _scan(tree, store)
    finally:
        profile.stop()
    wall, after = time.perf_counter() - began, os.times()
    if code != 0:
        raise SystemExit(f"the scan ended with exit code {code}")
    children = sum(after[2:4]) - sum(before[2:4])
    own = sum(after[:2]) - sum(before[:2])
    lines = [
        f"{wall:.2f} s; processor time {own:.2f} s here, {children:.2f} s in processes started"
    ]
    for title, seconds in (("inside", profile.inside), ("below", profile.below)):
        lines += ["", *_table(title, seconds, sum(profile.inside.values()))]
    return lines


def _scan(tree: Path, store: Path) -> object:
    """The command, in this process; its exit code."""
    # Importing is part of what is measured.
    from codebatch.cli import main  # noqa: PLC0415

    command = ["scan", str(tree), "--store", str(store), "--scheduler", "sync", "--quiet"]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            main(command)
    except SystemExit as ended:
        return ended.code or 0
    return 0


def _table(title: str, seconds: Mapping[str, float], total: float) -> Iterator[str]:
    yield f"{'%':>6} {'s':>7}  {title}"
    for name, value in sorted(seconds.items(), key=lambda item: (-item[1], item[0])):
        if value >= _SHOWN_SHARE * total:
            yield f"{100 * value / total:6.1f} {value:7.2f}  {name}"


def main() -> None:
    """Profile the scan of the tree that was named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile_scan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tree", type=Path)
    tree = parser.parse_args().tree
    read_all(tree)
    with tempfile.TemporaryDirectory() as scratch:
        machine = describe_machine(Path(scratch))
        lines = profile_scan(tree, Path(scratch, "store"))
    print("".join(f"{name}: {value}\n" for name, value in machine.items()))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
