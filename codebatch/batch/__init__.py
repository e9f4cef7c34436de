"""Batches: made from a snapshot and a pipeline, run until done, and what a run came to.

Other uses of them are in modules that their callers import: `chain`, `detached`, `recheck`.
"""

from codebatch.batch.create import BatchResult, init_batch
from codebatch.batch.dispatch import all_calls, pending_calls, pending_work
from codebatch.batch.options import OnWait, Progress, RunOptions
from codebatch.batch.report import RecheckReport, RunInterrupted, RunReport
from codebatch.batch.run import finish_run, run_batch

__all__ = [
    "BatchResult",
    "OnWait",
    "Progress",
    "RecheckReport",
    "RunInterrupted",
    "RunOptions",
    "RunReport",
    "all_calls",
    "finish_run",
    "init_batch",
    "pending_calls",
    "pending_work",
    "run_batch",
]
