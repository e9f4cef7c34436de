"""Records that refer to objects: patches and artifacts, from the task to the queries."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

import codebatch
from codebatch.model.digest import digest_bytes
from codebatch.model.errors import TaskInvalidError
from codebatch.model.resources import schema_errors
from codebatch.testing import run_task

FILES = {
    "plain.py": b"x = 1\ny = 2\n",
    "returns.py": b"x = 1\r\ny = 1",
    "bytes.bin": b"x = 1\0\xff",
    "empty.py": b"",
    "same.py": b"z = 3\n",
}


def changed(content: bytes) -> bytes:
    return content.replace(b"1", b"2") or b"# was empty\n"


@codebatch.task
def change(file: codebatch.File) -> object:
    """Write 2 for 1."""
    yield codebatch.Patch.of(file.bytes, changed(file.bytes))


@codebatch.task
def render(file: codebatch.File) -> object:
    """Make a page of a file."""
    yield codebatch.Artifact("pages/index.html", b"<pre>" + file.bytes, "text/html")
    yield codebatch.Artifact("empty", b"")


@codebatch.task
def inflate(file: codebatch.File) -> object:
    """Make more of a file than an object holds."""
    yield codebatch.Artifact("large", file.bytes[:1] * (16 * 2**20 + 1))


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    folder = tmp_path_factory.mktemp("patches")
    tree = folder / "tree"
    tree.mkdir()
    for name, content in FILES.items():
        (tree / name).write_bytes(content)
    (tree / "link.py").symlink_to("plain.py")
    store = codebatch.open_store(folder / "store", create=True)
    made = store.batch(store.snapshot(tree), [change, render])
    report = made.run(scheduler="sync")
    assert report.status == "done", report.errors
    return made


def read(batch: codebatch.Batch, record: codebatch.api.results.Record) -> bytes:
    return batch.directory.objects.read(str(record["object"]))


def test_a_patch_says_what_it_comes_to(batch: codebatch.Batch) -> None:
    found = {str(record["path"]): record for record in batch.records(kind="patch")}
    assert found.keys() == FILES.keys() - {"same.py"}
    for path, record in found.items():
        assert not schema_errors(
            {key: value for key, value in record.items() if key not in ("task_id", "shard_id")},
            codebatch.model.resources.load_schema("record.patch"),
        )
        assert record["result"] == digest_bytes(changed(FILES[path]))
    plain = found["plain.py"]
    assert (plain["added"], plain["removed"]) == (1, 1)
    assert read(batch, plain) == b"@@ -1,2 +1,2 @@\n-x = 1\n+x = 2\n y = 2\n"


def test_an_artifact_is_kept(batch: codebatch.Batch) -> None:
    found = [*batch.records(kind="artifact", path="plain.py")]
    for record in found:
        del record["task_id"], record["shard_id"]
        assert not schema_errors(record, codebatch.model.resources.load_schema("record.artifact"))
    page, empty = found
    assert (page["name"], page["media_type"], page["size"]) == ("pages/index.html", "text/html", 17)
    assert read(batch, page) == b"<pre>" + FILES["plain.py"]
    assert (empty["media_type"], read(batch, empty)) == ("application/octet-stream", b"")


def test_queries_have_the_columns(batch: codebatch.Batch) -> None:
    rows = batch.sql("SELECT path, added, removed, result FROM patches ORDER BY path")
    assert [row["path"] for row in rows] == sorted(FILES.keys() - {"same.py"})
    assert batch.sql("SELECT sum(size) AS n FROM artifacts")[0]["n"] > 0
    stream = io.BytesIO()
    batch.export("csv", stream, kind="patch")
    table = [*csv.DictReader(io.StringIO(stream.getvalue().decode()))]
    assert {row["removed"] for row in table} == {"0", "1", "2"}
    assert "patches" in {row["table"] for row in batch.sql_schema()}


def test_what_is_referred_to_stays(batch: codebatch.Batch, tmp_path: Path) -> None:
    store = codebatch.open_store(batch.directory.root)
    store.gc(grace=0)
    assert all(read(batch, record) is not None for record in batch.records(kind="patch,artifact"))
    assert not store.verify().problems


def test_a_lost_diff_is_computed_again(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(FILES["plain.py"])
    store = codebatch.open_store(tmp_path / "store", create=True)
    made = store.batch(store.snapshot(tmp_path / "a.py"), [change])
    made.run(scheduler="sync")
    (record,) = made.records(kind="patch")
    digits = str(record["object"]).partition(":")[2]
    (lost,) = (tmp_path / "store").rglob(f"{digits}*")
    lost.unlink()
    assert [problem.code for problem in store.verify().problems]
    assert made.run(scheduler="sync").status == "done"
    assert read(made, record).startswith(b"@@")
    assert not store.verify().problems


def test_large_values_are_cut(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"x")
    store = codebatch.open_store(tmp_path / "store", create=True)
    made = store.batch(store.snapshot(tmp_path / "a.py"), [inflate])
    made.run(scheduler="sync")
    (record,) = made.records(kind="artifact")
    assert record["chunked"] is True
    store.gc(grace=0)
    assert not store.verify().problems
    assert made.run(scheduler="sync").files["computed"] == 0


def failure_of(*yielded: object, source: bytes = b"a\nb\n", path: str = "a.txt") -> str:
    @codebatch.task
    def giving(file: codebatch.File) -> object:
        return list(yielded)

    (record,) = run_task(giving, source, path=path)
    assert record["code"] == "E0002"
    return str(record["message"]).removeprefix("the task failed on this file: ")


@pytest.mark.parametrize(
    ("yielded", "words"),
    [
        (
            [codebatch.Patch(b"@@ -1 +1 @@\n-b\n+c\n")],
            r"the patch does not apply: line 1 is not 'b\n'",
        ),
        ([codebatch.Patch(b"nonsense")], "the patch does not apply: it has no hunks"),
        ([codebatch.Patch("@@")], "record 1 (Patch): field diff is str, not bytes"),  # type: ignore[arg-type]
        ([codebatch.Patch(b""), codebatch.Patch(b"")], "there are several patches of one file"),
        ([codebatch.Artifact("../x", b"")], "field name is '../x': no relative path"),
        ([codebatch.Artifact("/x", b"")], "field name is '/x': no relative path"),
        ([codebatch.Artifact("x", "")], "field data is str, not bytes"),  # type: ignore[arg-type]
        ([codebatch.Artifact("x", b"", "")], "field media_type is '': empty"),
    ],
)
def test_what_does_not_fit_is_a_failure_on_the_file(yielded: list[object], words: str) -> None:
    assert words in failure_of(*yielded)


def test_what_records_refer_to_is_given() -> None:
    objects: dict[str, bytes] = {}
    (record,) = run_task(change, b"1\n", objects=objects)
    assert objects == {record["object"]: b"@@ -1 +1 @@\n-1\n+2\n"}
    found = run_task(render, {"a.py": b"1", "b.py": b"2"}, objects=objects)
    assert {objects[str(one["object"])] for one in found} == {b"<pre>1", b"<pre>2", b""}


def test_a_patch_that_changes_nothing_is_no_record() -> None:
    found = run_task(change, b"z = 3\n")
    assert found == []


def test_a_patch_of_a_link_is_refused(tmp_path: Path) -> None:
    @codebatch.task
    def relink(file: codebatch.File) -> object:
        yield codebatch.Patch.of(file.bytes, b"elsewhere")

    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to("target")
    store = codebatch.open_store(tmp_path / "store", create=True)
    made = store.batch(store.snapshot(tmp_path / "tree"), [relink])
    made.run(scheduler="sync")
    (record,) = made.records()
    assert "a symbolic link cannot be patched" in str(record["message"])


def test_a_batch_task_gives_no_files() -> None:
    with pytest.raises(TaskInvalidError, match="gives no Patch"):

        @codebatch.task(scope="batch", needs=["parse"], records=[codebatch.Patch])
        class Whole:
            def map(self, records: object, config: object) -> object:
                return 0

            def combine(self, a: object, b: object) -> object:
                return 0

            def finish(self, total: object, config: object) -> object:
                return []
