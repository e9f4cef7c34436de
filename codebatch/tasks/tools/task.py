"""The task ``tool``, whose settings are the description of a program.

With settings it is a task by the name of the tool, which knows as much of the path as it depends
on: over files, or over the whole snapshot.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial

from codebatch.model.digest import canonical_json, digest_bytes
from codebatch.model.errors import TaskInvalidError
from codebatch.model.records import BATCH_SCOPE
from codebatch.model.resources import SchemaProblem
from codebatch.tasks.base import Config, Task
from codebatch.tasks.decorator import CONTRACT
from codebatch.tasks.records import Diagnostic, Skip
from codebatch.tasks.tools.catalogue import described
from codebatch.tasks.tools.description import PROJECT, SCHEMA, SIBLINGS, Description
from codebatch.tasks.tools.file_tool import FilesAtWork, records_of_file
from codebatch.tasks.tools.outputs import output_problems
from codebatch.tasks.tools.program import UNKNOWN, version_of
from codebatch.tasks.tools.project_tool import ProjectTool
from codebatch.tasks.tools.selection import facets_of

_PROGRAM = re.compile(r"[A-Za-z0-9_][\w.+-]*\Z")
_PLACES = ("${target}", "${argfile}", "${dir}")


def description_problems(config: Config) -> Iterator[SchemaProblem]:
    """Yield what is wrong with a description beyond its schema."""
    run = config.get("run") or [""]
    if not (os.path.isabs(run[0]) or _PROGRAM.match(run[0])):
        yield SchemaProblem(("run", 0), "the program is no name, and no absolute path")
    if not any(place in word for word in run[1:] for place in _PLACES):
        yield SchemaProblem(("run",), f"none of {', '.join(_PLACES)} is in it: it has no files")
    for place, word in enumerate(run):
        if "${target}" in word and word != "${target}":
            yield SchemaProblem(("run", place), "${target} is a word of its own")
    output = config.get("output") or {}
    yield from (SchemaProblem(("output",), text) for text in output_problems(output))
    is_written = any("${output}" in word for word in run)
    if is_written != (output.get("from") == "file"):
        yield SchemaProblem(("output", "from"), "'file' goes with ${output} in the command")
    if config.get("depends") == PROJECT and changes_files(output):
        yield SchemaProblem(("depends",), "a change is of one file: not of a project")
    if config.get("depends") == SIBLINGS and not config.get("siblings"):
        yield SchemaProblem(("siblings",), "without names, nothing depends on siblings")
    known = {*config.get("direct_configs", ()), *config.get("code_configs", ())}
    for name in config.get("read_configs", ()):
        if name not in known:
            yield SchemaProblem(("read_configs",), f"{name!r} is no configuration of the tool")


def changes_files(output: Mapping[str, object]) -> bool:
    """Return whether what a command gives are changes of files."""
    return output.get("format") in ("diff", "rewrite")


def bind(config: Config) -> Task:
    """Return the task of a tool by its description, which has every default."""
    return _bound(canonical_json(dict(config)))


def _toolchain(tool: Description) -> Mapping[str, str]:
    """Return what the records of a tool depend on beside its description: its version, and the
    variables that it is given.
    """
    version = version_of(tool)
    if version == UNKNOWN:
        said = shlex.join(tool.version_command or [tool.program, "--version"])
        raise TaskInvalidError(
            f"tool {tool.name}: `{said}` does not tell its version, on which results depend",
            hints=["say what does, in version_command", "or is it only half installed?"],
        )
    passed = {name: os.environ.get(name) for name in tool.environment}
    return {
        "contract": CONTRACT,
        tool.name: version,
        **{
            f"variable {name}": "" if value is None else digest_bytes(os.fsencode(value))
            for name, value in passed.items()
        },
    }


_KINDS = ("diagnostic", "skip", "suppression")
TOOL = Task(
    name="tool",
    version=1,
    function=records_of_file,
    summary="what a program says of files, by a description",
    kinds=_KINDS,
    toolchain=lambda: {"contract": CONTRACT},
    schema=SCHEMA,
    prepare=FilesAtWork,
    selection_problems=description_problems,
    bind=bind,
    definition="tool",
)


@lru_cache(maxsize=64)
def _bound(config: bytes) -> Task:
    settings = json.loads(config)
    tool = described(settings)
    own = replace(
        TOOL,
        name=tool.name or TOOL.name,
        summary=tool.summary or TOOL.summary,
        config=settings,
        toolchain=partial(_toolchain, tool),
        facets=facets_of(tool),
        kinds=tuple(sorted({*_KINDS, "patch"})) if changes_files(tool.output) else _KINDS,
    )
    if tool.depends != PROJECT:
        return own
    return replace(
        own,
        function=ProjectTool,
        scope=BATCH_SCOPE,
        prepare=None,
        facets=(),
        kinds=("diagnostic", "skip"),
        inputs=True,
        classes={Diagnostic: "diagnostic", Skip: "skip"},
    )
