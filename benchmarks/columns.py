"""What it costs to have a million findings as columns.

    python -m benchmarks.columns --records 1000000

Makes a tree with a finding on each line, runs ``lint`` over it, and prints one JSON document: how
much memory iterating over the findings takes beyond that before, the seconds of the first
`Records.to_arrow`, which makes the column files, and the seconds of further ones and of pyarrow
reading the same rows from one Parquet file, in turns in one process. Read warm: everything has been
read once before.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyarrow import parquet

import codebatch
from benchmarks.memory import memory_bytes

_LINES = 120  # of a file
_KIND = "diagnostic"


def main() -> None:
    """Make what is asked for, measure, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--scratch", type=Path, help="where to make tree and store")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        batch = _make_batch(Path(scratch), arguments.records)
        print(json.dumps(measure(batch, arguments.repeat), indent=2))


def measure(batch: codebatch.Batch, repeat: int) -> dict[str, Any]:
    """Return what reading the findings of a batch costs."""
    found = batch.records(kind=_KIND)
    next(iter(found))
    before = memory_bytes("VmRSS")
    count, iterating = _timed(lambda: sum(1 for _ in found))
    growth = memory_bytes("VmHWM") - before
    table, first = _timed(found.to_arrow)
    assert table.num_rows == count
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    pairs = []
    for _ in range(repeat + 1):  # the first is a warm-up
        ours, seconds = _timed(found.to_arrow)
        other, whole = _timed(lambda: parquet.read_table(io.BytesIO(stream.getvalue())))
        assert ours.num_rows == other.num_rows
        pairs.append((seconds, whole))
    return {
        "records": count,
        "shards": len(batch.shards()),
        "iterating_seconds": round(iterating, 3),
        "iterating_grows_bytes": growth,
        "first_seconds": round(first, 3),
        "seconds": [[round(one, 4) for one in pair] for pair in pairs[1:]],
        "ratio": round(statistics.median(a / b for a, b in pairs[1:]), 2),
    }


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    value = call()
    return value, time.perf_counter() - began


def _make_batch(folder: Path, records: int) -> codebatch.Batch:
    """Return a finished batch with so many findings, a hundred and some in each file."""
    tree = folder / "tree"
    for number in range(-(-records // _LINES)):
        place = tree / f"package_{number % 97}"
        place.mkdir(parents=True, exist_ok=True)
        lines = (f"name_{number}_{line} = {line} \n" for line in range(_LINES))
        (place / f"module_{number}.py").write_text("".join(lines))
    store = codebatch.open_store(folder / "store", create=True)
    batch = store.batch(store.snapshot(tree), ["lint"])
    batch.run("processes")
    return batch


if __name__ == "__main__":
    main()
