"""Dask's configuration: the section of this program, and what names a scheduler.

Section ``codebatch:`` of Dask's YAML files, or ``DASK_CODEBATCH__…`` in the environment:

- ``transport``: ``auto``, ``shared`` or ``shipped``
- ``cluster-timeout``: how long to wait for a scheduler or workers that are not there, yet or any
  more; null for what suits each

It is read where a run is started, never on a worker.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from codebatch.cluster.settings import AUTO, ClusterSettings, choose_cluster_settings
from codebatch.model.errors import UsageError

try:  # before any other module imports Dask
    import dask.config
    import dask.utils
except ValueError as error:
    raise UsageError(
        f"Dask's configuration cannot be read: {str(error).partition(', original')[0]}",
        hints=["mend that file, or take it away"],
    ) from error

CONNECT_SECONDS = 15.0

_CONNECT = "distributed.comm.timeouts.connect"

dask.config.update_defaults({"codebatch": {"transport": AUTO, "cluster-timeout": None}})


def completed(settings: ClusterSettings) -> ClusterSettings:
    """Return the settings, completed from the configuration; `UsageError` where a configured
    value is not valid.
    """
    transport = dask.config.get("codebatch.transport")
    timeout = dask.config.get("codebatch.cluster-timeout")
    if timeout is not None:
        timeout = _seconds("codebatch.cluster-timeout", timeout)
    checked = choose_cluster_settings(transport, timeout)
    return replace(
        settings,
        transport=settings.transport or checked.transport,
        timeout=checked.timeout if settings.timeout is None else settings.timeout,
    )


def scheduler_address() -> str | None:
    """Return the address of a scheduler, if one is configured."""
    return dask.config.get("scheduler-address", None) or None


def connect_seconds() -> float:
    """Return for how many seconds to try to reach a scheduler: as configured, else
    `CONNECT_SECONDS`, half of Dask's own default.
    """
    configured = dask.config.get(_CONNECT, None)
    is_chosen = configured != dask.config.get(
        _CONNECT, None, config=dask.config.merge(*dask.config.defaults)
    )
    if not is_chosen and dask.config.get(_CONNECT, None, config=dask.config.collect()) is None:
        return CONNECT_SECONDS
    return _seconds(_CONNECT, configured)


def _seconds(name: str, value: Any) -> float:
    try:
        return float(dask.utils.parse_timedelta(value, "s"))
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            f"{name} in Dask's configuration is no length of time: {value}",
            hints=["give it as 15s or 2m"],
        ) from None
