"""What the code of a task is: the part of its fingerprint, and the sources that it is run from.

A task that a module has by a name consists of modules: its own and all that these import. One that
no module has (of a notebook, of ``__main__``, made within a function) consists of its source and of
the values it reads, along with the modules that these are from.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any, NamedTuple

from codebatch.model.digest import digest_document
from codebatch.model.errors import TaskCodeError
from codebatch.tasks.code.document import Code
from codebatch.tasks.code.importer import ModuleSource
from codebatch.tasks.code.modules import Finder, own_specs, parse_source
from codebatch.tasks.code.reach import Reach
from codebatch.tasks.code.values import MAIN, Values
from codebatch.tasks.records import OBJECT_TYPES, RECORD_TYPES

_PACKAGE = "codebatch"

# What a task yields that declares nothing.
_USUAL = (RECORD_TYPES, (*RECORD_TYPES, *OBJECT_TYPES))


class TaskCode(NamedTuple):
    """The code of a task. ``address`` is ``module:name``, None where no module has it."""

    code: Code
    sources: Mapping[str, ModuleSource]
    address: str | None


def is_built_in(subject: object) -> bool:
    """Return whether a function or class is part of this package: its version stands for it."""
    return str(getattr(subject, "__module__", "")).partition(".")[0] == _PACKAGE


def address_of(task: object, subject: object) -> str | None:
    """Return the ``module:name`` under which a module has a task, made of the function or class
    ``subject``; None where none has it.
    """
    module = str(getattr(subject, "__module__", None))
    if module in MAIN or module not in sys.modules:
        return None
    own = (name for name, value in vars(sys.modules[module]).items() if value is task)
    name = next(own, None)
    return f"{module}:{name}" if name is not None else _address_elsewhere(task)


def _address_elsewhere(task: object) -> str | None:
    """Return where a module has a task that it made of what it imports."""
    for module in sorted(name for name, _ in own_specs()):
        for name, value in list(vars(sys.modules[module]).items()):
            if value is task and _assigns(module, name):
                return f"{module}:{name}"
    return None


def _assigns(module: str, name: str) -> bool:
    """Return whether a module gives a value to a name, and does not just import it."""
    source = Finder().find(module)
    if not isinstance(source, ModuleSource) or source.data is None:
        return False
    nodes = ast.walk(parse_source(source.path, source.data))
    names = (node for node in nodes if isinstance(node, ast.Name) and node.id == name)
    return any(isinstance(node.ctx, ast.Store) for node in names)


def describe_task(task: Any) -> TaskCode:
    """Return the code of a `Task`; `TaskCodeError` names what of it cannot be covered."""
    try:
        found = _described(task, task.function)
    except TaskCodeError as error:
        message = f"task {task.name}: {error.message}"
        raise TaskCodeError(message, hints=error.hints, details=error.details) from error
    read = {**found.code.globals, **_declared(task)}
    return found._replace(code=replace(found.code, globals=read))


def _declared(task: Any) -> dict[str, str]:
    """Return digests of what a task declares of its records, where it does, by the parameters: what
    is computed where it is declared shows in no source.
    """
    declared: dict[str, object] = {}
    if task.own or tuple(task.classes) not in _USUAL:
        classes = sorted([cls.__qualname__, kind] for cls, kind in task.classes.items())
        declared["records="] = [classes, sorted(task.kinds), task.own]
    if task.rules:
        declared["rules="] = [rule.as_document() for rule in task.rules]
    return {name: digest_document("task-value", value) for name, value in declared.items()}


def _described(task: object, subject: Any) -> TaskCode:
    address = address_of(task, subject)
    if address is not None:
        module = address.partition(":")[0]
        reach = Reach(Finder(frozenset({module.partition(".")[0]})))
        if not reach.add_module(module) or not reach.sources:
            raise TaskCodeError(f"module {module} has no source")
        # Several tasks of one name may be made by one function: the address tells which it is.
        which = {address: digest_document("task-address", address)}
        return TaskCode(Code(reach.digests, which, reach.distributions), reach.sources, address)
    reach = Reach(Finder())
    own, read = _by_value(reach, subject)
    code = Code({**reach.digests, **own}, read, reach.distributions)
    return TaskCode(code, reach.sources, None)


def _by_value(reach: Reach, subject: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the digests of a function or class that is in no module, and of what it reads."""
    values = Values(reach)
    name = subject.__qualname__
    own = f"{subject.__module__}:{name}"
    if getattr(sys.modules.get(subject.__module__), name, None) is subject:
        reach.add_module(subject.__module__)  # pickles name it
    if not isinstance(subject, FunctionType):
        return {own: values.digest(subject, name)}, {}
    read = {
        one: values.digest(value, f"{one}, which {name}() reads")
        for one, value in values.reads(subject)
        if value is not subject
    }
    given = values.attributes(subject)
    defaults = [subject.__defaults__, subject.__kwdefaults__, *([given] if given else [])]
    source = [values.source(subject, name), values.digest(defaults, f"the defaults of {name}()")]
    return {own: values.digest(source, name)}, read
