"""Options that several commands share, each described once."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from codebatch.cli.config import settings_over
from codebatch.cluster.settings import TRANSPORTS
from codebatch.model.errors import UsageError
from codebatch.model.limits import parse_size
from codebatch.model.records import KINDS, SEVERITIES
from codebatch.plan.policy import Policy
from codebatch.store.layout import check_ref
from codebatch.tasks.vocabulary import EDGE_TYPES, METRICS, SYMBOL_TYPES

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

Option = Callable[[Any], Any]


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in recent versions alone
    """What a function makes of the text; a `ValueError` of it says what is wrong."""

    def __init__(self, name: str, parse: Callable[[str], float]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The parsed value."""
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _size(text: str) -> int:
    try:
        size = parse_size(text)
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hints[0]}.") from error
    return sys.maxsize if size is None else size


def _age(text: str) -> float:
    unit = _SECONDS.get(text[-1:], 0 if text.strip("0") else 1)
    number = _number(text.rstrip("smhdw"))
    if not (0 <= number < math.inf and unit):
        raise ValueError(f"{text!r} is no length of time as 30m, 12h, 14d or 2w.")
    return number * unit


def _percent(text: str) -> float:
    number = _number(text.removesuffix("%"))
    if not 0 < number <= 100:
        raise ValueError(f"{text!r} is not a share above 0% and at most 100%.")
    return number


def _number(text: str) -> float:
    """The number, or -1 where it is none."""
    try:
        return float(text)
    except ValueError:
        return -1


# A number of bytes, with or without a unit of 1,024s; ``none`` is more than there can be.
SIZE = Parsed("size", _size)
# A number of seconds, given as a number with s, m, h, d or w.
AGE = Parsed("age", _age)
# A share of a whole, with or without a percent sign.
PERCENT = Parsed("percent", _percent)

store_option = click.option(
    "--store",
    metavar="DIR",
    help="The store. Default: $CODEBATCH_STORE, else .codebatch here or in a folder above.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print the id alone.")
batch_option = click.option(
    "--batch",
    "batch_id",
    metavar="ID",
    help="A batch id, a unique prefix of one, a name, 'latest' or 'latest~N'. Default: the one "
    "last asked for over the tree that you are in, else the latest.",
)
name_option = click.option(
    "--name",
    metavar="NAME",
    callback=lambda _, __, name: name if name is None else check_ref(name),
    help="Give it this name, wherever the name pointed before; see codebatch names.",
)
pipeline_option = click.option(
    "--pipeline",
    metavar="NAME|PATH",
    help="A packaged pipeline, or a pipeline document. Default: what --task names, else full.",
)
read_configs_option = click.option(
    "--read-config",
    "read_configs",
    multiple=True,
    metavar="NAME",
    help="Let tools see files of this name in the tree, which configure them: ruff.toml.",
)
tasks_options: tuple[Option, ...] = (
    click.option(
        "--task",
        "tasks",
        multiple=True,
        metavar="FILE.py:NAME|MODULE:NAME|NAME",
        help="A task to add to the pipeline, as one of your own. May be given again.",
    ),
    click.option(
        "--tool",
        "tools",
        multiple=True,
        metavar="NAME|FILE.json",
        help="A program to add as a task, by its description. May be given again.",
    ),
    read_configs_option,
)


def _selectors(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    """Return the selectors with commas between, each once; None where the option is not given."""
    return None if text is None else list(dict.fromkeys(one.strip() for one in text.split(",")))


rules_options: tuple[Option, ...] = (
    click.option(
        "--select",
        "select_rules",
        metavar="RULES",
        callback=_selectors,
        help="Rules of ruff for lint to report beside its own, as F,B,UP032. ALL: all.",
    ),
    click.option(
        "--ignore",
        "ignore_rules",
        metavar="RULES",
        callback=_selectors,
        help="Rules for lint not to report, its own or those of ruff, as L003,B008.",
    ),
)
given_tasks_option = click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="FILE.py:NAME|MODULE:NAME|NAME",
    help="A task of your own that the batch runs. May be given again.",
)
shards_option = click.option(
    "--shards",
    type=int,
    metavar="16|256|4096",
    help="How many shards to plan at most. Default: by the number of files.",
)
paths_argument = click.argument("paths", nargs=-1, required=True, metavar="PATH...")
include_option = click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Take only files that match, as in .gitignore: '*.py', /src/. May be given again.",
)
exclude_option = click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what matches, as in .gitignore: tests/, '*.min.js'. May be given again.",
)
staged_option = click.option(
    "--staged", is_flag=True, help="Take what is staged in git, not the files as they are."
)
rev_option = click.option(
    "--rev",
    metavar="REV",
    help="Take a revision of git, as a clean checkout of it would be: HEAD~3, a tag, a branch.",
)
no_ignore_option = click.option(
    "--no-ignore",
    is_flag=True,
    help="Take ignored files and .git as well; only stores are left out.",
)
max_file_size_option = click.option(
    "--max-file-size",
    "max_file_bytes",
    type=SIZE,
    callback=lambda _, __, size: size or sys.maxsize,
    default="1G",
    show_default=True,
    metavar="SIZE",
    help="Leave out larger files, and list them: bytes, or as 100M, 2GiB; 0: no limit.",
)
# Which files of a tree are taken.
FILES_OPTIONS: tuple[Option, ...] = (
    include_option,
    exclude_option,
    no_ignore_option,
    max_file_size_option,
)
wait_option = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another command that removes or repairs something here.",
)


memo_option = click.option(
    "--memo",
    metavar="URL",
    help="Where results are shared with other stores: a folder, s3://bucket/prefix or "
    "https://host/path. What is missing is read there first, what was computed is added at the "
    "end. Default: $CODEBATCH_MEMO, else nowhere.",
)
RUN_OPTIONS: tuple[Option, ...] = (
    click.option(
        "--scheduler",
        metavar="WHERE",
        help="auto, sync, threads, processes, tcp://host:port, tls://host:port, or a scheduler "
        "file. Default: $CODEBATCH_SCHEDULER, else what Dask's configuration names, else auto.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Local workers. Default: the processors there are.",
    ),
    click.option(
        "--file-timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="What a worker process may take for a task on a file; 0: no limit. "
        "Default: $CODEBATCH_FILE_TIMEOUT, else 120.",
    ),
    click.option(
        "--memory-limit",
        metavar="SIZE",
        help="What a worker process may take beyond what it starts with, as 2GiB; 0: no limit. "
        "Default: $CODEBATCH_MEMORY_LIMIT, else half of the memory.",
    ),
    click.option(
        "--transport",
        type=click.Choice(TRANSPORTS),
        help="On a cluster: workers open the store (shared), or never see it (shipped). "
        "Default: what its workers can do.",
    ),
    click.option(
        "--cluster-timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="How long to wait for a scheduler or workers that are not there, yet or any more. "
        "Default: 15 for a scheduler to start, 600 for one to come back; for workers, no limit.",
    ),
    click.option(
        "--performance-report",
        metavar="FILE",
        help="On a cluster: write Dask's report on the run there, as HTML.",
    ),
    memo_option,
)


def rule_settings(select: list[str] | None, ignore: list[str] | None) -> Policy:
    """Return the settings that the options for rules stand for, by the name of the task, over those
    of the configuration file.
    """
    given = {"select": select, "ignore": ignore}
    settings: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    return settings_over({"lint": settings} if settings else None)


def _several(name: str, metavar: str, choices: Sequence[str], more: str = "") -> Option:
    """An option for words of a set, with commas between; ``more`` says what words there may be
    beside these, which the batch knows.
    """

    def complete(_: click.Context, __: click.Parameter, text: str) -> list[str]:
        before, comma, last = text.rpartition(",")
        return [before + comma + word for word in choices if word.startswith(last)]

    words = f"Of {', '.join(choices)}{more}. Several with commas."
    return click.option(name, metavar=metavar, help=words, shell_complete=complete)


# What chooses records, by the name of the condition, and their order and number.
SELECTION: Mapping[str, Option] = {
    "task": click.option("--task", metavar="TASK", help="Only this task."),
    "kind": _several("--kind", "KIND", KINDS, ", and kinds that tasks have of their own"),
    "path": click.option(
        "--path",
        multiple=True,
        callback=lambda _, __, paths: paths or None,
        metavar="PATH",
        help="Only files in this folder, this file, or those that a glob matches, from the root of "
        "the tree or from here. May be given again.",
    ),
    "language": click.option("--language", metavar="NAME", help="Only files in this language."),
    "severity": _several("--severity", "SEVERITY", SEVERITIES),
    "code": click.option(
        "--code",
        metavar="CODE",
        help="Only this code, as L101. Several with commas.",
    ),
    "name": click.option("--name", metavar="GLOB", help="Only records whose name matches."),
    "symbol_type": _several("--symbol-type", "TYPE", SYMBOL_TYPES),
    "edge_type": _several("--edge-type", "TYPE", EDGE_TYPES),
    "target": click.option("--target", metavar="GLOB", help="Only edges whose target matches."),
    "metric": _several("--metric", "METRIC", METRICS, ", and those of your tasks"),
    "min": click.option("--min", type=float, metavar="N", help="Only metrics of at least this."),
    "max": click.option("--max", type=float, metavar="N", help="Only metrics of at most this."),
    "sort": click.option(
        "--sort", metavar="FIELD", help="Order by this field; -FIELD: the largest first."
    ),
    "limit": click.option(
        "--limit", type=click.IntRange(min=0), metavar="N", help="At most this many."
    ),
}
