"""Dask graphs of shards and the schedulers that run them: the only importer of dask.

Import this package where work is about to run, not before: it costs a third of a second.
"""

from dask.threaded import get as get_in_threads

from codebatch.graph.cluster import Cluster, connect, connected
from codebatch.graph.compile import compile_graph
from codebatch.graph.insight import reporting
from codebatch.graph.local import run_in_processes, run_in_threads
from codebatch.graph.shared import run_shared
from codebatch.graph.shipped import run_shipped

__all__ = [
    "Cluster",
    "compile_graph",
    "connect",
    "connected",
    "get_in_threads",
    "reporting",
    "run_in_processes",
    "run_in_threads",
    "run_shared",
    "run_shipped",
]
