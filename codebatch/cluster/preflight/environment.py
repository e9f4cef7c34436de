"""Versions of everything on this machine that results or their transport depend on.

Workers of a cluster answer with them, so they are small and plain.
"""

from __future__ import annotations

import contextlib
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from codebatch.model.digest import Document
from codebatch.model.errors import CodeBatchError, StoreError
from codebatch.model.records import PlannedTask
from codebatch.model.version import __version__
from codebatch.plan.plan import carried_components, components_here
from codebatch.runtime.programs import find_program
from codebatch.store import open_store
from codebatch.store.layout import Layout
from codebatch.store.probe import can_write, is_marked, marked
from codebatch.tasks.native_tool import ToolError
from codebatch.tasks.registry import TOOL, built_in_tasks, give_tool, task_of

PACKAGES = (
    *("dask", "distributed", "oxlint", "ruff", "tree-sitter", "tree-sitter-javascript"),
    *("tree-sitter-typescript", "backports.zstd", "msgpack", "click", "jsonschema"),
    *("pyarrow", "pandas", "bokeh"),
)
VISIBLE, OTHER, MISSING = "visible", "another store", "missing"
COPY, READ_ONLY = "a copy", "not writable"
_TIMEOUT_SECONDS = 10


class StoreProbe(NamedTuple):
    """A store to look for: where it is, which it is, and a mark that was left in it (None if
    nothing can be written there).
    """

    root: str
    store_id: str
    mark: str | None


class Facts(NamedTuple):
    """Versions here, and whether a store is the one that is meant, seen from here.

    ``toolchain`` is what the fingerprints of built-in tasks cover: plans made with other versions
    cannot be run here. ``tasks`` has, by the id of each planned task that was asked about, its
    components as they would be here, or an ``error``, with ``found`` true if only something that
    the task needs is missing. ``name`` is that of a worker.
    """

    host: str
    codebatch: str
    python: str
    toolchain: Mapping[str, str]
    packages: Mapping[str, str]
    store: str | None = None
    tasks: Mapping[str, Document] = {}
    name: str | None = None


def facts_here(tasks: Sequence[PlannedTask] = (), store: StoreProbe | None = None) -> Facts:
    """Return the facts of the process that calls."""
    packages: dict[str, str] = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    toolchain: dict[str, str] = {}
    for task in built_in_tasks():
        with contextlib.suppress(ImportError, ToolError):
            toolchain.update(task.toolchain())
    return Facts(
        platform.node(),
        __version__,
        platform.python_version(),
        toolchain,
        packages,
        None if store is None else _seen(store),
        {task.id: _components(task) for task in tasks},
    )


def trust_tools(tasks: Sequence[PlannedTask]) -> None:
    """Have the tools of a plan count as given: whoever reaches a worker may run what he likes."""
    for task in tasks:
        if task.task == TOOL:
            give_tool(task.config)


def own_version() -> str:
    """Return the version of codebatch in the process that calls."""
    return __version__


@contextlib.contextmanager
def store_probe(root: str, store_id: str) -> Iterator[StoreProbe]:
    """Mark the store for a block; yield what other processes have to look for."""
    layout = Layout(Path(root))
    with marked(layout) as mark:
        yield StoreProbe(root, store_id, mark)


def git_version() -> str | None:
    """Return the version of git; None where there is none."""
    git = find_program("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "--version"],
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    return done.stdout.removeprefix("git version ").strip() or None


def _components(task: PlannedTask) -> Document:
    """Return the components of a planned task here, or the error that keeps it from being run."""
    is_found = task.code is not None
    try:
        if is_found:  # the code is sent along
            return carried_components(task)
        task_of(task)
        is_found = True
        return components_here(task)
    except Exception as error:  # noqa: BLE001 - the module of a task is the user's
        return {"error": _words(error), "found": is_found}


def _words(error: Exception) -> str:
    known = isinstance(error, CodeBatchError)
    text = str(error).partition("\n")[0]
    return text if known else f"{type(error).__name__}: {text}"


def _seen(store: StoreProbe) -> str:
    try:
        found = open_store(Path(store.root))
    except StoreError:
        return MISSING
    if found.store_id != store.store_id:
        return OTHER
    if store.mark is not None and not is_marked(found.layout, store.mark):
        return COPY
    return VISIBLE if can_write(found.layout) else READ_ONLY
