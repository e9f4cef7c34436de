"""Dask graphs of shards and the schedulers that run them: the only importer of dask.

Import this package where work is about to run, not before: it costs a third of a second.
"""

from dask.threaded import get as get_in_threads

from codebatch.graph.cluster import connect, run_on_cluster
from codebatch.graph.compile import compile_graph
from codebatch.graph.local import run_in_processes, run_in_threads

__all__ = [
    "compile_graph",
    "connect",
    "get_in_threads",
    "run_in_processes",
    "run_in_threads",
    "run_on_cluster",
]
