"""Users' tasks as one message, for processes that have no file of theirs.

The message has the sources of all modules that the tasks are run from, as they were read for their
fingerprints. A task that a module has by a name is loaded from these; one that no module has is
pickled by value. A process that has adopted one message adopts no other, since two versions of a
module cannot be loaded side by side.

State: ``_known`` has the tasks of messages that came here, by name and digest of code. A process
that runs them has adopted them; one that only gives work to such processes is told of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

import msgpack

from codebatch.model.errors import CodeBatchError, TaskCodeError, TaskLoadError
from codebatch.tasks.code.describe import describe_task, is_built_in
from codebatch.tasks.code.importer import ModuleSource, hold
from codebatch.tasks.code.load import load_object
from codebatch.tasks.tools.trust import remember

NOTHING = b""  # the code of built-in tasks: everyone has it


class AnyTask(Protocol):
    """A task, as far as its code is concerned."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def function(self) -> Any:
        """The function or class that it is made of."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its settings."""

    @property
    def definition(self) -> str:
        """The built-in task that it is with its settings, where it is a tool."""

    @property
    def prepare(self) -> Any:
        """Its function for many files at once, or None."""


class CarriedTask(NamedTuple):
    """A task in a message: its name and the digest of its code, its ``module:name`` or else the
    task itself, pickled; ``prepares`` is true if it looks at many files at once.
    """

    name: str
    digest: str
    address: str
    pickled: bytes
    prepares: bool


class Known(NamedTuple):
    """A task of a message; ``task`` is None where it was not adopted."""

    task: object
    prepares: bool


_known: dict[tuple[str, str], Known] = {}


def carry(tasks: Sequence[AnyTask]) -> bytes:
    """Return the code of tasks as one message: `NOTHING` where all are built in."""
    sources: dict[str, ModuleSource] = {}
    carried = []
    tools = [dict(task.config) for task in tasks if task.definition]
    for task in tasks:
        if is_built_in(task.function):
            continue
        found = describe_task(task)
        for name, source in found.sources.items():
            if sources.setdefault(name, source) != source:
                raise TaskCodeError(f"module {name} is another one for task {task.name}")
        pickled = b"" if found.address else _pickled(task)
        address = found.address or ""
        prepares = task.prepare is not None
        carried.append(CarriedTask(task.name, found.code.digest, address, pickled, prepares))
    if not carried and not tools:
        return NOTHING
    modules = [sources[name] for name in sorted(sources)]
    return cast("bytes", msgpack.packb([modules, carried, tools], unicode_errors="surrogatepass"))


def adopt(data: bytes) -> None:
    """Load the tasks of a message; `TaskLoadError` where one cannot be loaded here."""
    modules, tasks = _unpacked(data)
    _trust(data)
    hold(modules)
    for task in tasks:
        loaded = load_object(task.address) if task.address else _unpickled(task)
        _known[task.name, task.digest] = Known(loaded, task.prepares)


def be_told(data: bytes) -> None:
    """Know which tasks a message has without loading them; nothing of it is run."""
    _trust(data)
    for task in _unpacked(data)[1]:
        _known.setdefault((task.name, task.digest), Known(None, task.prepares))


def known_task(name: str, digest: str) -> Known | None:
    """Return the task of a message that came here; None for any other."""
    return _known.get((name, digest))


@lru_cache(maxsize=4)
def _unpacked(data: bytes) -> tuple[list[ModuleSource], list[CarriedTask]]:
    """Return what a message has; it comes to a worker with each call."""
    if not data:
        return [], []
    modules, tasks, _ = msgpack.unpackb(data, unicode_errors="surrogatepass")
    return [ModuleSource(*one) for one in modules], [CarriedTask(*one) for one in tasks]


@lru_cache(maxsize=4)
def _trust(data: bytes) -> None:
    """Have the descriptions of tools in a message count as given: so they were to its sender."""
    if data:
        for config in msgpack.unpackb(data, unicode_errors="surrogatepass")[2]:
            remember(config)


def _pickled(task: AnyTask) -> bytes:
    import cloudpickle  # noqa: PLC0415 - for tasks that are in no module alone

    try:
        return cast("bytes", cloudpickle.dumps(task))
    except Exception as error:
        raise TaskCodeError(f"task {task.name} cannot be sent: {error}") from error


def _unpickled(task: CarriedTask) -> object:
    import cloudpickle  # noqa: PLC0415

    try:
        return cloudpickle.loads(task.pickled)
    except CodeBatchError:
        raise
    except Exception as error:
        text = str(error).partition("\n")[0]
        raise TaskLoadError(
            f"cannot load task {task.name}: {type(error).__name__}: {text}"
        ) from error
