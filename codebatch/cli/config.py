"""The configuration file on the command line: its values are the defaults of options.

A line says more than a variable of the environment, that more than the file, the file more than
what is built in. The file is read when a command first asks for such a default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import click
from click.core import ParameterSource

from codebatch.config import KEYS, Config, Key, load_config
from codebatch.config.keys import ALL
from codebatch.model.errors import CodeBatchError
from codebatch.plan.policy import Policy, Settings
from codebatch.snapshot import selection

_KNOWN = "codebatch.config"
_BY_PARAMETER = {key.parameter: key for key in KEYS.values() if key.parameter is not None}
_PATTERNS = ("include", "exclude")


def config_of(ctx: click.Context | None) -> Config:
    """Return the configuration that holds for a command; an empty one with ``--no-config``."""
    if ctx is None:
        return Config()
    if _KNOWN not in ctx.meta:
        given = _of_root(ctx)
        is_off = given.get("no_config", False)
        ctx.meta[_KNOWN] = Config() if is_off else load_config(given.get("config_file"))
    found: Config = ctx.meta[_KNOWN]
    return found


def _of_root(ctx: click.Context) -> Mapping[str, Any]:
    """Return what the root command was given, which may be the command of another program."""
    above: click.Context | None = ctx
    while above is not None and "no_config" not in above.params:
        above = above.parent
    return {} if above is None else above.params


class Defaults(Mapping[str, Any]):
    """The defaults of the options of a command, by parameter, as far as the file has some."""

    def __init__(self, command: click.Command, parent: click.Context | None, name: str) -> None:
        self._parameters = {one.name for one in command.params}
        self._parent = parent
        self._name = name

    def __getitem__(self, parameter: str) -> Any:
        key = _BY_PARAMETER.get(parameter)
        value = None if key is None or not self._has(key) else self._value(key)
        if value is None:
            raise KeyError(parameter)
        return value

    def _has(self, key: Key) -> bool:
        if key.variable is not None and os.environ.get(key.variable):
            return False
        if key.commands:
            return key.commands == ALL or self._name in key.commands
        return "pipeline" in self._parameters

    def _value(self, key: Key) -> Any:
        try:
            return config_of(self._parent).get(key.name)
        except CodeBatchError:
            if self._parent is not None and self._parent.resilient_parsing:
                return None  # a shell completes a line: what is wrong is said when it is run
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(one for one in _BY_PARAMETER if one in self)

    def __len__(self) -> int:
        return len(list(iter(self)))


def is_given(ctx: click.Context, parameter: str) -> bool:
    """Return whether the command line says what a parameter is."""
    return ctx.get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def complete(ctx: click.Context, given: dict[str, Any]) -> None:
    """Fill in what options alone cannot tell: patterns depend on the tree, files that configure
    tools on where the tools are from, and a batch that is there has its tasks.
    """
    if "store" in given:
        given["given_store"] = given["store"] if is_given(ctx, "store") else None
    if given.get("batch") is not None:
        given |= {name: () for name in ("tasks", "tools") if not is_given(ctx, name)}
    if "read_configs" in given and is_given(ctx, "tools") and not is_given(ctx, "read_configs"):
        given["read_configs"] = ()
    paths = given.get("paths", given.get("path"))
    if "include" in given and paths and not all(is_given(ctx, name) for name in _PATTERNS):
        config = config_of(ctx)
        if config.values.keys() & set(_PATTERNS):
            root, _ = selection.select(paths, ignore=False)
            for name, found in zip(_PATTERNS, config.patterns(root), strict=True):
                given[name] = given[name] if is_given(ctx, name) else tuple(found)


def settings_over(settings: Settings | None) -> Policy:
    """Return the settings of a command line laid over those of the file."""
    return config_of(click.get_current_context(silent=True)).settings.over(settings)
