"""Shard calls as a Dask graph, and the schedulers of this machine, which need no Dask."""
