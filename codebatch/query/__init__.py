"""Read-only views of a batch."""

from codebatch.query.fields import FIELDS, FILE_FIELDS, record_columns
from codebatch.query.filters import RecordFilter, check_choice
from codebatch.query.inspect import file_lines, inspect
from codebatch.query.listing import batch_rows, snapshot_rows
from codebatch.query.order import check_sort, sorted_rows
from codebatch.query.records import Records, iter_records, records, sorted_records
from codebatch.query.show import BATCH, OBJECT, SNAPSHOT, Target, find_target, show
from codebatch.query.sql import DEFAULT_TIMEOUT, SqlResult, run_sql
from codebatch.query.top import top_rows
from codebatch.query.views import file_rows, shard_rows, stats_rows, status, summary, task_rows

__all__ = [
    "BATCH",
    "DEFAULT_TIMEOUT",
    "FIELDS",
    "FILE_FIELDS",
    "OBJECT",
    "SNAPSHOT",
    "RecordFilter",
    "Records",
    "SqlResult",
    "Target",
    "batch_rows",
    "check_choice",
    "check_sort",
    "file_lines",
    "file_rows",
    "find_target",
    "inspect",
    "iter_records",
    "record_columns",
    "records",
    "run_sql",
    "shard_rows",
    "show",
    "snapshot_rows",
    "sorted_records",
    "sorted_rows",
    "stats_rows",
    "status",
    "summary",
    "task_rows",
    "top_rows",
]
