"""What callers may give: an object wherever an id is taken, a path of any kind where a path is."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Scanned, write_tree

import codebatch
from codebatch import api
from codebatch.api.names import NameTable

# Parameters that are words, patterns or digests: neither ids nor paths.
WORDS = {
    *(
        "by",
        "code",
        "digest",
        "engine",
        "exclude",
        "finding",
        "format",
        "include",
        "key",
        "kind",
        "language",
        "name",
    ),
    *(
        "link_base",
        "names",
        "memory_limit",
        "reason",
        "rev",
        "severity",
        "statement",
        "subset",
        "table",
        "task",
        "title",
        "transport",
    ),
}
CONVERTED = re.compile(r"\b(IdLike|PathLike|Paths|PipelineLike|Roots)\b")


def public() -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield each parameter of the API under ``function.parameter``."""
    functions = {name: getattr(api, name) for name in api.__all__}
    classes = (api.Store, api.Batch, NameTable)
    for owner in classes:
        functions |= {f"{owner.__name__}.{name}": getattr(owner, name) for name in vars(owner)}
        for base in owner.__mro__[1:]:
            if base.__module__.startswith("codebatch.api"):
                functions |= {f"{owner.__name__}.{n}": getattr(owner, n) for n in vars(base)}
    for name, function in functions.items():
        own = name.split(".")[-1]
        if inspect.isfunction(function) and (not own.startswith("_") or own == "__setitem__"):
            for parameter in inspect.signature(function).parameters.values():
                yield f"{name}.{parameter.name}", parameter


PARAMETERS = dict(public())


def test_no_id_and_no_path_has_to_be_a_text() -> None:
    texts = {
        name
        for name, parameter in PARAMETERS.items()
        if re.search(r"(?<!Callable\[\[)\bstr\b", str(parameter.annotation))
        and not CONVERTED.search(str(parameter.annotation))
        and parameter.name not in WORDS
    }
    assert not texts


Use = Callable[[Any, Any], object]


def exported(on: Any, base: Any) -> bytes:
    stream = io.BytesIO()
    on.batch.export("sarif", stream, base=base)
    return stream.getvalue()


def reported(on: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    on.batch.report(stream, **options)
    return stream.getvalue()


def named(on: Any, one: Any) -> str:
    on.store.names["x"] = one
    return str(on.store.names.pop("x"))


USES: dict[str, Use] = {
    "Batch.export.base": exported,
    "Batch.report.base": lambda on, one: reported(on, base=one),
    "Batch.report.history": lambda on, one: reported(on, history=[one]),
    "NameTable.__setitem__.value": named,
    "NameTable.point.value": lambda on, one: (on.store.names.point("x", one), named(on, one)),
    "Store.batch.snapshot": lambda on, one: on.store.batch(one).id,
    "Store.check.base": lambda on, one: on.store.check(on.tree, one, scheduler="sync").new,
    "Store.compare.a": lambda on, one: on.store.compare(one, on.batch),
    "Store.compare.b": lambda on, one: on.store.compare(on.batch, one),
    "Store.find.text": lambda on, one: on.store.find(one),
    "Store.find_batch.batch_id": lambda on, one: on.store.find_batch(one).id,
    "Store.find_snapshot.snapshot_id": lambda on, one: on.store.find_snapshot(one).id,
    "Store.forecast.snapshot": lambda on, one: on.store.forecast(one).tasks,
    "Store.remove_batch.batches": lambda on, one: on.store.remove_batch(one, dry_run=True),
    "Store.remove_snapshot.snapshots": lambda on, one: on.store.remove_snapshot(one, dry_run=True),
    "Store.show.text": lambda on, one: on.store.show(one),
}


def test_every_place_for_an_id_is_known() -> None:
    ids = {name for name, one in PARAMETERS.items() if "IdLike" in str(one.annotation)}
    assert ids == USES.keys()


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    base = tmp_path_factory.mktemp("given")
    tree = write_tree(base / "tree", {"a.py": "import os\n"})
    store = codebatch.open_store(base / "store", create=True)
    spare = store.snapshot(write_tree(base / "spare", {"a.py": "x = 1\n"}))
    snapshot = store.snapshot(tree)
    batch = store.batch(snapshot)
    batch.run("sync")
    return SimpleNamespace(store=store, snapshot=snapshot, batch=batch, spare=spare, tree=tree)


@pytest.mark.parametrize("name", USES)
def test_an_object_is_taken_for_its_id(name: str, on: SimpleNamespace) -> None:
    of_snapshot = "snapshot" in name.rsplit(".", 1)[-1]
    one = on.spare if "remove" in name else on.snapshot
    given = (one, one.taken) if of_snapshot else (on.batch, on.batch.made)
    results = [str(USES[name](on, value)) for value in (given[0].id, *given)]
    assert len({*results}) == 1


def test_what_is_no_id_is_said(on: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match="an id or what has one is wanted, not PosixPath"):
        on.store.find_batch(Path("latest"))


def test_paths_of_any_kind(on: SimpleNamespace, scanned: Scanned, tmp_path: Path) -> None:
    batch, path = on.batch, Path("a.py")
    assert batch.inspect(path) == batch.inspect("a.py")
    assert batch.explain("lint", path) == batch.explain("lint", "a.py")
    assert batch.lines(path) == ["import os"]
    assert batch.source(path) == "import os\n"
    assert str(batch.tree(path)) == str(batch.tree("a.py"))
    for view in (batch.files, batch.sorted_records, batch.top):
        assert [*view(path=path)] == [*view(path="a.py")] == [*view(path=[path])]
    document = tmp_path / "mine.json"
    document.write_text('{"name": "mine", "tasks": [{"id": "parse", "task": "parse"}]}')
    assert on.store.batch(on.snapshot, document).id == on.store.batch(on.snapshot, str(document)).id
