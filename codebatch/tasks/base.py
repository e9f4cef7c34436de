"""The contract of a task: a pure function over one file with a name and a version.

What a task may look at is what its key covers: the bytes, the language, its config, the path
facets it declares, and the records of the tasks it needs. What it yields are records without a
path, each a JSON object with a ``kind`` the task declares; the path is joined when the records
are committed. Anything a task raises on a file becomes a diagnostic of that file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from codebatch.model.digest import Document
from codebatch.model.records import Record
from codebatch.model.resources import load_schema
from codebatch.tasks.languages import is_parsed
from codebatch.tasks.source import SourceFile

TOO_MANY_TOKENS = "too many tokens"
PARSE = "parse"  # the task that records syntax trees

Config = Mapping[str, Any]
Upstream = Mapping[str, Sequence[Record]]


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


@dataclass(frozen=True)
class FileContext:
    """The input of a task beside the file: its config, the records of the tasks it needs by
    task id, and what `Task.prepare` made for this file (None where it did not look at it).
    """

    config: Config
    upstream: Upstream
    prepared: object = None


@dataclass(frozen=True)
class Task:
    """A registered task. ``version`` rises whenever the same input may give another output.

    ``reads_tree`` is true for a task whose records follow from the syntax tree that ``parse``
    records, and the language, wherever there is a tree and the file is not larger than the
    task's own ``max_bytes``: the keys of its results cover the tree in place of the content.

    ``prepare`` serves tools that are fast over many files at once: it sees all files of a
    shard that may need it before the first, and starts the tool on them.
    """

    name: str
    version: int
    summary: str
    kinds: tuple[str, ...]
    run: Callable[[SourceFile, FileContext], Iterable[Record]]
    toolchain: Callable[[], Mapping[str, str]]
    facets: tuple[str, ...] = ()
    reads_tree: bool = False
    prepare: Callable[[Sequence[SourceFile], Config], Preparation] | None = None

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

    @property
    def config_schema(self) -> str:
        """Name of the JSON Schema of the task's config; its defaults are the task's."""
        return f"config.{self.name}"

    def resolve_config(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config with every default filled in."""
        properties = cast("dict[str, Document]", load_schema(self.config_schema)["properties"])
        return {n: _integral(config.get(n, rule["default"])) for n, rule in properties.items()}


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
