"""The columns of flat tables have one type, and the same in every form."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from conftest import Outcome, Scanned

from codebatch.model.records import KINDS


def test_the_value_of_a_metric_is_a_number_in_sql(scanned: Scanned) -> None:
    batch = scanned.batch
    (row,) = batch.sql("SELECT max(value) AS most, count(value_text) AS texts FROM metrics")
    numbers = [r["value"] for r in batch.records(kind="metric") if r["metric"] != "language"]
    texts = [r["value"] for r in batch.records(kind="metric") if r["metric"] == "language"]
    assert row == {"most": max(numbers), "texts": len(texts)}  # type: ignore[type-var]
    found = batch.sql("SELECT value_text AS text FROM metrics WHERE value IS NULL")
    assert sorted(row["text"] for row in found) == sorted(texts)  # type: ignore[type-var]


def test_the_value_of_a_metric_is_a_number_in_csv(
    scanned: Scanned, main: Callable[..., Outcome]
) -> None:
    stream = io.BytesIO()
    scanned.batch.export("csv", stream, kind="metric")
    listed = main("query", "metrics", "--format", "csv", "--store", scanned.path).out
    for text in (stream.getvalue().decode(), listed):
        rows = [*csv.DictReader(io.StringIO(text, newline=""))]
        assert {row["value"].isdigit() for row in rows if row["value"]} == {True}
        assert {row["metric"] for row in rows if row["value_text"]} == {"language"}
        assert all(bool(row["value"]) != bool(row["value_text"]) for row in rows)


@pytest.mark.parametrize("kind", [*KINDS, None])
def test_types_are_the_same_in_every_form(kind: str | None, scanned: Scanned) -> None:
    pytest.importorskip("pandas", reason="the extra pandas is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    batch = scanned.batch
    arrow = batch.outputs(kind=kind).to_arrow().schema
    frame = batch.outputs(kind=kind).to_pandas()
    assert list(frame.columns) == arrow.names
    types = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert set(types.values()) <= {"category", "int64", "Int64", "bool", "boolean", "str", "object"}
    lazily = batch.to_dask_dataframe(kind=kind)  # which has a type of its own for text
    assert [str(dtype).replace("string", "str") for dtype in lazily.dtypes] == [
        dtype.replace("object", "str") for dtype in types.values()
    ]
    if kind is None:
        return
    stream = io.BytesIO()
    batch.export("parquet", stream, kind=kind)
    assert parquet.read_schema(io.BytesIO(stream.getvalue())).equals(arrow)


def test_metrics_in_a_frame_are_reckoned_with(scanned: Scanned) -> None:
    pytest.importorskip("pandas", reason="the extra pandas is not installed")
    frame = scanned.batch.outputs(kind="metric").to_pandas()
    assert frame.groupby("metric", observed=True)["value"].sum()["loc"] > 0
    assert set(frame.value_text.dropna()) >= {"python", "typescript"}
