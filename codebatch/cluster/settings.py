"""Settings of a run on a cluster. Every command imports them, for its options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from codebatch.model.errors import UsageError

AUTO = "auto"  # what its workers can do
SHARED = "shared"  # they open the store
SHIPPED = "shipped"  # they never see it
TRANSPORTS = (AUTO, SHARED, SHIPPED)


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of a run on a cluster; without effect on a local scheduler.

    ``transport`` is one of `TRANSPORTS`, ``timeout`` how many seconds to wait for a scheduler or
    for workers that are not there, yet or any more; Dask's configuration may fill in either where
    it is None. Dask's report on the run is written to the file ``performance_report``.
    ``on_notice`` is told what a person may want to know, in one line; ``on_stall`` when there was
    no answer for long, with facts for an event.
    """

    transport: str | None = None
    timeout: float | None = None
    performance_report: str | None = None
    on_notice: Callable[[str], None] = lambda _: None
    on_stall: Callable[[Mapping[str, object]], None] = lambda _: None


def choose_cluster_settings(
    transport: str | None = None,
    timeout: float | None = None,
    performance_report: str | os.PathLike[str] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> ClusterSettings:
    """Return the settings, checked; `UsageError` where one is not valid."""
    if transport not in (None, *TRANSPORTS):
        raise UsageError(
            f"unknown transport: {transport}", hints=[f"choose {', '.join(TRANSPORTS)}"]
        )
    if timeout is not None and not 0 <= timeout < float("inf"):
        raise UsageError(f"not a number of seconds: {timeout}")
    report = None if performance_report is None else os.fspath(performance_report)
    return ClusterSettings(transport, timeout, report, on_notice or (lambda _: None))
