"""Tables of Arrow as the frames of other packages: each is an extra, and imported here alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codebatch.model.errors import MissingExtraError
from codebatch.query.arrow import require_arrow
from codebatch.runtime.lazy import lazily

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl

    from codebatch.query.records import Records

with lazily():
    import pyarrow as pa


def to_pandas(records: Records) -> pd.DataFrame:
    """Return a DataFrame: a column of numbers or truth values that may be empty has the type of
    pandas that holds that, a category is one, a list is an array.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise _missing("DataFrames", "pandas") from error
    table = records.to_arrow()
    text = pd.Series([""]).dtype  # of pandas 3 a type of its own, which a column of nulls lacks
    texts = {} if text == "object" else {pa.string(): text}
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), **texts}
    columns = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_dictionary(field.type) and column.null_count == len(column):
            # Categories of text, as where there are some: those of two types do not go together.
            none = pd.Index([], dtype=text)
            columns[field.name] = pd.Series(pd.Categorical.from_codes([-1] * len(column), none))
            continue
        mapper = nullable if field.nullable else texts
        columns[field.name] = column.to_pandas(types_mapper=mapper.get)
    return pd.DataFrame(columns)


def to_polars(records: Records) -> pl.DataFrame:
    """Return a DataFrame of Polars."""
    try:
        import polars as pl  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise _missing("DataFrames of Polars", "polars") from error
    return pl.DataFrame(records.to_arrow().unify_dictionaries())


def to_duckdb(records: Records, connection: Any) -> duckdb.DuckDBPyRelation:
    """Return a relation that reads the stream of the records each time that it is executed; before
    DuckDB 1.5, which reads a stream once, of a table in memory.
    """
    require_arrow("a relation of DuckDB")
    try:
        import duckdb  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise _missing("relations of DuckDB", "duckdb", "sql") from error
    reads_again = tuple(map(int, duckdb.__version__.split(".")[:2])) >= (1, 5)
    source = records if reads_again else records.to_arrow()
    made: duckdb.DuckDBPyRelation = (connection or duckdb).from_arrow(source)
    return made


def _missing(what: str, package: str, extra: str = "") -> MissingExtraError:
    hints = [f"pip install 'codebatch[{extra or package}]'"]
    return MissingExtraError(f"{what} need {package}, which is not installed", hints=hints)
