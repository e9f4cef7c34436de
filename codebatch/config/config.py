"""What a configuration says, checked, with its paths as they are from here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from codebatch.config.files import CONFIG_VARIABLE, ConfigFile, find_file, read_file, ways_out
from codebatch.config.keys import KEYS, Key, misfit
from codebatch.config.levels import levels_of
from codebatch.config.trust import reason_to_refuse
from codebatch.display.displayed import Displayed, card
from codebatch.model.errors import ConfigInvalidError, ConfigUntrustedError
from codebatch.model.patterns import rebased
from codebatch.model.resources import list_pipelines, nearest_of
from codebatch.plan.policy import Policy

_PATHS = frozenset({"store", "baseline"})
_URL = "://"
_LONGEST_SHOWN = 60


@dataclass(frozen=True, repr=False)
class Config(Displayed):
    """The values of a configuration, by key: ``config.get("pipeline")``.

    ``values`` are as the file has them, and ``file`` is it; None where there is none, or where a
    program made the configuration. What would run code, or reach out of the folder of the file, is
    an error when it is asked for, unless the file was named.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    file: ConfigFile | None = None

    def __post_init__(self) -> None:
        for name, value in self.values.items():
            if name not in KEYS:
                nearest = nearest_of(name, KEYS)
                hints = [f"the nearest: {nearest}"] if nearest else []
                hints.append(f"keys: {', '.join(KEYS)}")
                message = f"{self.where}: unknown key {name[:_LONGEST_SHOWN]!r}"
                raise ConfigInvalidError(message, hints=hints)
            if wrong := misfit(value, KEYS[name].schema):
                raise ConfigInvalidError(f"{self.where}: {name}: {wrong}")
        levels_of(self.values, self.where)

    def _card(self) -> card.Card:
        rows = [
            {"key": key, "value": value, "not used": self.refusal(key)}
            for key, value in self.values.items()
        ]
        facts = {"file": None if self.file is None else str(self.file.path)}
        tables = [card.table_of(rows)] if rows else []
        notes = [] if rows else ["nothing is set"]
        return card.Card("Configuration", facts=facts, tables=tables, notes=notes)

    @property
    def where(self) -> str:
        """What messages call it."""
        return "the configuration" if self.file is None else self.file.shown

    @property
    def folder(self) -> str:
        """The folder that paths are relative to, and patterns where there is a file."""
        return os.curdir if self.file is None else str(self.file.path.parent)

    def refusal(self, name: str) -> str | None:
        """Return why a value of a file that nobody named is not used; None where it is."""
        if self.file is None or self.file.is_named or name not in self.values:
            return None
        return reason_to_refuse(name, self.values[name], self.folder)

    def get(self, name: str) -> Any:
        """Return the value of a key with its paths relative to the current folder; None where it
        is not given. `ConfigUntrustedError` where the tree may not say this.
        """
        if name not in self.values:
            return None
        if reason := self.refusal(name):
            raise ConfigUntrustedError(
                f"{self.where}: {name}: {reason}", hints=self._ways_out(), details={"key": name}
            )
        return self._from_here(name, self.values[name])

    @property
    def settings(self) -> Policy:
        """What steers tasks, as ``settings=`` takes it: for the tasks that a pipeline has."""
        names = {one.rpartition(":")[2].rpartition(".")[2] for one in self.values.get("tasks", ())}
        return Policy(
            self.get("settings") or {},
            known=frozenset(names),
            where=self.where,
            levels=levels_of(self.values, self.where),
            folder=None if self.file is None else self.folder,
            ways_out=self._ways_out(),
        )

    def _ways_out(self) -> tuple[str, ...]:
        """Return what to do about what a file may not say; nothing where it may say all."""
        return () if self.file is None or self.file.is_named else (*ways_out(self.file.path),)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each key of a configuration: ``key, value, origin, where, line, refused,
        help``. The origin is ``default``, ``environment`` or ``file``; ``refused`` says why a value
        of a file that nobody named is not used.

        >>> [row["origin"] for row in Config({"pipeline": "lint"}).rows() if row["value"]]
        ['file']
        """
        return [self._row(key) for key in KEYS.values()]

    def _row(self, key: Key) -> dict[str, Any]:
        row: dict[str, Any] = {"key": key.name, "value": None, "origin": "default"}
        row |= {"where": None, "line": None, "refused": None, "help": key.help}
        variable = os.environ.get(key.variable) if key.variable is not None else None
        if variable:
            return {**row, "value": variable, "origin": "environment", "where": key.variable}
        if key.name not in self.values:
            return row
        refused = self.refusal(key.name)
        row |= {"value": self.values[key.name] if refused else self.get(key.name)}
        line = None if self.file is None else self.file.line_of(key.name)
        return {**row, "origin": "file", "where": self.where, "line": line, "refused": refused}

    def patterns(self, root: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
        """Return ``include`` and ``exclude`` for a tree at ``root``, relative to it where that is
        elsewhere. `ConfigInvalidError` where nothing of the tree is included.
        """
        include = self._rebased(self.values.get("include", ()), root)
        if not include and self.values.get("include"):
            raise ConfigInvalidError(
                f"{self.where}: include has nothing of {os.fspath(root)}",
                hints=["say what to take: --include '*'"],
            )
        return include, self._rebased(self.values.get("exclude", ()), root)

    def _rebased(self, patterns: Iterable[str], root: str | os.PathLike[str]) -> list[str]:
        if self.file is None:
            return list(patterns)
        return rebased(patterns, os.path.realpath(self.folder), os.path.realpath(root))

    def _from_here(self, name: str, value: Any) -> Any:
        if name in _PATHS or (name == "memo" and _URL not in value):
            return self._path(value)
        if name == "pipeline":
            return value if value in list_pipelines() else self._path(value)
        if name == "tasks":
            return [self._address(one) for one in value]
        if name == "tools":
            return [self._path(one) if one.endswith(".json") else one for one in value]
        return value

    def _address(self, task: str) -> str:
        file, colon, attribute = task.rpartition(":")
        if file.endswith(".py"):
            return self._path(file) + colon + attribute
        return self._path(task) if task.endswith(".json") else task

    def _path(self, path: str) -> str:
        return path if os.path.isabs(path) else os.path.relpath(os.path.join(self.folder, path))


def load_config(path: str | os.PathLike[str] | None = None) -> Config:
    """Return the configuration at ``path``, else at ``CODEBATCH_CONFIG``, else of the nearest
    folder from here upwards that has one; an empty one where there is none. A file that is named is
    trusted as the program is; what is found is not.
    """
    named = path if path is not None else os.environ.get(CONFIG_VARIABLE) or None
    file = find_file() if named is None else read_file(Path(named))
    return Config() if file is None else Config(cast("Mapping[str, Any]", file.table), file)
