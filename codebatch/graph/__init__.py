"""Shard calls as a Dask graph."""
