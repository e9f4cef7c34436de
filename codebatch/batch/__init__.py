"""Batches: made from a snapshot and a pipeline, run until done, and what a run came to."""

from codebatch.batch.calls import pending_calls
from codebatch.batch.create import BatchResult, init_batch
from codebatch.batch.journal import Progress
from codebatch.batch.recheck import recheck_batch, replace_differing
from codebatch.batch.report import RecheckReport, RunReport
from codebatch.batch.run import finish_run, run_batch
from codebatch.batch.settings import RunSettings

__all__ = [
    "BatchResult",
    "Progress",
    "RecheckReport",
    "RunReport",
    "RunSettings",
    "finish_run",
    "init_batch",
    "pending_calls",
    "recheck_batch",
    "replace_differing",
    "run_batch",
]
