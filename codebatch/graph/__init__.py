"""Dask graphs of shards and the schedulers that run them: the only importer of dask.

Import this package where work is about to run, not before: it costs a tenth of a second, and
`cluster.session`, which a cluster needs, three times that.
"""

from codebatch.model.errors import UsageError

try:
    from dask.threaded import get as get_in_threads
except ValueError as error:
    raise UsageError(
        f"Dask's configuration cannot be read: {str(error).partition(', original')[0]}",
        hints=["mend that file, or take it away"],
    ) from error

from codebatch.graph.compile import compile_graph
from codebatch.graph.local import run_in_processes, run_in_threads

__all__ = ["compile_graph", "get_in_threads", "run_in_processes", "run_in_threads"]
