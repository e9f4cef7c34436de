"""Several shards as one call: tools are started once, and all else is as if each were alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import write_tree

import codebatch
from codebatch.model.messages import RunLease, ShardCall
from codebatch.shard import run as shard_run
from codebatch.shard.together import groups_of
from codebatch.tasks.languages.python import ruff


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of files of each start of ruff."""
    found: list[int] = []
    start = ruff.ToolRun

    def counted(tool: Any, arguments: Any, files: dict[str, bytes]) -> Any:
        found.append(len(files) - 2)  # beside ours and the list of all
        return start(tool, arguments, files)

    monkeypatch.setattr(ruff, "ToolRun", counted)
    return found


@pytest.fixture
def many(tmp_path: Path) -> Path:
    files = {
        f"m{index}.py": f"import os\n\n\ndef f{index}(x):\n    return x\n" for index in range(24)
    }
    return write_tree(tmp_path / "many", files)


def scan(tree: Path, store: Path, **options: Any) -> codebatch.RunReport:
    _, report = codebatch.scan(tree, store, pipeline="full", **options)
    assert report.status == "done"
    return report


def test_tool_is_started_once_for_the_files_of_many_shards(
    many: Path, tmp_path: Path, starts: list[int]
) -> None:
    together = scan(many, tmp_path / "together", scheduler="sync", shards=16)
    assert together.shards["total"] > 8
    assert starts == [24]
    starts.clear()
    apart = scan(many, tmp_path / "apart", scheduler="threads", shards=16)
    assert len(starts) == apart.shards["total"]
    assert together.result == apart.result


def test_no_more_than_sixteen_shards_are_open_at_a_time(
    many: Path, tmp_path: Path, starts: list[int]
) -> None:
    report = scan(many, tmp_path / "store", scheduler="sync", shards=4096)
    assert report.shards["total"] > 16
    assert len(starts) == 2
    assert sum(starts) == 24


def test_what_was_committed_before_an_interrupt_stays(
    many: Path, tmp_path: Path, starts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    batch = store.batch(store.snapshot(many), "full", shards=16)
    commit, committed = shard_run.commit_shard, []

    def interrupted(*arguments: Any) -> None:
        if len(committed) == 3:
            raise KeyboardInterrupt
        committed.append(commit(*arguments))

    with monkeypatch.context() as patch:
        patch.setattr(shard_run, "commit_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            batch.run("sync")
    assert batch.status()["shards"]["done"] == 3
    starts.clear()
    report = batch.run("sync")
    assert starts != [24]
    assert len(starts) == 1
    assert report.result == scan(many, tmp_path / "other", scheduler="threads").result


def call(shard_id: str, new_bytes: int) -> ShardCall:
    lease = RunLease("lease", 1)
    return ShardCall("", "", "batch-0", shard_id, "0", lease=lease, new_bytes=new_bytes)


@pytest.mark.parametrize(
    ("sizes", "workers", "groups"),
    [
        ([100] * 16, 2, [5, 3, 2, 2, 1, 1, 1, 1]),  # all workers end at about the same time
        ([100] * 20, 0, [16, 4]),
        ([2**24] * 5, 0, [2, 2, 1]),  # 32 MiB of sources are open at a time
        ([2**26, 1, 1], 0, [1, 2]),
        ([100, 0, 100, 100], 0, [1, 1, 2]),  # nobody knows how much there is to do
        ([], 2, []),
    ],
)
def test_how_many_shards_are_run_as_one_call(
    sizes: list[int], workers: int, groups: list[int]
) -> None:
    calls = [call(str(number), size) for number, size in enumerate(sizes)]
    found = list(groups_of(calls, workers))
    assert [len(group) for group in found] == groups
    assert [one for group in found for one in group] == calls
