"""The records of a batch as bags and DataFrames of Dask: by shard, from the store."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.bag
import pytest
from conftest import Scanned
from distributed import Client
from schedulers import cluster_here

import codebatch
from codebatch.model.errors import BatchUnfinishedError, MissingExtraError, StoreNotFoundError
from codebatch.model.records import FAILED
from codebatch.store.shards import Shards

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

local = pytest.fixture(cluster_here, scope="module")


def in_order(records: Iterable[object]) -> list[str]:
    return sorted(json.dumps(record, sort_keys=True) for record in records)


def test_a_bag_has_the_records_of_each_shard(scanned: Scanned) -> None:
    bag = scanned.batch.to_bag()
    assert isinstance(bag, dask.bag.Bag)
    assert bag.npartitions == scanned.report.shards["total"]
    assert in_order(bag.compute(scheduler="sync")) == in_order(scanned.batch.records())
    some = scanned.batch.to_bag(task="lint", severity="warning")
    expected = scanned.batch.records(task="lint", severity="warning")
    assert in_order(some.compute(scheduler="sync")) == in_order(expected)
    assert bag.name != some.name


def test_what_is_not_done_is_run_first(
    local: Any, batch: codebatch.Batch, scanned: Scanned
) -> None:
    with Client(local):
        counted = batch.to_bag(kind="metric").count().compute()
    assert counted == len(list(scanned.batch.records(kind="metric")))
    assert batch.load_status().shards()["done"] == scanned.report.shards["total"]


def test_it_is_read_from_the_store_alone(local: Any, scanned_copy: Scanned) -> None:
    bag = scanned_copy.batch.to_bag()
    shutil.rmtree(scanned_copy.path)
    with Client(local), pytest.raises(StoreNotFoundError, match="workers run: no store"):
        bag.compute()


def test_a_shard_that_failed_has_no_records(
    batch: codebatch.Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Shards.load_verified_state

    def failed(*arguments: Any, **options: Any) -> Any:
        state = load(*arguments, **options)
        return state and replace(state, status=FAILED)

    batch.run("sync")
    bag = codebatch.open_store(batch.path).find_batch(batch.id).to_bag()
    monkeypatch.setattr(Shards, "load_verified_state", failed)
    with pytest.raises(BatchUnfinishedError, match="is not done"):
        bag.compute(scheduler="sync")


def test_a_dataframe_has_the_columns_of_the_kinds(scanned: Scanned) -> None:
    pytest.importorskip("pandas", reason="the extra pandas is not installed")
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    frame = scanned.batch.to_dask_dataframe(kind="symbol")
    assert frame.npartitions == scanned.report.shards["total"]
    whole = frame.compute(scheduler="sync")
    expected = scanned.batch.outputs(kind="symbol").to_pandas()
    assert list(whole.columns) == list(expected.columns)
    assert sorted(zip(whole["path"], whole["line"], strict=True)) == sorted(
        zip(expected["path"], expected["line"], strict=True)
    )
    assert whole["line"].dtype == expected["line"].dtype == "int64"


# Dask asks pandas for what a later pandas will not have.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_dataframes_have_categories_of_text_that_each_partition_has_of_its_own(
    scanned: Scanned, tmp_path: Path
) -> None:
    pandas = pytest.importorskip("pandas", reason="the extra pandas is not installed")
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    frame = scanned.batch.records().to_dask_dataframe()
    whole = frame.compute(scheduler="sync")
    expected = scanned.batch.records().to_pandas()
    assert len(whole) == len(expected)
    text = pandas.Series([""]).dtype
    for name in (name for name, of in expected.dtypes.items() if of == "category"):
        assert expected[name].cat.categories.dtype == text
        assert frame[name].cat.known is False
        assert sorted(whole[name].dropna()) == sorted(expected[name].dropna())
    none = scanned.batch.outputs(kind="diagnostic", code="L002").to_pandas()
    assert none["path"].cat.categories.dtype == text
    with dask.config.set(scheduler="sync"):
        frame[["kind", "path", "metric"]].to_parquet(tmp_path / "frame")
    kept = pandas.read_parquet(tmp_path / "frame")
    assert sorted(kept["path"]) == sorted(expected["path"])


def test_a_dataframe_says_what_it_needs(scanned: Scanned, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "dask.dataframe"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match="pandas"):
        scanned.batch.to_dask_dataframe()
