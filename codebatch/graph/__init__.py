"""Dask graphs of shards and the schedulers that run them: the only importer of dask.

Import this package where work is about to run, not before: it costs a third of a second.
"""

from codebatch.errors import UsageError

try:
    from dask.threaded import get as get_in_threads
except ValueError as error:
    raise UsageError(
        f"Dask's configuration cannot be read: {str(error).partition(', original')[0]}",
        hints=["mend that file, or take it away"],
    ) from error

from codebatch.graph.cluster import Cluster, connected
from codebatch.graph.compile import compile_graph
from codebatch.graph.configuration import completed
from codebatch.graph.insight import check_reporting, reporting
from codebatch.graph.local import run_in_processes, run_in_threads
from codebatch.graph.preflight import examine, examine_workers
from codebatch.graph.shared import run_shared
from codebatch.graph.shipped import run_shipped

__all__ = [
    "Cluster",
    "check_reporting",
    "compile_graph",
    "completed",
    "connected",
    "examine",
    "examine_workers",
    "get_in_threads",
    "reporting",
    "run_in_processes",
    "run_in_threads",
    "run_shared",
    "run_shipped",
]
