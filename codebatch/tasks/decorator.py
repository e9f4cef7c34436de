"""``@codebatch.task``: a function, or a class, becomes a `Task`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codebatch.model.errors import TaskInvalidError
from codebatch.model.field_types import words_of
from codebatch.model.kinds import check_fields, check_rule
from codebatch.model.records import BATCH_SCOPE, FILE_SCOPE
from codebatch.tasks.base import Task
from codebatch.tasks.languages.detect import PATH
from codebatch.tasks.languages.versions import parser_versions
from codebatch.tasks.records import OBJECT_TYPES, RECORD_TYPES
from codebatch.tasks.rules import Rule

# Rises whenever the same bytes may look otherwise to a task: in its file, or in what it yields.
CONTRACT = "2"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_DEPENDS = {"content": (), "path": (PATH,)}
_METHODS = {"map": 2, "combine": 2, "finish": 2}

Function = Callable[..., Any]


def toolchain() -> Mapping[str, str]:
    """Return what a task depends on that has no tool of its own: Python and the parsers."""
    return {**parser_versions(), "contract": CONTRACT}


@typing.overload
def task(function: Function, /) -> Task: ...


@typing.overload
def task(
    *,
    version: int = ...,
    needs: Sequence[str] = ...,
    config: Mapping[str, object] | None = ...,
    depends: str = ...,
    records: Sequence[type] = ...,
    rules: Sequence[Rule] = ...,
    name: str | None = ...,
    summary: str | None = ...,
    scope: str = ...,
    **tool: Any,
) -> Callable[[Function], Task]: ...


def task(  # noqa: PLR0913 - what there is to declare
    function: Function | None = None,
    /,
    *,
    version: int = 1,
    needs: Sequence[str] = (),
    config: Mapping[str, object] | None = None,
    depends: str = "content",
    records: Sequence[type] = (),
    rules: Sequence[Rule] = (),
    name: str | None = None,
    summary: str | None = None,
    scope: str = FILE_SCOPE,
    **tool: Any,
) -> Task | Callable[[Function], Task]:
    """Make a function a task, which yields the records of one file.

    The function gets a `codebatch.File`, and its config if it has a second parameter. ``needs`` are
    tasks whose records on the same file it gets as ``file.records``, ``config`` its settings with
    their defaults, ``depends`` what its results follow from beside these: ``content``, or ``path``
    as well. ``records`` are the types that it yields, the record types of `codebatch` by default;
    dataclasses of its own among them are kinds of their own. ``rules`` say more about the codes of
    its findings. Raise ``version`` where the same file may give other records though no code has
    changed. ``name`` and ``summary`` are by default the name of the function and the first line of
    its docstring.

    With ``scope="batch"`` it is made of a class with the methods ``map``, ``combine``, ``finish``.
    Tasks of this package name more of the fields of a `Task` (``tool``).
    """

    def decorate(function: Function) -> Task:
        called = name if name is not None else str(getattr(function, "__name__", ""))
        declared = _Declared(called)
        declared.require(_NAME.match(called) is not None, f"{called!r} is no name of a task")
        declared.require(type(version) is int and version >= 1, "its version is no positive number")
        declared.require(depends in _DEPENDS, f"it depends on {depends!r}, not content or path")
        if not function.__module__.startswith("codebatch."):
            from codebatch.tasks.code import remember_loaded  # noqa: PLC0415 - for users alone

            remember_loaded(function.__module__)
        return Task(
            **{
                "name": called,
                "version": version,
                "function": function,
                "summary": summary or (inspect.getdoc(function) or "").partition("\n")[0],
                "toolchain": toolchain,
                "scope": scope,
                "takes_config": declared.takes_config(function, scope, config),
                "needs": declared.needs(needs),
                "config": declared.config(config or {}),
                "rules": declared.rules(rules),
                "facets": _DEPENDS[depends],
                "source": f"{function.__module__}:{function.__qualname__}",
                **({} if "kinds" in tool else declared.records(records, scope)),
                **tool,
            }
        )

    return decorate if function is None else decorate(function)


class _Declared:
    """Checks what a task declares; `TaskInvalidError` names the task."""

    def __init__(self, name: str) -> None:
        self._name = name

    def require(self, holds: bool, message: str, *hints: str) -> None:  # noqa: FBT001
        """Raise an error unless something holds."""
        if not holds:
            raise TaskInvalidError(f"task {self._name}: {message}", hints=hints)

    def takes_config(self, function: Function, scope: str, config: object) -> bool:
        """Return whether the function has a second parameter."""
        self.require(scope in (FILE_SCOPE, BATCH_SCOPE), f"unknown scope {scope!r}")
        if scope == BATCH_SCOPE:
            self.require(isinstance(function, type), "a task of scope 'batch' is a class")
            for method, most in _METHODS.items():
                found = getattr(function, method, None)
                self.require(callable(found), f"it lacks the method {method}")
                self.require(_takes(found, most + 1), f"its method {method} takes other parameters")
            return True
        self.require(
            inspect.isroutine(function)
            and not inspect.iscoroutinefunction(function)
            and not inspect.isasyncgenfunction(function),
            "it is no plain function",
        )
        with_config = _takes(function, 2)
        self.require(
            with_config or _takes(function, 1), "it takes other parameters than file, config"
        )
        self.require(
            with_config or not config, "it declares a config that its function does not take"
        )
        return with_config

    def needs(self, needs: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the tasks that it needs."""
        self.require(not isinstance(needs, str), f"needs is a text: write needs=[{needs!r}]")
        for need in needs:
            self.require(isinstance(need, str), f"needs has {need!r}, which is no name")
        self.require(self._name not in needs, "it needs itself")
        return tuple(dict.fromkeys(needs))

    def config(self, config: Mapping[str, object]) -> dict[str, object]:
        """Return a copy of the settings, if they are plain data."""
        try:
            copy = json.loads(json.dumps(config, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise TaskInvalidError(
                f"task {self._name}: its config is no plain data: {error}"
            ) from error
        self.require(copy == config, "its config is no plain data: text, numbers, lists, dicts")
        return typing.cast("dict[str, object]", copy)

    def rules(self, rules: Sequence[Rule]) -> tuple[Rule, ...]:
        """Return the rules, if they are such."""
        for rule in rules:
            self.require(isinstance(rule, Rule), f"{rule!r} is no codebatch.Rule")
            try:
                check_rule(rule.as_document())
            except ValueError as error:
                raise TaskInvalidError(f"task {self._name}: {error}") from error
        return tuple(rules)

    def records(self, records: Sequence[type], scope: str) -> dict[str, Any]:
        """Return the fields ``classes``, ``kinds`` and ``own`` of the task."""
        classes: dict[type, str] = {}
        own: dict[str, dict[str, str]] = {}
        by_default = RECORD_TYPES if scope == BATCH_SCOPE else (*RECORD_TYPES, *OBJECT_TYPES)
        for cls in records or by_default:
            if cls in OBJECT_TYPES and scope == BATCH_SCOPE:
                self.require(False, f"one of scope 'batch' gives no {cls.__name__}")  # noqa: FBT003
            if cls in by_default:
                classes[cls] = str(vars(cls)["kind"])
                continue
            self.require(
                isinstance(cls, type) and dataclasses.is_dataclass(cls), f"{cls!r} is no dataclass"
            )
            kind = kind_of(cls)
            self.require(kind not in own, f"the kind {kind!r} is there twice: set kind = …")
            classes[cls], own[kind] = kind, self._fields(cls, scope)
            try:
                check_fields(kind, own[kind])
            except ValueError as error:
                hints = ["a kind is named by the attribute kind = … of the class, or by its name"]
                raise TaskInvalidError(f"task {self._name}: {error}", hints=hints) from error
        kinds = dict.fromkeys([*classes.values(), "diagnostic", "suppression"])
        return {"classes": classes, "own": own, "kinds": tuple(sorted(kinds))}

    def _fields(self, cls: type, scope: str) -> dict[str, str]:
        """Return the types of the fields of a dataclass, as a plan spells them."""
        try:
            hints = typing.get_type_hints(cls)
        except (NameError, TypeError) as error:
            raise TaskInvalidError(
                f"task {self._name}: types of {cls.__name__}: {error}"
            ) from error
        found: dict[str, str] = {}
        for field in dataclasses.fields(cls):
            where = f"field {field.name} of {cls.__name__}"
            if field.name == "path" and scope == BATCH_SCOPE:
                continue
            try:
                found[field.name] = words_of(hints[field.name])
            except ValueError as error:
                raise TaskInvalidError(
                    f"task {self._name}: {where}: {error}",
                    hints=["types: str, int, float, bool, None, lists and dicts of these"],
                ) from error
        return found


def kind_of(cls: type) -> str:
    """Return the kind of records of a dataclass: its attribute ``kind``, else its name."""
    kind = getattr(cls, "kind", None)
    if isinstance(kind, str):
        return kind
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def _takes(function: object, number: int) -> bool:
    """Return whether a function can be called with so many arguments."""
    try:
        inspect.signature(typing.cast("Function", function)).bind(*[None] * number)
    except TypeError:
        return False
    return True
