"""Measure everything that `docs/speed.md` claims, and print one table.

    pip download django==5.1 --no-deps && unzip -q -d django Django-5.1-*.whl
    python -m benchmarks --tree django

Run from a checkout, with CodeBatch installed and git on the PATH, on a machine that has nothing
else to do, or with --processor. Every figure is a ratio of two things timed in the same run, in
turns, on the same two cores; whole commands, start-up included. Wanted is a value below the target.
All inputs are read once before anything is timed, so no ratio is about a disk that had to be read.

Some rows are held against the CodeBatch of another commit, or are about trees that have to be
named: they are measured where --before, --large and --typescript say which.

Exit status: 0, or 1 where something was not computed as it should be, or results disagree.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import checks, cluster, growth, large, queries, scans, snapshots, watching
from benchmarks.before import check_out
from benchmarks.commands import BenchmarkError, use_processor_time
from benchmarks.machine import describe_machine, use_two_cores
from benchmarks.settings import Settings
from benchmarks.table import Result, markdown_table

_GROUPS = (scans, large, checks, watching, snapshots, growth, queries, cluster)
_NEEDS = {row.name: row.needs for group in _GROUPS for row in group.ROWS}


def main() -> int:
    """Measure, print, and say how it went."""
    arguments = _parser().parse_args()
    rows = _rows(arguments)
    use_two_cores()
    if arguments.processor:
        use_processor_time()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        machine = describe_machine(Path(scratch))
        machine["times"] = "of processors" if arguments.processor else "of the clock"
        print("".join(f"{name}: {value}\n" for name, value in machine.items()), flush=True)
        results, errors = _measure(_settings(arguments, rows, Path(scratch)))
    machine["load afterwards"] = f"{os.getloadavg()[0]:.1f}"
    print(markdown_table(results))
    if arguments.json is not None:
        document = {"machine": machine, "rows": [result.document() for result in results]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if errors else 0


def _rows(arguments: argparse.Namespace) -> frozenset[str]:
    """The names of the rows that are wanted: those asked for, else all that can be measured."""
    given = vars(arguments)
    possible = [name for name, needs in _NEEDS.items() if all(given[one] for one in needs)]
    for name in sorted({*(arguments.only or ())}.difference(possible)):
        _parser().error(f"{name} needs {' and '.join(f'--{one}' for one in _NEEDS[name])}")
    return frozenset(arguments.only or possible)


def _measure(settings: Settings) -> tuple[list[Result], list[str]]:
    """All results, each named on stderr as it comes, and what was not as it must be."""
    results: list[Result] = []
    errors: list[str] = []
    for group in _GROUPS:
        errors += _measure_group(group.measure(settings), results)
    return results, errors


def _measure_group(measured: Iterator[Result], results: list[Result]) -> list[str]:
    """Take the results of a group; one that cannot go on does not keep others from it."""
    errors = []
    try:
        for result in measured:
            print(f"  {result.row.name}: {result.note}", file=sys.stderr, flush=True)
            results.append(result)
            errors += [f"{result.row.name}: {fault}" for fault in result.faults]
    except BenchmarkError as error:
        errors.append(str(error))
    return errors


def _settings(arguments: argparse.Namespace, rows: frozenset[str], scratch: Path) -> Settings:
    before = any("before" in _NEEDS[name] for name in rows)
    return Settings(
        tree=arguments.tree,
        library=arguments.library,
        scratch=scratch,
        repeat=arguments.repeat or (1 if arguments.quick else 5),
        files=arguments.files or ((2_000, 20_000) if arguments.quick else (2_000, 20_000, 100_000)),
        records=arguments.records or (100_000 if arguments.quick else 1_000_000),
        rows=rows,
        large=arguments.large,
        typescript=arguments.typescript,
        before=check_out(arguments.before, scratch / "before") if before else None,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--tree", type=_folder, required=True, help="the tree measured on: an unpacked Django 5.1")
    add(
        *("--library", "--second-tree"),
        type=_folder,
        default=sysconfig.get_path("stdlib"),
        help="the second tree; default: this Python's standard library",
    )
    add("--before", metavar="REVISION", help="a commit of this repository to compare with")
    add("--large", type=_folder, help="a large tree, such as that of Home Assistant")
    add("--typescript", type=_folder, help="a tree of TypeScript")
    add("--only", nargs="+", choices=_NEEDS, metavar="ROW", help=f"of {', '.join(_NEEDS)}")
    add("--processor", action="store_true", help="time by the processor: others use the machine")
    add("--repeat", type=_number, metavar="N", help="times each side is run; default: 5")
    add("--quick", action="store_true", help="once each, and without the largest inputs")
    add("--files", type=_numbers, metavar="N,N", help="sizes of the corpora growth is measured on")
    add("--records", type=_number, metavar="N", help="records that are viewed; default: 1000000")
    add("--scratch", type=_folder, help="where to work; default: the folder for temporary files")
    add("--json", type=Path, metavar="FILE", help="write every value to this file")
    return parser


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"no such folder: {text}")
    return path.resolve()


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _numbers(text: str) -> Sequence[int]:
    numbers = tuple(sorted(map(_number, text.split(","))))
    if len(numbers) < 2:
        raise argparse.ArgumentTypeError("two sizes at least")
    return numbers


if __name__ == "__main__":
    sys.exit(main())
