"""The descriptions that there are: those of this package, and those in files of users."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from codebatch.model.digest import canonical_json
from codebatch.model.errors import TaskInvalidError, TaskNotFoundError, UsageError
from codebatch.model.resources import list_tools, load_tool_document, nearest_of
from codebatch.tasks.base import Task
from codebatch.tasks.tools.description import Description

_MAX_BYTES = 2**20


def tool_names() -> list[str]:
    """Return the names of the packaged descriptions, sorted."""
    return list_tools()


def find_tool(name: str) -> Task | None:
    """Return the task of a packaged description; None where there is none of that name."""
    if name not in list_tools():
        return None
    return _bound(load_tool_document(name))  # ours are valid: to look takes a tenth of a second


def load_tool(given: str) -> Task:
    """Return the task of a packaged description, or of the description in a file ``….json``.

    `TaskNotFoundError` where there is none, `TaskInvalidError` where it is none.
    """
    if not given.endswith(".json") and os.sep not in given:
        found = find_tool(given)
        if found is not None:
            return found
        near = nearest_of(given, list_tools())
        hints = [f"the nearest: {near}"] if near else []
        hints += ["all of them: codebatch tools", "one of your own: a description, FILE.json"]
        raise TaskNotFoundError(f"unknown tool: {given}", hints=hints)
    try:
        with Path(given).open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise TaskInvalidError(f"tool {given}: larger than {_MAX_BYTES} bytes")
        document = json.loads(data)
    except OSError as error:
        raise TaskNotFoundError(f"no tool: {given}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TaskInvalidError(f"tool {given}: not a JSON document: {error}") from error
    if not isinstance(document, dict):
        raise TaskInvalidError(f"tool {given}: not a JSON object")
    return make_tool(document, given)


def tool(name: str, **fields: Any) -> Task:
    """Return the task of a tool: of the packaged description of that name with ``fields`` laid over
    its own, or of a description that is made of ``fields`` alone, if ``run`` is one of them:

        >>> tool("codespell", timeout=60)
        >>> tool("eval", run=["grep", "-nH", "eval(", "${target}"], output={"format": "lines", …})
    """
    known = {} if "run" in fields else load_tool(name).config
    return make_tool({**known, **fields, "name": name})


def load_tools(given: Iterable[str], read_configs: Sequence[str] = ()) -> list[Task]:
    """Return the tasks of several, as `load_tool` does; each may read those of its files of
    configuration that are named. `UsageError` for a name that none of them knows.
    """
    tasks = [load_tool(one) for one in given]
    configs = [{*one.config["direct_configs"], *one.config["code_configs"]} for one in tasks]
    for name in read_configs:
        if not any(name in own for own in configs):
            known = sorted({one for own in configs for one in own})
            hints = [f"they read: {', '.join(known)}"] if known else []
            raise UsageError(f"no tool reads its configuration from {name!r}", hints=hints)
    return [
        task.bound({**task.config, "read_configs": [one for one in read_configs if one in own]})
        if read_configs
        else task
        for task, own in zip(tasks, configs, strict=True)
    ]


def make_tool(document: Mapping[str, Any], where: str = "") -> Task:
    """Return the task of a description; `TaskInvalidError` says what is wrong with it."""
    from codebatch.tasks.tools.task import TOOL  # noqa: PLC0415 - which needs this module

    wrong = [found.text for found in TOOL.config_problems(document)]
    if wrong:
        name = where or document.get("name") or "without a name"
        raise TaskInvalidError(f"tool {name}: {wrong[0]}", details={"all": wrong})
    return _bound(document)


def _bound(document: Mapping[str, Any]) -> Task:
    from codebatch.tasks.tools.task import TOOL  # noqa: PLC0415 - which needs this module

    return TOOL.bound(TOOL.resolve_config(document))


def described(config: Mapping[str, Any]) -> Description:
    """Return the description that the settings of a task are."""
    return _described(canonical_json(dict(config)))


@lru_cache(maxsize=64)
def _described(config: bytes) -> Description:
    return Description.from_document(cast("Mapping[str, Any]", json.loads(config)))
