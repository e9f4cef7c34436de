"""The contract of a task: a pure function over one file, or over the records of all, with a name
and a version.

What a task may look at is what its key covers: the bytes, the language, its config, the path or
facets of it where it declares them, and the records of the tasks it needs. What it yields are
records without a path; the path is joined when the records are committed. Anything a task raises on
a file becomes a diagnostic of that file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any, Protocol, cast

from codebatch.model.digest import Document
from codebatch.model.records import FILE_SCOPE, Record
from codebatch.model.resources import (
    SchemaProblem,
    load_schema,
    nearest_of,
    schema_errors,
    schema_problems,
)
from codebatch.tasks.file import File
from codebatch.tasks.languages import is_parsed
from codebatch.tasks.languages.detect import PATH
from codebatch.tasks.patches import with_patches
from codebatch.tasks.records import MisfitError, Patch, RecordForms, with_fingerprints
from codebatch.tasks.rules import Rule
from codebatch.tasks.source import SourceFile
from codebatch.tasks.suppressions import suppressed

TOO_MANY_TOKENS = "too many tokens"
PARSE = "parse"  # the task that records syntax trees

Config = Mapping[str, Any]


class ToolCrashedError(Exception):
    """A tool that a task calls has crashed, over one of the files perhaps.

    ``rule`` is what a file is quarantined under that it crashes on alone.
    """

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


class Preparation(Protocol):
    """Answers of a tool for many files at once, which it works out while tasks look at others."""

    @property
    def places(self) -> Sequence[int]:
        """The files it looks at, by their place among those it was given."""

    def values(self) -> Sequence[object]:
        """One value for each of ``places``, waited for; asked for at most once.

        `ToolCrashedError` where the tool has crashed: it is then asked about fewer files.
        """

    def cancel(self) -> None:
        """Stop, and leave nothing behind: no answer is needed any more. May be called again."""


@dataclass(frozen=True, eq=False)
class Task:
    """A task, as `codebatch.task` makes it. ``version`` rises whenever the same input may give
    another output.

    ``function`` gets a `File`, and the config if it ``takes_config``; of scope ``batch`` it is a
    class instead. ``needs`` are the tasks whose records it gets by default, ``config`` its settings
    with their defaults, ``classes`` the kinds of records that it yields by their type (none: it
    yields plain records), ``own`` the types of the fields of its own kinds, and ``facets`` what it
    knows of the path. ``schema`` names a packaged JSON Schema of the settings, where they have one
    that says more than their defaults. ``source`` is what names the task again on a command line,
    as ``todos.py:todos``.

    ``reads_tree`` is true for a task whose records follow from the syntax tree that ``parse``
    records, and the language, wherever there is a tree and the file is not larger than the
    task's own ``max_bytes``: the keys of its results cover the tree in place of the content.

    ``prepare`` serves tools that are fast over many files at once: it sees all files of a
    shard that may need it before the first, and starts the tool on them.

    Where the settings choose among the rules of a tool, ``selected_rules`` are those, and
    ``selection_problems`` what no schema can say of the settings.

    Where more than its records follows from the settings, ``bind`` gives the task as it is with
    some; such a one is a ``definition`` with settings, and has a name of its own. ``inputs`` is
    true for a class that is given a record of each file itself, and reads the contents of those
    that its method ``reads`` names.
    """

    name: str
    version: int
    function: Callable[..., Any]
    summary: str
    kinds: tuple[str, ...]
    toolchain: Callable[[], Mapping[str, str]]
    scope: str = FILE_SCOPE
    takes_config: bool = True
    needs: tuple[str, ...] = ()
    config: Config = field(default_factory=dict)
    schema: str | None = None
    classes: Mapping[type, str] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    facets: tuple[str, ...] = ()
    source: str = ""
    reads_tree: bool = False
    prepare: Callable[[Sequence[SourceFile], Config], Preparation] | None = None
    selected_rules: Callable[[Config], tuple[Rule, ...]] | None = None
    selection_problems: Callable[[Config], Iterable[SchemaProblem]] | None = None
    bind: Callable[[Config], Task] | None = None
    definition: str = ""
    inputs: bool = False

    def __repr__(self) -> str:
        return f"<codebatch.Task {self.name}>"

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return what the function returns, or an instance of the class."""
        return self.function(*arguments, **named)

    def run(self, file: File, config: Config) -> list[Record]:
        """Return the records of a file, without a path; whatever the function raises is raised,
        and `MisfitError` where something that it yields is no record of the task.
        """
        # What this package has changes no settings: to copy them takes 1 % of the time of `full`.
        own = _copied(config) if self.classes else config
        arguments = (file, own) if self.takes_config else (file,)
        yielded = self.function(*arguments)
        if yielded is None:  # a function that has nothing to say of this file
            return []
        if not isinstance(yielded, Iterable):
            raise MisfitError(f"it returns {type(yielded).__name__}, not records")
        # Records of tasks without classes are checked when they are written.
        records = self.forms.records(yielded) if self.classes else list(yielded)
        if Patch.kind in self.kinds:
            records = with_patches(records, file.source)
        if self.classes:
            records = with_fingerprints(records, lambda: file.source.lines)
        return self._with_suppressions(records, file.source)

    def _with_suppressions(self, records: list[Record], source: SourceFile) -> list[Record]:
        """Return records with those suppressed that comments say. Only a task that declares rules
        knows what it has looked for, if it has; `lint` asks for itself.
        """
        if not (self.classes or self.definition):
            return records
        kinds = {record["kind"] for record in records}
        judged = {rule.code for rule in self.rules} if "skip" not in kinds else ()
        if not ("diagnostic" in kinds or judged) or not source.suppressions:
            return records
        return suppressed(records, source, judged)

    def file(self, source: SourceFile, upstream: Mapping[str, bytes], prepared: object) -> File:
        """Return a file as the task receives it; ``upstream`` has the lines of what it needs."""
        path = source.facets[PATH] if PATH in self.facets else None
        return File(source, upstream, path=path, prepared=prepared)

    @property
    def registered(self) -> str:
        """The name under which it is found: that of what it is with its settings, for a tool."""
        return self.definition or self.name

    @property
    def keeps_time(self) -> bool:
        """Whether what the task starts has a limit of time of its own."""
        return bool(self.definition)

    @cached_property
    def forms(self) -> RecordForms:
        """Return the forms of the records that the task may yield."""
        rules = {rule.code: rule.name for rule in self.rules}
        is_batch = self.scope != FILE_SCOPE
        return RecordForms(self.kinds, self.own, self.classes, rules, has_paths=is_batch)

    def prepare_now(self, sources: Sequence[SourceFile], config: Config) -> list[object]:
        """Return what the tool says about each file, None where it does not look at one; for a
        file on which it crashes, the error.
        """
        if self.prepare is None:
            return [None] * len(sources)
        preparation = self.prepare(sources, config)
        try:
            found = dict(zip(preparation.places, preparation.values(), strict=True))
            return [found.get(place) for place in range(len(sources))]
        except ToolCrashedError as error:
            return [error] if len(sources) == 1 else self.prepare_apart(sources, config)
        finally:
            preparation.cancel()

    def prepare_apart(self, sources: Sequence[SourceFile], config: Config) -> list[object]:
        """Return the answers for files over which, taken together, the tool has crashed."""
        middle = (len(sources) + 1) // 2
        halves = (sources[:middle], sources[middle:])
        return [value for half in halves if half for value in self.prepare_now(half, config)]

    def bound(self, config: Config) -> Task:
        """Return the task as it is with settings, which have every default."""
        return self if self.bind is None else self.bind(config)

    @cached_property
    def config_schema(self) -> Document:
        """The JSON Schema of the task's config; its defaults are the task's."""
        if self.schema is not None:
            return load_schema(self.schema)
        properties = {n: {**_type_of(value), "default": value} for n, value in self.config.items()}
        return {"type": "object", "additionalProperties": False, "properties": properties}

    def declared_rules(self, config: Config) -> tuple[Rule, ...]:
        """Return the rules behind the findings that the task may give with these settings."""
        return self.rules if self.selected_rules is None else self.selected_rules(config)

    def config_problems(self, config: Config) -> list[SchemaProblem]:
        """Return what is wrong with settings, and where; empty where they fit."""
        found = [*schema_problems(self._over_own(config), self.config_schema)]
        if not found and self.selection_problems is not None:
            found += self.selection_problems(self._over_own(config))
        return found

    def config_errors(self, config: object) -> list[str]:
        """Return what is wrong with settings, one line each; empty where they fit."""
        if not isinstance(config, dict):
            return ["the settings are no object"]
        known = list(cast("Document", self.config_schema["properties"]))
        unknown = [name for name in config if name not in known]
        fitting = {name: value for name, value in config.items() if name in known}
        wrong = [
            *map(_unknown, unknown, repeat(known)),
            *schema_errors(self._over_own(fitting), self.config_schema),
        ]
        if not wrong and self.selection_problems is not None:
            problems = self.selection_problems(self._over_own(fitting))
            wrong += (f"{one.pointer[0]}: {one.text}" for one in problems)
        return wrong

    def _over_own(self, config: Config) -> Config:
        """Return settings over those that make the definition this task."""
        return {**self.config, **config} if self.definition else config

    def resolve_config(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config with every default filled in."""
        properties = cast("dict[str, Document]", self.config_schema["properties"])
        default = {n: self.config.get(n, rule["default"]) for n, rule in properties.items()}
        return {n: _integral(config.get(n, value)) for n, value in default.items()}


def _unknown(name: str, known: Sequence[str]) -> str:
    nearest = nearest_of(name, known) or next(iter(known), None)
    instead = f": is it {nearest!r}?" if nearest else ": it has none"
    return f"unknown setting {name!r}{instead}"


def _type_of(default: object) -> Document:
    """Return the part of a JSON Schema that values of a setting have to fit."""
    for of_type, word in _JSON_TYPES.items():
        if isinstance(default, of_type):
            return {"type": word}
    return {}


_JSON_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def _copied(value: Any) -> Any:
    """Return plain data that shares nothing that can be changed with the value."""
    if isinstance(value, Mapping):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _integral(value: object) -> object:
    """The value with 50.0 as 50: JSON Schema takes both for an integer, a digest must not."""
    if isinstance(value, dict):
        return {name: _integral(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_integral(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def skip_record(reason: str) -> Record:
    """The record of a file that a task does not look at."""
    return {"kind": "skip", "reason": reason}


def reason_unwritten(source: SourceFile, config: Config) -> str | None:
    """Return why nobody in the project writes a file, so that what is wrong with it is no finding;
    None where somebody does, or where the setting ``include`` has every reason.
    """
    return next((reason for reason in source.unwritten if reason not in config["include"]), None)


def reason_to_skip(source: SourceFile, config: Config) -> str | None:
    """Return why no built-in task looks at a file, or None."""
    if source.language == "symlink":
        return "symbolic link"
    if source.size > config["max_bytes"]:
        return "too large"
    if source.language == "binary":
        return "binary"
    if is_parsed(source.language) and source.exceeds_tokens(config["max_tokens"]):
        return TOO_MANY_TOKENS
    return None
