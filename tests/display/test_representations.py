"""Every object that the Python interface gives shows itself, whatever has become of the store."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shutil
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Scanned, write_tree
from repositories import git_init
from test_cards import Elements

import codebatch
from codebatch import api
from codebatch.api.names import NameTable
from codebatch.display.displayed import Displayed
from codebatch.model.errors import UsageError

# Values that a program may make as well: their repr is the call that makes them. The last are parts
# of what is asked for, and as short.
VALUES = {"Artifact", "Diagnostic", "Edge", "Metric", "Patch", "Rule", "Skip", "Symbol"}
VALUES |= {"Column", "Counts", "ShardState"}
# What the command line watches a tree with, and asks several batches by.
INSIDE = {"TreeWatch", "Question"}


def public_classes() -> Iterator[type]:
    """Yield the classes that are public, and those of what their methods give."""
    pending: list[Any] = [getattr(codebatch, name) for name in codebatch.__all__]
    pending += [getattr(api, name) for name in api.__all__] + [NameTable]
    seen: set[Any] = set()
    while pending:
        one = pending.pop()
        if isinstance(one, type) and one not in seen and one.__module__.startswith("codebatch."):
            seen.add(one)
            yield one
            members = [getattr(one, name) for name in dir(one) if not name.startswith("_")]
            pending += [m.fget if isinstance(m, property) else m for m in members]
        elif inspect.isfunction(one) and "return" in one.__annotations__:
            pending += classes_in(returned_by(one))


def returned_by(function: Any) -> Any:
    function = inspect.unwrap(function)
    words = function.__annotations__.get("return")
    if not isinstance(words, str):
        return words
    try:
        return eval(words, dict(function.__globals__))
    except NameError:  # named for the type checker alone: it is imported in the function
        return None


def classes_in(hint: Any) -> list[Any]:
    origin = typing.get_origin(hint)
    inner = [found for one in typing.get_args(hint) for found in classes_in(one)]
    return [*inner, origin] if origin not in (None, types.UnionType) else [*inner, hint]


def test_no_object_of_the_interface_has_the_usual_representation() -> None:
    found = {one.__name__: one for one in public_classes()}
    assert {"Batch", "Forecast", "RunReport", "Comparison", "SyntaxNode", "Drawing"} <= set(found)
    usual = {name for name, one in found.items() if one.__repr__ is object.__repr__}
    dumps = {name for name, one in found.items() if has_made_repr(one)}
    assert usual == INSIDE
    assert dumps == VALUES


def has_made_repr(one: type) -> bool:
    """Return whether a representation is the one that `dataclasses` makes of all fields."""
    return dataclasses.is_dataclass(one) and hasattr(one.__repr__, "__wrapped__")


def shown(one: Any) -> tuple[str, str]:
    """Return both representations, once they are fit to be shown."""
    text, html = repr(one), one._repr_html_()
    assert text.replace("\n", "").isprintable()
    assert " object at 0x" not in text + html
    assert "cannot be shown" not in text + html
    assert max(map(len, text.splitlines())) <= 130
    assert len(text.splitlines()) <= 80
    assert len(html) < 20_000
    assert Elements(html).found[0] == ("div", ("class",))
    return text, html


@pytest.fixture(scope="module")
def displayed(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a person may want to look at, by name: of a store of its own."""
    base = tmp_path_factory.mktemp("displayed")
    tree = write_tree(base / "tree", {"a.py": "import os\n", "b.js": "x = 1\n"})
    git_init(tree, options=("-b", "main"))
    path = base / "store"
    batch, report = codebatch.scan(tree, path, scheduler="sync")
    store = codebatch.open_store(path)
    store.names["main"] = batch
    write_tree(tree, {"a.py": "import os\nimport sys\n", "c.py": "x = (\n"})
    later = store.batch(store.snapshot(tree), "full")
    forecast = later.forecast()
    pending, status = repr(later), later.status()
    progress: list[codebatch.RunProgress] = []
    later.run("sync", progress=progress.append)
    return {
        "store": store,
        "names": store.names,
        "snapshot": store.find_snapshot("latest"),
        "batch": later,
        "report": report,
        "forecast": forecast,
        "pending": pending,
        "status": status,
        "progress": progress[-1],
        "task progress": progress[-1].tasks[0],
        "summary": batch.summary(),
        "tasks": batch.tasks(),
        "files": batch.files(),
        "top": batch.top("loc"),
        "batches": store.batches(),
        "comparison": store.compare(batch, later),
        "diff": store.compare(batch, later).diff,
        "check": store.check(tree, base="HEAD", scheduler="sync"),
        "history": store.history(tree, every=1, scheduler="sync"),
        "blame": store.blame("a.py:1", tree, scheduler="sync"),
        "verify": store.verify(),
        "gc": store.gc(dry_run=True),
        "stats": store.stats(),
        "recheck": later.recheck(100, "sync"),
        "config": codebatch.Config({"pipeline": "full", "exclude": ["<b>"]}),
        "diagnosis": store.diagnose(),
        "pipelines": codebatch.pipelines(),
        "pipeline": codebatch.pipelines()[0],
        "records": batch.records(),
        "findings": later.records(kind="diagnostic"),
        "metrics": later.outputs(min=0),
        "symbols": batch.sorted_records(kind="symbol"),
        "tree": later.tree("a.py"),
        "drawn": codebatch.pipeline("full"),
        "removal": store.remove_batch(later, dry_run=True),
    }


def test_everything_is_shown(displayed: dict[str, Any]) -> None:
    for name, one in displayed.items():
        if not isinstance(one, str):
            assert all(shown(one)), name


def test_batch(displayed: dict[str, Any]) -> None:
    text = re.sub(r"[0-9a-f]{16,}|/\S+|\d{4}-\S+ \S+|@[0-9a-f]{7}", "*", repr(displayed["batch"]))
    assert text == (
        "Batch batch-* [done]\n"
        "  pipeline   full\n"
        "  snapshot   snap-*\n"
        "  files      3\n"
        "  languages  2 python, 1 javascript\n"
        "  shards     [####################] 3 of 3\n"
        "  records    39\n"
        "  findings   3: 1 error, 2 warnings\n"
        "  source     * (main*)\n"
        "  asked      *\n"
        "  result     sha256:*\n"
        "\n"
        "  task     shards  records\n"
        "  parse    3 of 3        3\n"
        "  analyze  3 of 3       30\n"
        "  symbols  3 of 3        4\n"
        "  lint     3 of 3        2"
    )
    assert "[pending]" in displayed["pending"]
    assert "batch.run()" in displayed["pending"]


def test_records_are_counted_and_not_read(
    displayed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, html = shown(displayed["findings"])
    assert re.sub(r"batch-\w+", "*", text) == (
        "Records of *\n"
        "  conditions  kind diagnostic\n"
        "  columns     kind, path, line, column, severity, code, rule, message, fingerprint, "
        "task_id, shard_id\n"
        "  records     3\n"
        "\n"
        "  path  line  column  severity  code   rule          message\n"
        "  c.py     1       5  error     E0001  syntax-error  '(' was never closed\n"
        "  a.py     1       8  warning   L101   F401          `os` imported but unused\n"
        "  a.py     2       8  warning   L101   F401          `sys` imported but unused"
    )
    assert "3" in html
    once, twice = (displayed["batch"].records(kind=one) for one in ("metric", "metric, metric"))
    (number,) = re.findall("  records     .*", repr(once))
    assert number in repr(twice)
    assert "... and perhaps more" in repr(displayed["metrics"])
    monkeypatch.setattr("codebatch.query.preview._MOST_BYTES", 10)
    text = repr(displayed["records"])
    assert "  records  31" in text
    assert "a.py" not in text


def test_records_of_a_batch_that_is_not_done(store: codebatch.Store, scanned: Scanned) -> None:
    batch = store.batch(store.snapshot(scanned.tree), "full")
    text = repr(batch.records(kind="symbol"))
    assert text.startswith(f"Records of {batch.id} [pending]\n")
    assert "  records     0\n" in text


def test_documents_are_dicts(scanned: Scanned) -> None:
    for document in (scanned.batch.status(), scanned.batch.summary()):
        plain = json.loads(json.dumps(document))
        assert type(plain) is dict
        assert document == plain
        assert {**document} == plain
        assert document.copy() == plain
        document.clear()
        shown(document)


def test_looking_writes_nothing_and_tells_nobody(scanned: Scanned) -> None:
    def state() -> list[tuple[str, int]]:
        return sorted((str(p), p.stat().st_mtime_ns) for p in scanned.path.rglob("*"))

    before = state()
    for one in (scanned.store, scanned.batch, scanned.store.find_snapshot("latest")):
        shown(one)
    assert state() == before


def test_damage_is_shown(scanned_copy: Scanned) -> None:
    batch, store = scanned_copy.batch, scanned_copy.store
    snapshot = store.find_snapshot("latest")
    next(scanned_copy.path.glob("batches/*/tasks/lint/shards/*/state.json")).write_text("{}")
    assert "[partial]" in shown(batch)[0] or "damaged" in shown(batch)[0]
    next(scanned_copy.path.glob("batches/*/plan.json")).write_text("x")
    next(scanned_copy.path.glob("snapshots/*/snapshot.json")).write_text("x")
    assert repr(batch).startswith(f"Batch {batch.id} [store damaged]\n")
    assert repr(snapshot).startswith(f"Snapshot {snapshot.id} [store damaged]\n")
    shown(store)
    next(scanned_copy.path.glob("batches/*/batch.json")).write_text("x")
    assert "store damaged" in shown(store)[0]
    shutil.rmtree(scanned_copy.path)
    assert repr(store).startswith("Store /")
    assert "[not there]" in shown(store)[0]
    assert "[batch not found]" in shown(batch)[0]
    assert "[snapshot not found]" in shown(snapshot)[0]


def test_of_a_large_batch_the_states_are_not_read(
    scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codebatch.status.batch_status._MOST_READ", 1)
    text, _ = shown(scanned.batch)
    assert "batch.status() reads" in text
    assert text.startswith(f"Batch {scanned.batch.id} [done]\n")


def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>\u202e\x1b[31m.py"
    write_tree(tmp_path / "<i>tree", {name: "import os\n"})
    batch, report = codebatch.scan(tmp_path / "<i>tree", tmp_path / "store", scheduler="sync")
    store = codebatch.open_store(tmp_path / "store")
    for one in (store, batch, report, batch.files(), batch.top(), batch.inspect(name)["tasks"]):
        if isinstance(one, Displayed):
            html = shown(one)[1]
            assert not {"img", "i"} & {tag for tag, _ in Elements(html).found}
    assert "\\u202e\\x1b[31m.py" in repr(batch.files())


def test_drawing(displayed: dict[str, Any], tmp_path: Path) -> None:
    batch = displayed["batch"]
    drawn = batch.visualize()
    assert str(drawn) == (
        "●  parse  3 of 3 shards, 3 records\n"
        "├─●  analyze  3 of 3 shards, 30 records\n"
        "├─●  symbols  3 of 3 shards, 4 records\n"
        "└─●  lint  3 of 3 shards, 2 records"
    )
    assert repr(drawn) == f"full of {batch.id}\n{drawn}"
    assert batch.visualize(tmp_path / "one.svg")._repr_svg_() == drawn._repr_svg_()
    drawn.save(tmp_path / "two.svg")
    saved = [(tmp_path / name).read_text() for name in ("one.svg", "two.svg")]
    assert saved == [drawn._repr_svg_()] * 2
    with pytest.raises(UsageError, match=r"as SVG, not as .*x\.png"):
        batch.visualize(tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
    with pytest.raises(codebatch.CodeBatchError, match="cannot write"):
        drawn.save(tmp_path / "no" / "folder.svg")


def test_drawing_of_a_pipeline() -> None:
    drawn = codebatch.draw_pipeline("hotspots")
    assert str(drawn).endswith("hotspots (batch)")
    assert drawn._repr_svg_() == drawn.svg()
    assert repr(drawn).startswith("hotspots\n")
