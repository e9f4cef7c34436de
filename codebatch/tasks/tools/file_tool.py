"""A tool as a task over files: it is run over all new files of a shard at once.

Where a command fails, it is first run on an empty file: if that fails too, no file is to blame, and
the task has failed. Otherwise the files are halved until it is known which ones are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from codebatch.model.errors import TaskFailedError
from codebatch.model.records import Record
from codebatch.tasks.base import Config, ToolCrashedError, skip_record
from codebatch.tasks.file import File
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.languages.detect import PATH as PATH_FACET
from codebatch.tasks.languages.detect import siblings_in
from codebatch.tasks.source import SourceFile
from codebatch.tasks.tools.catalogue import described
from codebatch.tasks.tools.description import SIBLINGS, Description
from codebatch.tasks.tools.run import Answer, ToolCommand, ToolFailedError, chunks_of
from codebatch.tasks.tools.selection import facets_of, is_selected, name_for, reason_to_skip


def records_of_file(file: File, config: Config) -> Iterator[Record]:
    """Yield what the tool said of a file, which it was run on before."""
    tool = described(config)
    path = file.source.facets.get(PATH_FACET, "")
    if not is_selected(tool, file.language, path):
        return
    reason = reason_to_skip(tool, file.language, file.size, path)
    if reason is not None:
        yield skip_record(reason)
        return
    if isinstance(file.prepared, ToolFailedError):
        raise file.prepared
    answer = cast("Answer", file.prepared)
    findings = [found for found in answer if isinstance(found, Finding)]
    yield from diagnostic_records(set(findings), file.source.lines)
    for diff in answer:
        if isinstance(diff, bytes):
            yield {"kind": "patch", "data": diff}


class FilesAtWork:
    """A tool at work on the files of a shard; a `Preparation`.

    State: ``_command`` is the first command, which was started at once.
    """

    def __init__(self, sources: Sequence[SourceFile], config: Mapping[str, Any]) -> None:
        self._tool = described(config)
        chosen = [place for place, source in enumerate(sources) if _is_given(self._tool, source)]
        self._names = {place: name_for(self._tool, sources[place]) for place in chosen}
        self._sources = {self._names[place]: sources[place] for place in chosen}
        self.places = chosen
        targets = list(self._sources)
        self._chunks = [[targets[i] for i in one] for one in chunks_of(self._tool, targets)]
        self._command = self._start(self._chunks[0]) if self._chunks else None

    def values(self) -> Sequence[object]:
        """Return what was said of each file: an `Answer`, or the error that it causes."""
        found: dict[str, object] = {}
        for chunk in self._chunks:
            command, self._command = self._command, None
            answers = self._of_each(chunk, command or self._start(chunk))
            if isinstance(answers, Exception):
                self._check_tool(chunk[0], answers)
                answers = self._apart(chunk, answers)
            found |= answers
        return [found[self._names[place]] for place in self.places]

    def cancel(self) -> None:
        """End what is at work."""
        if self._command is not None:
            self._command.cancel()

    def _start(
        self, targets: Sequence[str], contents: Mapping[str, bytes] | None = None
    ) -> ToolCommand:
        files = dict(contents or {name: self._sources[name].content for name in targets})
        for name in targets:
            for sibling in _siblings(self._tool, self._sources[name]):
                files.setdefault(sibling, b"")
        try:
            return ToolCommand(self._tool, {**self._tool.settings, **files}, targets)
        except ToolFailedError as error:  # no file has been looked at
            raise TaskFailedError(str(error)) from error

    def _check_tool(self, name: str, error: Exception) -> None:
        """Raise `TaskFailedError` where the tool fails on an empty file, too."""
        if isinstance(self._of_each([name], self._start([name], {name: b""})), Exception):
            raise TaskFailedError(str(error)) from error

    def _apart(self, names: Sequence[str], error: Exception) -> dict[str, object]:
        """Return what is said of files on which, taken together, the tool has failed."""
        if len(names) == 1:
            return {names[0]: error}
        middle = (len(names) + 1) // 2
        found: dict[str, object] = {}
        for half in (names[:middle], names[middle:]):
            answers = self._of_each(half, self._start(half))
            found |= self._apart(half, answers) if isinstance(answers, Exception) else answers
        return found

    def _of_each(self, names: Sequence[str], command: ToolCommand) -> dict[str, object] | Exception:
        """Return what a command says of each file, or the error with which it failed."""
        try:
            answers = command.answers()
        except (ToolFailedError, ToolCrashedError) as error:
            return error
        return {name: answers.get(name, []) for name in names}


def _is_given(tool: Description, source: SourceFile) -> bool:
    path = source.facets.get(PATH_FACET, "")
    is_selected_ = is_selected(tool, source.language, path)
    return is_selected_ and reason_to_skip(tool, source.language, source.size, path) is None


def _siblings(tool: Description, source: SourceFile) -> list[str]:
    if tool.depends != SIBLINGS:
        return []
    facet = next(name for name in facets_of(tool) if name != PATH_FACET)
    return siblings_in(source.facets[facet])
