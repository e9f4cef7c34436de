"""Real packages, whole: nothing missing, nothing failed, findings equal to ruff's own.

The inputs come from the package registries: a Django wheel, the standard library of the running
Python, and an npm package of TypeScript and JSX sources.
"""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import subprocess
import tokenize
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import ruff
from conftest import read_outputs, write_outputs
from corpora import django, npm_package, standard_library

import codebatch
from codebatch.compare.diff import improvements, regressions
from codebatch.plan.pipeline import load_pipeline, pipeline_document

pytestmark = pytest.mark.slow

Place = tuple[str, int, int, str]


@pytest.fixture(
    scope="module", params=[django, standard_library, npm_package], ids=lambda f: f.__name__
)
def corpus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(request.param(tmp_path_factory.mktemp(request.param.__name__)))


@pytest.fixture(scope="module")
def batch(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    batch, report = codebatch.scan(corpus, tmp_path_factory.mktemp("store") / "store")
    assert report.status == "done"
    assert report.files["quarantined"] == 0
    return batch


def test_every_file_is_recorded_or_skipped(corpus: Path, batch: codebatch.Batch) -> None:
    on_disk = {
        os.path.relpath(os.path.join(folder, name), corpus)
        for folder, _, names in os.walk(corpus)
        for name in names
    }
    directory = batch.directory
    document = directory.snapshots.load(batch.load_status().plan.snapshot_id)
    skipped = {entry["path"] for entry in document["skipped"]}  # type: ignore[index,union-attr,attr-defined]
    listed = {str(row["path"]) for row in batch.files()}
    missing = {
        path
        for path in on_disk - listed
        if not any(path == name or path.startswith(f"{name}/") for name in skipped)
    }
    assert not missing
    assert listed <= on_disk


def test_every_file_has_a_record_of_the_parse_task(batch: codebatch.Batch) -> None:
    parsed = {str(record["path"]) for record in batch.records(task="parse")}
    assert parsed == {str(row["path"]) for row in batch.files()}


def test_no_task_fails_on_any_file(batch: codebatch.Batch) -> None:
    assert not list(batch.records(code="E0002"))


def test_python_syntax_errors_are_those_of_python(corpus: Path, batch: codebatch.Batch) -> None:
    rejected = set()
    python = _python_files(batch)
    for path in python:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ast.parse((corpus / path).read_bytes())
            except (SyntaxError, ValueError):
                rejected.add(path)
    found = {str(record["path"]) for record in batch.records(code="E0001")} & python
    other = {
        str(r["path"])
        for r in batch.records(kind="skip", task="parse")
        if str(r["reason"]) == "Python 2" or str(r["reason"]).startswith("needs Python")
    }
    assert other <= rejected
    assert found == rejected - other


def test_name_findings_equal_those_of_ruff(
    corpus: Path, batch: codebatch.Batch, tmp_path: Path
) -> None:
    python = _python_files(batch)
    ours: Counter[Place] = Counter()
    for code in ("L101", "L102"):
        for record in batch.records(code=code):
            if record["path"] in python:
                ours[_place(record)] += 1
    copies = [_utf8_copy(corpus, path, tmp_path) for path in sorted(python)]
    assert ours == _ruff(copies, tmp_path)


def _python_files(batch: codebatch.Batch) -> set[str]:
    """Choose rows where none may fit: a filter by a language that no file has is an error."""
    return {str(row["path"]) for row in batch.files() if row["language"] == "python"}


def _place(record: dict[str, object]) -> Place:
    line, column = record["line"], record["column"]
    assert isinstance(line, int)
    assert isinstance(column, int)
    return str(record["path"]), line, column, str(record["rule"])


def _utf8_copy(corpus: Path, path: str, folder: Path) -> Path:
    """Ruff reads UTF-8 alone: a source that declares another encoding is transcoded for it."""
    data = (corpus / path).read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        if encoding not in ("utf-8", "utf-8-sig"):
            data = data.decode(encoding).encode()
    except (SyntaxError, UnicodeDecodeError):
        pass  # what Python cannot read, ruff gets as it is
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


def _ruff(files: list[Path], folder: Path) -> Counter[Place]:
    if not files:
        return Counter()
    arguments = folder / "arguments"
    arguments.write_text("\n".join(map(str, files)))
    command = [ruff.find_ruff_bin(), "check", "--isolated", "--no-cache", "--select", "F401,F841"]
    result = subprocess.run(
        [*command, "--output-format", "json", f"@{arguments}"], capture_output=True, check=False
    )
    return Counter(
        (
            os.path.relpath(finding["filename"], folder),
            finding["location"]["row"],
            finding["location"]["column"],
            finding["code"],
        )
        for finding in json.loads(result.stdout)
        if finding["code"] in ("F401", "F841")
    )


def test_the_result_does_not_depend_on_scheduler_or_sharding(
    corpus: Path, batch: codebatch.Batch, tmp_path: Path
) -> None:
    expected = batch.summary()["result"]
    for scheduler, shards in (("threads", 16), ("processes", 256)):
        store = codebatch.open_store(tmp_path / f"{scheduler}-{shards}", create=True)
        again = store.batch(store.snapshot(corpus), "full", shards=shards)
        assert again.run(scheduler, workers=2).result == expected


def test_equal_batches_are_compared_and_counted_unread(
    batch: codebatch.Batch, request: pytest.FixtureRequest
) -> None:
    """Outputs whose bytes are gone (the size is kept) would be found out by whoever reads them."""
    document = {**pipeline_document(load_pipeline("full")), "name": "again"}
    snapshot_id = str(batch.summary()["snapshot_id"])
    again = codebatch.open_store(batch.path).batch(snapshot_id, document)
    assert again.id != batch.id
    assert again.run().status == "done"
    for outputs in batch.path.rglob("outputs.index.jsonl.zst"):
        hidden = outputs.with_name("hidden")
        outputs.rename(hidden)
        request.addfinalizer(partial(os.replace, hidden, outputs))
        write_outputs(outputs, bytes(len(read_outputs(hidden))))
    with pytest.raises(codebatch.CodeBatchError):
        list(batch.records())
    assert again.load_status().result == batch.load_status().result
    assert again.load_status().counts() == batch.load_status().counts()
    assert again.status()["status"] == "done"
    comparison = codebatch.open_store(batch.path).compare(batch.id, again.id)
    changes = comparison.diff
    assert (changes.added, changes.removed, changes.changed, comparison.renames) == ((),) * 4
    assert changes.unchanged == batch.load_status().counts().records


def test_lines_moved_in_every_file_are_no_regression(
    corpus: Path, batch: codebatch.Batch, tmp_path: Path
) -> None:
    comments = {".py": b"#", ".js": b"//", ".ts": b"//", ".tsx": b"//", ".jsx": b"//"}
    tree = tmp_path / "tree"
    shutil.copytree(corpus, tree, symlinks=True)
    for file in sorted(tree.rglob("*")):
        if file.suffix in comments and file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            if data[:2] not in (b"\xef\xbb", b"#!") and b"coding" not in data[:200]:
                file.write_bytes(comments[file.suffix] + b" a line above\n" + data)
    moved = codebatch.open_store(batch.path).batch(codebatch.open_store(batch.path).snapshot(tree))
    moved.run()
    comparison = codebatch.open_store(batch.path).compare(batch.id, moved.id, kind="diagnostic")
    assert regressions(comparison.diff) == []
    assert improvements(comparison.diff, comparison.rename_map) == []
