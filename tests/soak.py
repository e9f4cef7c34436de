"""Seven kinds of processes on one store at once, for as long as one likes, with all that they say.

Each kind is a thread that starts one command after the other and looks at what each came to: an
exit code and an error code that the command is allowed, and no word about damage or a full disk,
since there is neither.
"""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from conftest import cli_command, cli_environment, make_tree, write_tree

WRONG_WORDS = (b"damage", b"free space", b"permission", b"Traceback", b"bug in", b"STORE_")
GONE = frozenset({"BATCH_NOT_FOUND", "SNAPSHOT_NOT_FOUND", "ID_NOT_FOUND"})
EARLY = GONE | {"BATCH_UNFINISHED"}  # for what reads records
STATES = ["status", "tasks", "shards", "plan", "explain --task parse --file pkg/cart.py"]
VIEWS = [
    *("files", "summary", "errors", "top", "query outputs", "query symbols", "query stats"),
    "inspect pkg/cart.py",
]
LISTS = ["batches", "snapshots", "store-stats", "diagnose"]
COMPARISONS = ["diff", "regressions", "improvements"]

_MANY = 36  # files, whose objects make a pack

Step = Callable[[random.Random, int], object]


def changing(value: int) -> dict[str, str | bytes]:
    """A state of a tree: of its many small files, half are those of all other states."""
    many = {
        f"many/{number}.txt": f"{value if number % 2 else 0} {number}\n" for number in range(_MANY)
    }
    return {"changing.py": f"value = {value}\n", **many}


class Soak:
    """State: ``counts`` has how often each command came to what, ``wrong`` what none may say,
    ``results`` the result digests of each batch.
    """

    def __init__(self, base: Path, seconds: float, seed: int) -> None:
        self.base = base
        self.store = base / "store"
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.results: dict[str, set[str]] = {}
        self._end = time.monotonic() + seconds
        self._seed = seed
        self._lock = threading.Lock()
        self.trees = [make_tree(base / f"tree{number}") for number in range(3)]
        self.cli("init", self.store, where=())

    def run(self) -> None:
        """All kinds at once, some of them twice."""
        kinds: list[Step] = [self.scan_sync, self.scan_processes, self.run_shared, self.run_shared]
        kinds += [self.read, self.read, self.take, self.remove, self.collect, self.verify]
        threads = [
            threading.Thread(target=self._repeat, args=[step, number])
            for number, step in enumerate(kinds)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _repeat(self, step: Step, number: int) -> None:
        chance = random.Random(f"{self._seed} {number}")
        turn = 0
        while time.monotonic() < self._end:
            step(chance, turn)
            turn += 1

    def cli(
        self, *words: object, allowed: Iterable[str] = (), where: Iterable[object] | None = None
    ) -> Any:
        """The document that a command prints; None where it fails in a way that is allowed."""
        place = ("--store", self.store, "--json") if where is None else where
        done = subprocess.run(
            cli_command(*words, *place), env=cli_environment(), capture_output=True, check=False
        )
        document = json.loads(done.stdout) if done.stdout.startswith((b"{", b"[")) else None
        code = document["error"]["code"] if done.returncode > 1 and document else None
        said = done.stderr if done.returncode == 0 else done.stdout + done.stderr
        name = " ".join(map(str, words[: 2 if words[1:2] in (("init",), ("rm",)) else 1]))
        with self._lock:
            self.counts[f"{name} {done.returncode} {code or ''}".rstrip()] += 1
            refused = done.returncode != 0 and code not in set(allowed)
            if refused or any(word in said for word in WRONG_WORDS):
                self.wrong.append(f"{words}: {done.returncode}\n{said.decode()[-3000:]}")
        return None if done.returncode else document

    def _change(self, number: int, chance: random.Random) -> Path:
        """A few states in turns: what one needs, the other has made unreferenced before."""
        return write_tree(self.trees[number], changing(10 * number + chance.randrange(3)))

    def _note(self, report: Any) -> None:
        if report is not None:
            with self._lock:
                self.results.setdefault(report["batch_id"], set()).add(report["result"])

    def _batches(self) -> list[str]:
        return [row["batch_id"] for row in self.cli("batches") or ()]

    # -- the kinds -----------------------------------------------------------------------------

    def scan_sync(self, chance: random.Random, _: int) -> None:
        """Scans of a changing tree."""
        tree = self._change(0, chance)
        self._note(self.cli("scan", tree, "--scheduler", "sync", allowed=GONE))

    def scan_processes(self, chance: random.Random, _: int) -> None:
        """Scans of another one."""
        tree = self._change(1, chance)
        self._note(self.cli("scan", tree, "--scheduler", "processes", allowed=GONE))

    def run_shared(self, chance: random.Random, turn: int) -> None:
        """Runs of batches that others run as well."""
        batches = self._batches()
        if batches:
            words = ("run", "resume")[turn % 2], "--batch", chance.choice(batches)
            scheduler = chance.choice(["sync", "threads"])
            self._note(self.cli(*words, "--scheduler", scheduler, allowed=GONE))
        else:
            self.cli("batch", "init", allowed=GONE)

    def read(self, chance: random.Random, turn: int) -> None:
        """Views, comparisons and exports."""
        known = [*self._batches(), "latest"]
        a, b = chance.choice(known), chance.choice(known)
        of_batch = ("--batch", a)
        statement = "SELECT count(*) AS n, max(json) FROM records"
        out = self.base / f"export-{threading.get_ident()}"
        view = chance.choice([*STATES, *VIEWS])
        self.cli(*view.split(), *of_batch, allowed=GONE if view in STATES else EARLY)
        self.cli("sql", statement, *of_batch, allowed=EARLY)
        self.cli("show", a, allowed=GONE)
        self.cli("export", "--format", "sarif", "--output", out, *of_batch, allowed=EARLY)
        self.cli(COMPARISONS[turn % len(COMPARISONS)], a, b, allowed=EARLY)
        self.cli(LISTS[turn % len(LISTS)])

    def take(self, chance: random.Random, turn: int) -> None:
        """Snapshots, and batches of them that nobody has run."""
        tree = self._change(2, chance)
        taken = self.cli("snapshot", tree, *(["--no-cache"] if turn % 3 == 0 else []))
        if taken is not None:
            self.cli("batch", "init", "--snapshot", taken["snapshot_id"], allowed=GONE)

    def remove(self, chance: random.Random, _: int) -> None:
        """Batches, then snapshots."""
        batches = self._batches()
        if batches:
            running = {*GONE, "BATCH_RUNNING"}
            self.cli("batch", "rm", chance.choice(batches), "--wait", "60", allowed=running)
        snapshots = [row["snapshot_id"] for row in self.cli("snapshots") or ()]
        if snapshots:
            used = {*GONE, "SNAPSHOT_IN_USE"}
            self.cli("snapshot", "rm", chance.choice(snapshots), "--wait", "60", allowed=used)

    def collect(self, _: random.Random, __: int) -> None:
        """Everything that nothing refers to."""
        self.cli("gc", "--grace", "0", "--wait", "60")

    def verify(self, _: random.Random, turn: int) -> None:
        """The whole store, every other time with all data."""
        self.cli("verify", *(["--read-data"] if turn % 2 else []))
