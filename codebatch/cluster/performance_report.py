"""Dask's own report on the work of a cluster, as a file: what its dashboard shows, to be kept.

The scheduler makes the report, and needs bokeh for it; this process writes the file. A report
that fails is a notice, and no reason to lose a run.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import distributed

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.settings import ClusterSettings
from codebatch.model.errors import ClusterError, MissingExtraError
from codebatch.store.destination import writing_file

_MAKE_SECONDS = 120


@contextlib.contextmanager
def reporting(cluster: Cluster, settings: ClusterSettings) -> Iterator[None]:
    """Write Dask's report on a block where the settings ask for one."""
    if settings.performance_report is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        # Under a name of ours: Dask would take a part of some names for a protocol or a filter.
        made = os.path.join(folder, "report.html")
        report: Any = distributed.performance_report(  # type: ignore[no-untyped-call]
            made,
            mode="inline",  # to be read offline
        )
        with cluster.client.as_current():
            cluster.client.sync(report.__aenter__)
        try:
            yield
        finally:
            try:
                if cluster.client.status != "running":
                    raise ClusterError("the scheduler is lost")
                end = {"code": "codebatch", "callback_timeout": _MAKE_SECONDS}
                with cluster.client.as_current():
                    cluster.client.sync(report.__aexit__, None, None, None, **end)
                with open(made, "rb") as source, writing_file(settings.performance_report) as to:
                    shutil.copyfileobj(source, to)
            except Exception as error:  # noqa: BLE001 - whatever a scheduler may answer
                settings.on_notice(f"no performance report: {type(error).__name__}: {error}")


def can_import(name: str) -> bool:
    """Return true if this process can import a module; runs on the scheduler."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def check_reporting(client: Any, settings: ClusterSettings) -> None:
    """Raise `MissingExtraError` where a report is asked for and the scheduler cannot make one."""
    if settings.performance_report is None:
        return
    if not client.run_on_scheduler(can_import, "bokeh"):
        raise MissingExtraError(
            "a performance report needs bokeh, which the scheduler does not have",
            hints=["where the scheduler is: pip install 'codebatch[dashboard]'"],
        )
