"""The choice of a scheduler for a run, without importing Dask.

Order: what was asked for, ``CODEBATCH_SCHEDULER``, ``dask.config.set(scheduler=…)``, the client
that a program works with already, the address in Dask's configuration (``DASK_SCHEDULER_ADDRESS``,
or ``scheduler-address`` in a YAML file), else a local scheduler that suits the amount of work.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import site
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codebatch.model.errors import SchedulerInvalidError, UsageError
from codebatch.runtime.lazy import lazily
from codebatch.store.destination import check_writable

with lazily():
    from codebatch.cluster.connect import configuration
    from codebatch.graph import configured

AUTO = "auto"
LOCAL = ("sync", "threads", "processes")
VARIABLE = "CODEBATCH_SCHEDULER"
DASK_VARIABLE = "DASK_SCHEDULER_ADDRESS"
# Names the scheduler of a program that is a function: what runs a graph as Dask's own would.
DASK = "dask"

_ADDRESS = re.compile(r"(?:tcp|tls)://(?:[^\s/:\[\]]+|\[\S+\]):([0-9]{1,5})\Z")
_OTHER_ADDRESS = re.compile(r"(?:ws|wss|ucx|inproc)://\S+\Z")
_DASK_VARIABLES = ("DASK_SCHEDULER", "DASK_NUM_WORKERS")
_SETTING = re.compile(rb"^[^#\n]*\bscheduler[-_]address\b", re.MULTILINE)
_SETTINGS_SUFFIXES = (".yaml", ".yml", ".json")
_MAX_SETTINGS_BYTES = 2**20
_TINY_WORK_BYTES = 2**19
_SMALL_WORK_BYTES = 2 * 2**20


@dataclass(frozen=True)
class SchedulerChoice:
    """``name`` is a local scheduler, an address, or a path to a scheduler file. A local one may use
    a ``pool`` of the program, or be a function ``get`` of it.
    """

    name: str
    workers: int
    pool: Any = None
    get: Callable[..., Any] | None = None

    @property
    def is_local(self) -> bool:
        """True if it runs on this machine alone."""
        return self.name in (*LOCAL, DASK)

    @property
    def is_this_process(self) -> bool:
        """True if tasks run in this process."""
        return self.name in ("sync", "threads")


def choose_scheduler(asked: str | None, workers: int | None, work_bytes: int) -> SchedulerChoice:
    """Return the scheduler for a run over ``work_bytes`` of source."""
    named = asked or os.environ.get(VARIABLE)
    found = _configured()
    workers = workers or (found.workers if found else None) or usable_cpus()
    if found and found.name and not named:
        return SchedulerChoice(found.name, workers, found.pool, found.get)
    name = named or _configured_for_dask() or AUTO
    if name == AUTO:
        name = _local_for(work_bytes)
    elif name not in LOCAL and not _is_cluster(name):
        raise SchedulerInvalidError(
            f"unknown scheduler: {name}",
            hints=[f"choose {', '.join((AUTO, *LOCAL))}, tcp://host:port, or a scheduler file"],
        )
    return SchedulerChoice(name, workers)


def current_client(asked: str | None, *, asynchronous: bool = False) -> Any:
    """Return the client that a program works with already, a notebook say, unless something more
    definite names a scheduler; else None (`distributed.default_client`). One made for asynchronous
    use counts for what does not wait for its results.
    """
    distributed = sys.modules.get("distributed")
    if asked or os.environ.get(VARIABLE) or distributed is None:
        return None
    found = _configured()
    if found and (found.client or found.name):
        return found.client
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    is_usable = client.status == "running" and (asynchronous or not client.asynchronous)
    return client if is_usable else None


def current_annotations() -> Mapping[str, Any]:
    """Return the annotations of Dask that are in force (`dask.annotate`)."""
    dask = sys.modules.get("dask")
    return dict(dask.get_annotations()) if dask is not None else {}


def check_address(name: str) -> None:
    """Raise `SchedulerInvalidError` unless this is an address, or a scheduler file."""
    if not _is_cluster(name):
        raise SchedulerInvalidError(
            f"not the address of a cluster: {name}",
            hints=["give tcp://host:port, or a scheduler file"],
        )


def check_report(path: str | None, choice: SchedulerChoice, client: object = None) -> None:
    """Raise where Dask's report on a run is asked for and cannot be had: `UsageError` without a
    cluster, `OutputError` where the file cannot be written.
    """
    if path is None:
        return
    if client is None and choice.is_local:
        raise UsageError(
            f"only a cluster makes a performance report, and the scheduler is {choice.name}",
            hints=["give --scheduler tcp://host:port, or leave out --performance-report"],
        )
    check_writable(path)


def needs_processes(asked: str | None, workers: int | None, work_bytes: int) -> bool:
    """Return true if a run over so much source would start worker processes."""
    if current_client(asked) is not None:
        return False
    return choose_scheduler(asked, workers, work_bytes).name == "processes"


def usable_cpus() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _local_for(work_bytes: int) -> str:
    """Return ``sync`` where the rest would start later than it ends; ``threads`` where starting
    processes would cost more, or where no lock holds threads back.
    """
    if work_bytes < _TINY_WORK_BYTES:
        return "sync"
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    return "threads" if free_threaded or work_bytes < _SMALL_WORK_BYTES else "processes"


def _is_cluster(name: str) -> bool:
    """Return true for the address of a cluster, or a file that holds one, or that a scheduler is
    about to write.
    """
    match = _ADDRESS.match(name)
    if match is not None:
        return 0 < int(match[1]) < 2**16
    return _OTHER_ADDRESS.match(name) is not None or _may_be_file(name)


def _may_be_file(name: str) -> bool:
    # What cannot be looked at is not there: `Path` would raise.
    if os.path.exists(name) or not name.endswith(".json"):
        return os.path.isfile(name)
    return os.path.isdir(os.path.dirname(name) or ".")


def _configured() -> configured.Configured | None:
    """Return the scheduler in Dask's configuration, which a program sets once Dask is loaded."""
    if "dask" not in sys.modules and not any(map(os.environ.get, _DASK_VARIABLES)):
        return None
    return configured.configured_scheduler()


def _configured_for_dask() -> str | None:
    """Return the address in Dask's configuration.

    Importing `dask.config` takes 0.36 s of processor time, a fifth of a run over 600 files: where
    it is not loaded yet, it is imported only if one of its files speaks of an address.
    """
    named = os.environ.get(DASK_VARIABLE) or None
    if "dask" not in sys.modules and (named or not _is_in(tuple(_settings_places()))):
        return named
    return configuration.scheduler_address() or named


def _settings_places() -> Iterator[str]:
    """Yield the places where Dask looks for its YAML files."""
    yield os.environ.get("DASK_ROOT_CONFIG", "/etc/dask")
    yield from (os.path.join(prefix, "etc", "dask") for prefix in (sys.prefix, *site.PREFIXES))
    yield os.path.join(os.path.expanduser("~"), ".config", "dask")
    yield os.environ.get("DASK_CONFIG", "")


@functools.cache
def _is_in(places: tuple[str, ...]) -> bool:
    """Return true if a file in one of the folders, or a file named itself, sets an address."""
    return any(_SETTING.search(data) for place in places if place for data in _read(place))


def _read(place: str) -> Iterator[bytes]:
    """Yield the start of each file in the folder, or of the file itself."""
    try:
        names = [name for name in os.listdir(place) if name.lower().endswith(_SETTINGS_SUFFIXES)]
        paths = [os.path.join(place, name) for name in names]
    except NotADirectoryError:
        paths = [place]
    except OSError:  # most of the places do not exist
        return
    for path in paths:
        with contextlib.suppress(OSError), open(path, "rb") as stream:  # as Dask passes it by
            yield stream.read(_MAX_SETTINGS_BYTES)
