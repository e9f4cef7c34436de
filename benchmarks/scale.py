"""What planner and driver cost, by number of files and shards, where no file costs anything.

    python -m benchmarks.scale --files 10000,100000,1000000 --scratch DIR

No file has any bytes: a snapshot is a manifest of numbers, and the pipeline's tasks have a limit
that keeps them from looking (`benchmarks.synthetic`). All else is what it always is: the store, the
planner, claims, states, outputs, memo, Dask, processes that run shards, the verification of what
they committed. Each step runs in a process of its own, and its seconds of processor time and its
memory are those of that process alone; where a step is a driver, the shards run in others.

With ``--tree`` real files are run as well, those of a tree with a comment added to each, for what
a file takes in time and in the store.
``--walk`` makes a tree of so many tiny files, and takes a snapshot of it; that needs two inodes a
file. Exit status: 0, or 1 where a step failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.clusters import running_cluster
from benchmarks.commands import PYTHON, BenchmarkError, run, settle
from benchmarks.corpus import files_below, make_corpus
from benchmarks.machine import describe_machine, use_two_cores
from benchmarks.synthetic import make_tree
from codebatch.plan.plan import SHARD_COUNTS

WORKERS = 2
_HEADS = ("step", "files", "shards", "seconds", "processor", "memory", "a file", "a shard", "note")


class Step(NamedTuple):
    """A step as it was measured; ``facts`` are those of `benchmarks.scale_steps`."""

    name: str
    files: int
    shards: int
    facts: dict[str, Any]

    def cells(self) -> tuple[str, ...]:
        """As a row of the table."""
        wall, used = self.facts["seconds"], self.facts["processor_seconds"]
        return (
            self.name,
            f"{self.files:,}",
            f"{self.shards:,}" if self.shards else "",
            f"{wall:.2f}",
            f"{used:.2f}",
            f"{self.facts['peak_bytes'] / 1e6:,.0f} MB",
            f"{1e6 * used / self.files:,.1f} µs",
            f"{1e3 * used / self.shards:,.2f} ms" if self.shards else "",
            self.facts.get("note", ""),
        )


class Bench(NamedTuple):
    """Runs steps on one store."""

    store: Path
    files: int
    shards: int

    def step(self, name: str, what: str = "", **settings: object) -> Step:
        """Run a step in a process of its own, on a file system that has nothing left to write."""
        settle()
        text = json.dumps({"files": self.files, "shards": self.shards, **settings})
        done = run([PYTHON, "-m", "benchmarks.scale_steps", name, str(self.store), text])
        return Step(what or name, self.files, self.shards, done.document())


def measure_planner(folder: Path, files: int, shards: int) -> Iterator[Step]:
    """Plan, run, look, and the same after one of a hundred files was edited."""
    bench = Bench(folder / f"{files}-{shards}", files, shards)
    bench.step("make")
    planned = bench.step("plan", "`batch init`")
    sizes = ", ".join(f"{n} {b / files:.0f}" for n, b in planned.facts["bytes"].items())
    yield planned._replace(facts={**planned.facts, "note": f"bytes a file: {sizes}"})
    yield bench.step("find", "`batch init` again")
    yield bench.step("ask", "calls and graph")
    yield bench.step("run", "`run`", scheduler="processes", workers=WORKERS)
    yield bench.step("run", "`run` again", scheduler="processes", workers=WORKERS)
    yield bench.step("status", "`status`")
    bench.step("make", edition=1)
    bench.step("plan")
    yield bench.step("news", "news, 1 % edited")
    yield bench.step("run", "`run`, 1 % edited", scheduler="processes", workers=WORKERS)


def measure_shards(folder: Path, files: int) -> Iterator[Step]:
    """One shard of each width, as a worker computes it; per file of the shard."""
    for shards in sorted(SHARD_COUNTS):
        bench = Bench(folder / f"shard-{files}-{shards}", files, shards)
        bench.step("make")
        bench.step("plan")
        yield _one_shard(bench, "one shard")


def measure_real_shards(folder: Path, corpus: Path, files: int) -> Iterator[Step]:
    """The same with pipeline ``full`` and real files."""
    for shards in sorted(SHARD_COUNTS):
        bench = Bench(folder / f"real-shard-{shards}", files, shards)
        bench.step("snapshot", tree=str(corpus))
        bench.step("plan", pipeline="full")
        yield _one_shard(bench, "one shard, real files")


def _one_shard(bench: Bench, what: str) -> Step:
    found = bench.step("shard", what)
    return found._replace(files=found.facts["files"], shards=0)


def measure_cluster(folder: Path, files: int, shards: int) -> Iterator[Step]:
    """A run on a scheduler with two workers on this machine, which see the store."""
    bench = Bench(folder / f"cluster-{files}", files, shards)
    bench.step("make")
    bench.step("plan")
    with running_cluster(WORKERS, folder) as cluster:
        scheduler = str(cluster.scheduler_file)
        done = bench.step("run", "`run` on a cluster", scheduler=scheduler, workers=WORKERS)
        note = f"scheduler {cluster.peak_bytes() / 1e6:,.0f} MB"
    yield done._replace(facts={**done.facts, "note": note})


def measure_walk(folder: Path, files: int) -> Iterator[Step]:
    """A snapshot of a tree of so many tiny files, new and unchanged."""
    tree = make_tree(folder / "walked", files)
    bench = Bench(folder / "walk", files, 0)
    yield bench.step("snapshot", "`snapshot`", tree=str(tree))
    yield bench.step("snapshot", "`snapshot`, unchanged", tree=str(tree))


def measure_real_runs(folder: Path, corpus: Path, files: int, *, clusters: bool) -> Iterator[Step]:
    """Real files with pipeline ``full``: by one process that does it all, and by drivers."""
    bench = Bench(folder / "real-sync", files, 256)
    yield from _real_run(bench, corpus, "real files, one process", scheduler="sync")
    bench = bench._replace(store=folder / "real-processes")
    yield from _real_run(bench, corpus, "real files, processes", scheduler="processes")
    for transport in ("shared", "shipped") if clusters else ():
        bench = bench._replace(store=folder / f"real-{transport}")
        with running_cluster(WORKERS, folder) as cluster:
            where = {"scheduler": str(cluster.scheduler_file), "transport": transport}
            yield from _real_run(bench, corpus, f"real files, {transport}", **where)


def _real_run(bench: Bench, corpus: Path, what: str, **settings: str) -> Iterator[Step]:
    bench.step("snapshot", tree=str(corpus))
    bench.step("plan", pipeline="full")
    done = bench.step("run", what, workers=WORKERS, **settings)
    found = bench.step("stats").facts
    sizes = {kind: size / bench.files for kind, (_, size) in found["kinds"].items()}
    note = ", ".join(f"{kind} {size:,.0f}" for kind, size in sizes.items() if size >= 1)
    yield done._replace(facts={**done.facts, "stats": found, "note": f"bytes a file: {note}"})


def measure(arguments: argparse.Namespace, folder: Path) -> Iterator[Step]:
    """All steps that were asked for."""
    for files in arguments.files:
        for shards in arguments.shards:
            yield from measure_planner(folder, files, shards)
    yield from measure_shards(folder, max(arguments.files))
    if not arguments.no_cluster:
        yield from measure_cluster(folder, max(arguments.files), max(arguments.shards))
    if arguments.tree:
        tree, files = arguments.tree, arguments.real_files
        bench = Bench(folder / "tree", len(files_below(tree)), min(SHARD_COUNTS))
        yield from _real_run(bench, tree, "the tree itself", scheduler="sync")
        corpus = make_corpus(tree, folder / "corpus", files)
        yield from measure_real_shards(folder, corpus, files)
        yield from measure_real_runs(folder, corpus, files, clusters=not arguments.no_cluster)
    if arguments.walk:
        yield from measure_walk(folder, arguments.walk)


def main() -> int:
    """Measure, print, and say how it went."""
    arguments = _parser().parse_args()
    use_two_cores()
    steps: list[Step] = []
    error = ""
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        machine = describe_machine(Path(scratch))
        print("".join(f"{name}: {value}\n" for name, value in machine.items()), flush=True)
        try:
            for step in measure(arguments, Path(scratch)):
                print("  " + "; ".join(step.cells()), file=sys.stderr, flush=True)
                steps.append(step)
        except BenchmarkError as failure:
            error = str(failure)
    print(_table([_HEADS, *(step.cells() for step in steps)]))
    if arguments.json is not None:
        document = {"machine": machine, "steps": [step._asdict() for step in steps]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if error:
        print(f"error: {error}", file=sys.stderr)
    return 1 if error else 0


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--files", type=_numbers, default=(10_000, 100_000, 1_000_000), metavar="N,N")
    add("--shards", type=_numbers, default=(256, 4096), metavar="N,N", help="of 16, 256, 4096")
    add("--tree", type=Path, metavar="DIR", help="run pipeline full over real files")
    add("--real-files", type=int, default=20_000, metavar="N", help="how many of these")
    add("--walk", type=int, default=0, metavar="N", help="take a snapshot of N real, tiny files")
    add("--no-cluster", action="store_true", help="start no Dask cluster")
    add("--scratch", type=Path, help="where to work; default: the folder for temporary files")
    add("--json", type=Path, metavar="FILE", help="write every value to this file")
    return parser


def _numbers(text: str) -> Sequence[int]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
