"""Read-only views of a batch."""

from codebatch.query.filters import RecordFilter, check_choice
from codebatch.query.records import iter_records, sorted_records
from codebatch.query.views import file_rows, shard_rows, status, summary, task_rows

__all__ = [
    "RecordFilter",
    "check_choice",
    "file_rows",
    "iter_records",
    "shard_rows",
    "sorted_records",
    "status",
    "summary",
    "task_rows",
]
