"""Files of a tree that configure a tool, as part of the settings of its task.

Only those that the settings name are read. Their content is in the plan from then on: it is covered
by the fingerprint, and goes wherever the task is run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from codebatch.model.errors import TaskInvalidError
from codebatch.model.records import SYMLINK_MODE, FileRecord
from codebatch.plan.pipeline import Pipeline, PipelineTask, with_config

_MOST_BYTES = 2**20  # of all such files of a task

ReadObject = Callable[[str, int], bytes]


def reads_configs(pipeline: Pipeline) -> bool:
    """Return whether a task of a pipeline may see files of the tree that configure it."""
    return any(one.config.get("read_configs") for one in pipeline.tasks if one.task.definition)


def with_config_files(
    pipeline: Pipeline, files: Sequence[FileRecord], read: ReadObject
) -> Pipeline:
    """Return the pipeline with the contents of such files in the settings of its tasks;
    `TaskInvalidError` where they are too large, or no text.
    """
    return replace(pipeline, tasks=tuple(_filled(one, files, read) for one in pipeline.tasks))


def _filled(one: PipelineTask, files: Sequence[FileRecord], read: ReadObject) -> PipelineTask:
    names = one.config.get("read_configs") if one.task.definition else None
    if not isinstance(names, list) or not names:
        return one
    chosen = [
        file
        for file in files
        if file.path.rsplit("/", 1)[-1] in names and file.mode != SYMLINK_MODE
    ]
    if sum(file.size for file in chosen) > _MOST_BYTES:
        raise TaskInvalidError(
            f"task {one.id}: its configuration files have more than {_MOST_BYTES} bytes",
            hints=[f"the largest: {max(chosen, key=lambda file: file.size).path}"],
        )
    contents = {file.path: read(file.object, file.size) for file in chosen}
    try:
        texts = {path: data.decode() for path, data in contents.items()}
    except UnicodeDecodeError as error:
        names = ", ".join(contents)
        raise TaskInvalidError(f"task {one.id}: not all in UTF-8: {names}") from error
    return with_config(one, {"config_files": texts})
