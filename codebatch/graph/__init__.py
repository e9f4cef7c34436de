"""Shards and nodes of batch tasks as a Dask graph."""
