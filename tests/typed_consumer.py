"""A program that uses the public names as one would, for the type checker of `test_whole`; it is
never run.
"""

from __future__ import annotations

import asyncio
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import codebatch
from codebatch.testing import run_task


@codebatch.task(version=1, config={"words": ["TODO"]})
def todos(file: codebatch.File) -> Iterator[codebatch.Diagnostic | codebatch.Metric]:
    """Lines that say that something is to be done."""
    for number, line in enumerate(file.lines, 1):
        if "TODO" in line:
            yield codebatch.Diagnostic("TODO", "info", number, line.strip())
    yield codebatch.Metric("words", len(file.text.split()))


@codebatch.task(needs=["analyze"], depends="path")
def everything(file: codebatch.File) -> Iterator[object]:
    """A record of each kind."""
    yield codebatch.Symbol("name", "function", 1, end_line=2)
    yield codebatch.Edge("imports", "os", 1)
    yield codebatch.Artifact("page.html", b"<p>", "text/html")
    yield codebatch.Patch.of(file.bytes, file.bytes.upper())
    yield codebatch.Skip("too long")


def own_tasks() -> list[codebatch.Task]:
    """The tasks, as values."""
    warnings.simplefilter("error", codebatch.UnfinishedBatchWarning)
    return [todos, everything]


def scanned(folder: Path) -> tuple[codebatch.Batch, codebatch.RunReport]:
    """Scan with what a configuration says, and tell how far it is."""
    seen: list[codebatch.RunProgress] = []
    config: codebatch.Config = codebatch.load_config()
    result: codebatch.ScanResult = codebatch.scan(
        folder,
        tasks=[todos, codebatch.tool("ruff")],
        settings={"lint": {"select": ["F"]}},
        config=config,
        name="main",
        memory_limit="2GiB",
        progress=seen.append,
    )
    tasks: list[codebatch.TaskProgress] = [one for step in seen for one in step.tasks]
    handle: codebatch.RunHandle = result.batch.run(wait=False)
    batch, report = result
    assert len(tasks) >= 0
    assert handle.result() == report
    return batch, report


def step_by_step(store: codebatch.Store, folder: Path) -> codebatch.Batch:
    """Snapshot, plan, run, name."""
    snapshot: codebatch.Snapshot = store.snapshot([folder, "more"], include=["*.py"], rev="HEAD")
    sizes: list[int] = [file.size for file in snapshot.files]
    batch = store.batch(snapshot, pipeline=["analyze", todos], shards=16)
    computed: int = sum(task.compute for task in store.forecast(snapshot).tasks)
    try:
        report: codebatch.RunReport = batch.run("processes", workers=2, file_timeout=1.5)
    except codebatch.RunInterrupted as interrupted:
        report = interrupted.report
    store.names["main"] = batch
    found: str = store.names["main"]
    assert report.status == "done"
    assert sum(sizes) >= computed
    return store.find_batch(found, tasks=[todos])


def read(store: codebatch.Store, batch: codebatch.Batch) -> dict[str, object]:
    """Ask a batch, each way."""
    lines: list[str] = batch.lines("a.py")
    text: str = batch.source("a.py")
    raw: bytes = batch.source("a.py", raw=True)
    tree: codebatch.SyntaxTree = batch.tree("a.py")
    nodes: list[codebatch.SyntaxNode] = [*tree, *tree.at_line(1)]
    paths = [str(record["path"]) for record in batch.records(kind="diagnostic", path=Path("src"))]
    names = [row["name"] for row in batch.top("code", severity="error")]
    rows = batch.sql("SELECT 1", timeout=5)
    stream = io.BytesIO()
    written: int = batch.export("sarif", stream, base="main").written
    compared = store.compare("main", batch, path=["src", Path("tests")])
    changed = [*compared.regressions(), *compared.improvements(), *compared.changes()]
    failing: int = store.check(".", base="main").failing("warning")
    shown: tuple[object, ...] = (lines, text, raw, nodes, names, rows, written, changed, failing)
    batch.apply(".", dry_run=True)
    batch.write_baseline("baseline.json", "update")
    return {"shown": shown, "paths": paths, **batch.summary(), **batch.status()}


def keep(store: codebatch.Store) -> bool:
    """Verify, shrink, remove."""
    report = store.verify(read_data=True, subset="10%")
    freed: int = store.gc(dry_run=True, grace=0).bytes
    freed += store.upgrade().version
    store.remove_batch("latest", dry_run=True)
    stats: int = store.stats(largest=3).files
    return report.ok and freed + stats >= 0


def without_a_store() -> list[object]:
    """Pipelines, tasks, tools and trials."""
    found: list[codebatch.Rule] = [codebatch.Rule("X1", "A title")]
    documents = [*codebatch.pipelines(), codebatch.pipeline("full", [todos])]
    problems = codebatch.check_pipeline("pipeline.json")
    written: list[Path] = codebatch.new_task("mine", "tasks")
    drawn: str = str(codebatch.draw_pipeline("full"))
    trials: list[bool] = [trial.ok for trial in codebatch.try_vectors()]
    records = run_task(todos, [Path("a.py"), Path("src")], config={"words": ["FIXME"]})
    holds: bool = codebatch.certify("ruff", ".").holds
    others = (codebatch.list_tasks(), codebatch.tools(), codebatch.import_tools("."), holds)
    shown = [found, documents, problems, written, drawn, trials, records, others]
    return [*shown, codebatch.diagnose(), codebatch.__version__]


def followed(folder: Path) -> Iterator[str]:
    """Say what each change of a tree has made worse."""
    for update in codebatch.watch(folder, pipeline="lint"):
        change: codebatch.ScanUpdate = update
        yield from (str(record["message"]) for record in change.new)


async def beside(batch: codebatch.Batch) -> str:
    """Run in the background."""
    handle = batch.run(wait=False)
    await asyncio.sleep(0)
    report = await handle
    return report.status


def main() -> None:
    """Do all of it, and say what is wrong."""
    try:
        store = codebatch.open_store(codebatch.find_store(), create=True)
        read(store, step_by_step(store, Path("src")))
        keep(codebatch.open_damaged_store())
    except codebatch.CodeBatchError as error:
        code: str = error.code
        raise SystemExit(f"{code}: {error.message} {' '.join(error.hints)}") from error
