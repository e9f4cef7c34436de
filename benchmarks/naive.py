"""Time a scan against the obvious implementation, in one run on one tree.

    python benchmarks/naive.py path/to/tree

The obvious implementation is one process without shared work: for every task and every shard it
reads the whole manifest again and picks its files, parses each file for each task, starts ruff
once a file, and writes one JSON file a file and task. It makes what it writes as durable as a
store, in the obvious way: a temporary file, fsync, rename. It uses the very same front ends, so
the ratio shows what the structure is worth, not the parsers. The naive side has 256 shards, ours
what it plans by itself; both times are of whole commands, start-up included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from codebatch.plan.pipeline import load_pipeline
from codebatch.plan.plan import plan_tasks
from codebatch.tasks.languages.detect import FACETS, detect_language
from codebatch.tasks.registry import find_task
from codebatch.tasks.source import SourceFile

SHARDS = 256


def naive_snapshot(tree: Path, store: Path) -> Path:
    """Copy every file under its digest and list them in a manifest."""
    manifest = store / "manifest.jsonl"
    with manifest.open("w", encoding="utf-8") as lines:
        for folder, _, names in sorted(os.walk(tree)):
            for name in sorted(names):
                path = Path(folder, name)
                data = path.read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                write_durably(store / digest, data)
                relative = path.relative_to(tree).as_posix()
                lines.write(json.dumps({"path": relative, "object": digest}) + "\n")
    return manifest


def naive_run(manifest: Path, store: Path) -> None:
    """Every task over every shard, each from scratch."""
    for planned in plan_tasks(load_pipeline("full")):
        task = find_task(planned.task)
        for shard in range(SHARDS):
            with manifest.open(encoding="utf-8") as lines:
                files = [json.loads(line) for line in lines]
            for file in files:
                if int(file["object"][:2], 16) != shard:
                    continue
                data = (store / file["object"]).read_bytes()
                language = detect_language(file["path"], partial(bytes, data))
                facets = {name: facet(file["path"]) for name, facet in FACETS.items()}
                source = SourceFile(data, language, facets)
                (prepared,) = task.prepare_now([source], planned.config)
                records = task.run(task.file(source, {}, prepared), planned.config)
                name = hashlib.sha256(f"{planned.id} {file['path']}".encode()).hexdigest()
                text = json.dumps(records, default=bytes.hex)
                write_durably(store / f"{name}.json", text.encode())


def write_durably(path: Path, data: bytes) -> None:
    """Put one file into place so that it survives a power cut."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def timed(command: list[str]) -> float:
    """Wall seconds of a command."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Compare, or (``--naive``) be the other side of the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--naive", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch)
        if arguments.naive:
            naive_run(naive_snapshot(arguments.tree, store), store)
            return
        python, tree = sys.executable, str(arguments.tree)
        scan = [python, "-m", "codebatch", "scan", tree, "--store", str(store / "store")]
        ours = timed(scan)
        naive = timed([python, __file__, tree, "--naive"])
    print(f"scan {ours:.1f} s, naive {naive:.1f} s, ratio {ours / naive:.3f}")


if __name__ == "__main__":
    main()
