"""Connections to a Dask scheduler: the address, the configuration, the client."""
