"""The tasks that there are: the built-in ones, those that were given to this process, and those
that installed packages offer under the entry point group ``codebatch.tasks``.

A name is looked for in this order. The names of built-in tasks are theirs. Of tasks that were given
all are kept, by the digest of their code: a batch runs those that it was planned with.
"""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from codebatch.model.errors import CodeBatchError, TaskInvalidError, TaskNotFoundError
from codebatch.model.records import PlannedTask
from codebatch.model.resources import nearest_of
from codebatch.tasks.base import Task

if TYPE_CHECKING:
    from codebatch.tasks.code import Code
    from codebatch.tasks.code.carry import Known

GROUP = "codebatch.tasks"
_ADDRESS = re.compile(r"(?!-)(?:.+\.py|\w+(?:\.\w+)*):\w+(?:\.\w+)*\Z")
TOOL = "tool"  # the task that every description is
BUILT_IN = {
    "parse": "codebatch.tasks.parse:parse",
    "analyze": "codebatch.tasks.analyze:analyze",
    "symbols": "codebatch.tasks.symbols:symbols",
    "lint": "codebatch.tasks.lint:lint",
    "shapes": "codebatch.tasks.shapes:shapes",
    "hotspots": "codebatch.tasks.hotspots:Hotspots",
    "duplicates": "codebatch.tasks.duplicates:Duplicates",
    TOOL: "codebatch.tasks.tools.task:TOOL",
    "sarif": "codebatch.tasks.sarif:SARIF",
}

LOADED: dict[str, Task] = {}  # built-in tasks, and those of packages
_given: dict[str, Task] = {}  # the last one of each name
_addresses: dict[Task, str] = {}  # how those were named that were loaded from an address
_by_digest: dict[tuple[str, str], Task] = {}  # by name and digest of code


def find_task(name: str) -> Task:
    """The task of that name, else `TaskNotFoundError`."""
    known = LOADED.get(name)
    if known is None and name in BUILT_IN:
        known = LOADED[name] = load_attribute(BUILT_IN[name])
    if known is None:
        known = _given.get(name) or _offered(name) or _packaged(name)
    if known is None:
        names = task_names()
        nearest = nearest_of(name, names)
        near = [f"the nearest: {nearest}"] if nearest else []
        hints = [*near, f"known tasks: {', '.join(names)}", "one of your own: FILE.py:NAME"]
        raise TaskNotFoundError(f"unknown task: {name}", hints=hints)
    return known


def resolve_task(given: object) -> Task:
    """Return a task that is given as itself, by its name, as ``FILE.py:NAME`` or ``module:NAME``.

    The code of the latter is run here: what names it must be as trusted as the command line.
    """
    if isinstance(given, Task):
        return given
    if not isinstance(given, str):
        raise _no_task(getattr(given, "__name__", repr(given)))
    if given.endswith(".json"):
        from codebatch.tasks.tools import load_tool  # noqa: PLC0415 - for tools alone

        return load_tool(given)
    if ":" not in given:
        return find_task(given)
    from codebatch.tasks.code import load_object  # noqa: PLC0415 - for users' tasks alone

    found = load_object(given)
    if not isinstance(found, Task):
        raise _no_task(given)
    _addresses[found] = given
    return found


def source_of(task: Task) -> str:
    """Return what names a user's task on a command line; empty for a built-in one."""
    return "" if is_built_in(task) else _addresses.get(task, task.source)


def give_tasks(given: Sequence[object], planned: Sequence[PlannedTask]) -> None:
    """Make tasks known that a batch runs; an error where it does not run one of them."""
    names = {task.task: task for task in planned}
    for task in map(resolve_task, given):
        if task.registered not in names:
            raise TaskNotFoundError(
                f"task {task.name} is none of the batch", hints=[f"its tasks: {', '.join(names)}"]
            )
        if task.definition:
            _give_planned(task, planned)
        elif not is_built_in(task):
            register(task)


def give_tool(config: Mapping[str, Any]) -> None:
    """Have the description of a tool count as given: a plan may name its command."""
    from codebatch.tasks.tools import trust  # noqa: PLC0415 - for tools alone

    trust.remember(config)


def _give_planned(task: Task, planned: Sequence[PlannedTask]) -> None:
    from codebatch.tasks.tools import trust  # noqa: PLC0415 - for tools alone

    for one in planned:
        if one.task == task.definition:
            trust.remember_filled(task.config, one.config)


def _no_task(what: str) -> TaskInvalidError:
    return TaskInvalidError(f"{what} is no task", hints=["decorate it with @codebatch.task"])


def task_names() -> list[str]:
    """Return the names of all tasks that can be found, sorted."""
    return sorted({*BUILT_IN, *_given, *_entry_points()})


class Listed(NamedTuple):
    """A task by name, with where it is from; None with the reason where it cannot be loaded."""

    name: str
    task: Task | None
    source: str
    error: str | None = None


def listed_tasks() -> Iterator[Listed]:
    """Yield every task that can be found by its name, sorted; packages are loaded for it."""
    for name in task_names():
        places = _entry_points().get(name, ())
        source = ", ".join(f"{package} ({place})" for package, place in places)
        if name in BUILT_IN or name in _given:
            source = "built-in" if name in BUILT_IN else _given[name].source
        try:
            yield Listed(name, find_task(name), source)
        except CodeBatchError as error:
            yield Listed(name, None, source, error.message)


def is_built_in(task: Task) -> bool:
    """Return whether a task is one of this package: no other can have the name of one."""
    if task.definition:
        return task.definition in BUILT_IN
    return task.name in BUILT_IN and task is find_task(task.name)


def built_in_tasks() -> list[Task]:
    """Return the built-in tasks."""
    return [find_task(name) for name in BUILT_IN]


def task_of(planned: PlannedTask) -> Task:
    """The task of a plan, as it was planned; `TaskNotFoundError` where it is not known here."""
    if planned.code is None:
        if planned.task == TOOL:
            check_tool(planned)
        return find_task(planned.task).bound(planned.config)
    found = _by_digest.get((planned.task, planned.code))
    if found is None and (known := carried(planned)) is not None:
        found = cast("Task | None", known.task)
    if found is None and planned.task not in _given and _offered(planned.task) is not None:
        register(find_task(planned.task))
        found = _by_digest.get((planned.task, planned.code))
    return found or _other_version(planned)


def check_tool(planned: PlannedTask) -> None:
    """Raise `TaskNotFoundError` where a plan names a command that nobody has given here: a store
    says what it likes.
    """
    from codebatch.tasks.tools import trust  # noqa: PLC0415 - for tools alone

    if not (trust.is_given(planned.config) or trust.is_packaged(planned.config)):
        raise TaskNotFoundError(
            f"the command of task {planned.id} is none that was given here: the store names it",
            hints=[
                "run the command again that has made the batch: it goes on from here",
                "or give the description: --task FILE.json",
            ],
            details={"task": planned.id, "run": cast("Any", planned.config["run"])},
        )


def carried(planned: PlannedTask) -> Known | None:
    """Return a user's task whose code was sent to this process; None for any other."""
    if planned.code is None:
        return None
    from codebatch.tasks.code.carry import known_task  # noqa: PLC0415 - for users' tasks alone

    return known_task(planned.task, planned.code)


def prepares(planned: PlannedTask) -> bool:
    """Return whether a task of a plan looks at many files at once; it need not be loaded here."""
    known = carried(planned)
    return known.prepares if known is not None else task_of(planned).prepare is not None


def register(task: Task) -> Code:
    """Make a task known to this process under its name; return what its code is."""
    if task.name in BUILT_IN:
        raise TaskInvalidError(
            f"task {task.name}: this name is that of a built-in task",
            hints=["give it another one: @codebatch.task(name=…)"],
        )
    code = code_of(task)
    if task is not LOADED.get(task.name):
        _given[task.name] = task
    _by_digest[task.name, code.digest] = task
    return code


def code_of(task: Task) -> Code:
    """Return what the code of a user's task is now."""
    from codebatch.tasks.code import describe  # noqa: PLC0415 - for users' tasks alone

    return describe(task)


def load_attribute(place: str) -> Task:
    """Return the task that ``module:attribute`` names; ImportError or AttributeError without it."""
    module, _, attribute = place.partition(":")
    found: object = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    if not isinstance(found, Task):
        raise _no_task(place)
    return found


def _offered(name: str) -> Task | None:
    """Return the task that an installed package offers under a name; None where none does."""
    places = _entry_points().get(name)
    if places is None:
        return None
    if len(places) > 1:
        packages = ", ".join(package for package, _ in places)
        raise TaskInvalidError(f"task {name}: several packages offer it: {packages}")
    if name not in LOADED:
        package, place = places[0]
        try:
            found = load_attribute(place)
        except (ImportError, AttributeError) as error:
            raise TaskInvalidError(f"task {name}: {package} does not have it: {error}") from error
        if found.name != name:
            raise TaskInvalidError(f"task {name}: {package} calls it {found.name} in its code")
        LOADED[name] = found
    return LOADED[name]


def _packaged(name: str) -> Task | None:
    """Return the task of a tool that this package describes; None where it describes none."""
    from codebatch.tasks.tools import find_tool  # noqa: PLC0415 - for tools alone

    return find_tool(name)


@cache
def _entry_points() -> dict[str, list[tuple[str, str]]]:
    """The (package, place) of each name that installed packages offer; built-in names are left out.

    Read for names that are not built in only: it takes 25 ms.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415

    found: dict[str, list[tuple[str, str]]] = {}
    for point in sorted(entry_points(group=GROUP)):
        package = point.dist.name if point.dist is not None else point.module
        if point.name not in BUILT_IN and (package, point.value) not in found.get(point.name, ()):
            found.setdefault(point.name, []).append((package, point.value))
    return found


def _other_version(planned: PlannedTask) -> Task:
    """Return the task of that name though its code is another, which a comparison will name."""
    found = _given.get(planned.task) or _offered(planned.task)
    if found is not None:
        return found
    raise TaskNotFoundError(
        f"task {planned.task} of the batch is not known here: its code is not in the store",
        hints=[f"name it: --task {_shown(planned.source)}", "in Python: batch.run(tasks=[…])"],
        details=cast("dict[str, object]", {"task": planned.task, "source": planned.source}),
    )


def _shown(source: str) -> str:
    """Return an address as a word of a shell. It is what a store says, which may be anyone's: what
    is no plain address is not shown, since people copy the line.
    """
    is_plain = source.isprintable() and _ADDRESS.match(source)
    return shlex.quote(source) if is_plain else "FILE.py:NAME"
