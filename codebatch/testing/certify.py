"""What the findings of a tool depend on, shown on the files of a tree.

The tool is run on all files together, and then on batches in which one thing is different: other
orders, other contents of neighbours, files that are gone, other folders. What changes a finding is
what it depends on. A difference proves a dependence; that there is none is shown for these files
and these trials alone.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from codebatch.display.displayed import Displayed
from codebatch.model.digest import digest_bytes
from codebatch.model.errors import TaskFailedError, UsageError
from codebatch.tasks.base import Task, ToolCrashedError
from codebatch.tasks.findings import Finding
from codebatch.tasks.languages.detect import FACETS
from codebatch.tasks.source import SourceFile
from codebatch.tasks.tools.catalogue import described, load_tools
from codebatch.tasks.tools.description import CONTENT, PATH, PROJECT, SIBLINGS, Description
from codebatch.tasks.tools.run import Answer, ToolCommand, ToolFailedError, chunks_of
from codebatch.tasks.tools.selection import facets_of, is_selected, name_for, reason_to_skip
from codebatch.testing.files import iter_files
from codebatch.testing.run import TriedFile

DEPENDENCES = (CONTENT, PATH, SIBLINGS, PROJECT)  # each includes those before it
_MOST_COMMANDS = 20  # of one trial: a tool may take one file at a time
_MOST_ALONE = 3
_MOST_NAMES = 40
_MOVED = "moved/elsewhere"

Results = dict[str, frozenset[Finding]]


class Difference(NamedTuple):
    """A file of which a tool said something else when ``change`` was made to the batch: what it
    said before and did not say then, and what it said then alone.
    """

    change: str
    path: str
    missing: tuple[Finding, ...]
    added: tuple[Finding, ...]

    def document(self) -> dict[str, object]:
        """Return the difference as JSON has it."""
        findings = {"missing": self.missing, "added": self.added}
        shown = {name: [_finding(one) for one in some] for name, some in findings.items()}
        return {"change": self.change, "path": self.path, **shown}


@dataclass(frozen=True, repr=False)
class Certificate(Displayed):
    """What a tool was shown to depend on: one of `DEPENDENCES`, with the names of files in the case
    of siblings; None where equal commands do not say the same. ``described`` and
    ``described_siblings`` are what its description says, ``failed`` the files on which it fails,
    which are not among the ``files``.
    """

    tool: str
    described: str
    described_siblings: tuple[str, ...]
    depends: str | None
    siblings: tuple[str, ...]
    files: int
    failed: tuple[str, ...]
    commands: int
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Whether the description says at least as much as the tool was shown to depend on."""
        if self.depends is None:
            return False
        if self.depends == SIBLINGS == self.described:
            return bool(self.siblings) and {*self.siblings} <= {*self.described_siblings}
        return DEPENDENCES.index(self.depends) <= DEPENDENCES.index(self.described)

    def document(self) -> dict[str, object]:
        """Return what ``tool certify --json`` prints."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        differences = [one.document() for one in self.differences]
        return {**fields, "holds": self.holds, "differences": differences}


def certify(
    tool: Task | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    rounds: int = 2,
    seed: int = 0,
    read_configs: Sequence[str] = (),
) -> Certificate:
    """Return what the findings of a tool depend on, as shown on the files of a folder.

    The tool is a task of one, the name of a packaged description or a file with one. ``rounds`` is
    how often files are divided anew, by a generator that starts at ``seed``. `TaskFailedError`
    where the tool fails on all files, or an empty one, `UsageError` where there is none for it.
    """
    (task,) = [tool] if isinstance(tool, Task) else load_tools([os.fspath(tool)], read_configs)
    description = described(task.config)
    files = [*iter_files([os.fspath(folder)])]
    trials = _Trials(_configured(description, files), files, rounds, seed)
    if not trials.targets:
        raise UsageError(f"{description.name} is given no file of {folder}")
    depends, siblings, differences = trials.outcome()
    return Certificate(
        description.name,
        description.depends,
        tuple(description.siblings),
        depends,
        tuple(siblings),
        len(trials.targets),
        tuple(sorted(trials.failed)),
        trials.commands,
        tuple(differences),
    )


def _configured(tool: Description, files: Iterable[TriedFile]) -> Description:
    """Return the description with the files of configuration that the tool may see."""
    names = {*tool.read_configs}
    if not names:
        return tool
    texts = {
        file.path: file.content.decode("utf-8", "replace")
        for file in files
        if file.path.rpartition("/")[2] in names
    }
    return replace(tool, config_files=texts)


class _Trials:
    """The trials of a tool on some files.

    State: ``commands`` counts those that were run. ``_contents`` are the files that the tool may
    see, ``targets`` those that it is given, without the ``failed`` ones, on which it fails.
    """

    def __init__(
        self, tool: Description, files: Sequence[TriedFile], rounds: int, seed: int
    ) -> None:
        self._tool = tool
        self._rounds = rounds
        self._random = random.Random(seed)  # noqa: S311 - divides files, keeps no secret
        hidden = {*tool.direct_configs, *tool.code_configs}
        seen = [
            file
            for file in files
            if file.path.rpartition("/")[2] not in hidden
            and reason_to_skip(tool, file.language, len(file.content), file.path) is None
        ]
        self._contents = {file.path: file.content for file in seen}
        self._languages = {file.path: file.language for file in seen}
        chosen = [file.path for file in seen if is_selected(tool, file.language, file.path)]
        most = tool.batch * _MOST_COMMANDS
        picked = chosen if len(chosen) <= most else self._random.sample(chosen, most)
        self.targets = sorted(picked)
        self.failed: list[str] = []
        self.commands = 0

    def outcome(self) -> tuple[str | None, Sequence[str], list[Difference]]:
        """Return what the tool depends on, the names of siblings, and what has shown it."""
        whole = self._whole()
        self.targets = sorted(whole)
        if found := self._compared(whole, "run again", self._run(self._contents, self.targets)):
            return None, (), found
        if found := self._first(whole, self._with_other_neighbours()):
            return PROJECT, (), found
        if found := self._first(whole, self._with_names_gone(())):
            names, beyond = self._siblings(whole, found)
            return (PROJECT, (), beyond) if beyond else (SIBLINGS, names, found)
        found = self._first(whole, self._elsewhere())
        return (PATH, (), found) if found else (CONTENT, (), [])

    def _whole(self) -> Results:
        """Return what the tool says of files among all, but for those on which it fails."""
        try:
            return self._run(self._contents, self.targets, must_work=True)
        except TaskFailedError:
            first = self.targets[0]
            self._run({first: b""}, [first], must_work=True)  # else no file is to blame
            working = self._working(self.targets)
            if not working:
                raise
        return self._run(self._contents, working, must_work=True)

    def _working(self, targets: Sequence[str]) -> list[str]:
        """Return the files on which the tool does not fail."""
        try:
            return sorted(self._run(self._contents, targets, must_work=True))
        except TaskFailedError:
            if len(targets) == 1:
                self.failed += targets
                return []
        middle = (len(targets) + 1) // 2
        return [*self._working(targets[:middle]), *self._working(targets[middle:])]

    def _with_other_neighbours(self) -> Iterator[tuple[str, Results]]:
        """Yield results with the names of all files, but other orders and contents."""
        for _ in range(self._rounds):
            shuffled = self._random.sample(self.targets, len(self.targets))
            yield "in another order", self._run(self._contents, shuffled)
            for half in self._halves():
                emptied = dict.fromkeys(self._contents, b"")
                contents = emptied | {path: self._contents[path] for path in half}
                yield "with neighbours emptied", self._run(contents, half)

    def _with_names_gone(self, siblings: Sequence[str]) -> Iterator[tuple[str, Results]]:
        """Yield results where other files are gone, but for empty ones of the names of siblings."""
        left = f" but for the names of {', '.join(siblings)}" if siblings else ""
        for _ in range(self._rounds):
            for half in self._halves():
                yield f"half of the files{left}", self._run(self._batch(half, siblings), half)
            for path in self._random.sample(self.targets, min(_MOST_ALONE, len(self.targets))):
                yield f"alone{left}", self._run(self._batch([path], siblings), [path])

    def _elsewhere(self) -> Iterator[tuple[str, Results]]:
        """Yield results under other paths."""
        moved = {path: f"{_MOVED}/{path}" for path in self.targets}
        yield "in another folder", self._run(self._contents, self.targets, moved)
        by_content = replace(self._tool, depends=CONTENT)
        named: dict[str, str] = {}
        for path in self.targets:
            facets = {facet: FACETS[facet](path) for facet in facets_of(by_content)}
            source = SourceFile(self._contents[path], self._languages[path], facets)
            named[path] = name_for(by_content, source)
        yield "under another name", self._run(self._contents, self.targets, named)

    def _siblings(
        self, whole: Results, found: list[Difference]
    ) -> tuple[list[str], list[Difference]]:
        """Return the names beside files and in folders above that make the difference, and what
        differs where there are files of all those names: other files matter then.
        """
        names = list(self._tool.siblings)
        while not names or (found := self._first(whole, self._with_names_gone(names))):
            path = found[0].path
            tried = (name for name in self._names_around(path)[:_MOST_NAMES] if name not in names)
            name = next((one for one in tried if self._suffice(whole, path, [*names, one])), None)
            if name is None:
                names_of_all = map(self._names_around, self.targets)
                every = sorted({name for some in names_of_all for name in some})
                return [], self._first(whole, self._with_names_gone(every))
            names.append(name)
        return names, []

    def _suffice(self, whole: Results, path: str, siblings: Sequence[str]) -> bool:
        """Return whether a file is as among all others where those siblings are there."""
        return self._run(self._batch([path], siblings), [path])[path] == whole[path]

    def _names_around(self, path: str) -> list[str]:
        """Return the names of other files beside a file and in folders above, common ones first."""
        folders = {*_folders_above(path)}
        places = [other.rpartition("/") for other in self._contents if other != path]
        counts = Counter(name for _, _, name in places)
        near = {name for folder, _, name in places if folder in folders}
        return sorted(near, key=lambda name: (-counts[name], name))

    def _halves(self) -> list[list[str]]:
        shuffled = self._random.sample(self.targets, len(self.targets))
        middle = (len(shuffled) + 1) // 2
        return [sorted(half) for half in (shuffled[:middle], shuffled[middle:]) if half]

    def _batch(self, paths: Iterable[str], siblings: Sequence[str]) -> dict[str, bytes]:
        """Return the files of a batch, with empty ones for the siblings that there are."""
        files = {path: self._contents[path] for path in paths}
        for path in [*files]:
            for folder in _folders_above(path):
                for name in siblings:
                    beside = f"{folder}/{name}" if folder else name
                    if beside in self._contents:
                        files.setdefault(beside, b"")
        return files

    def _first(self, whole: Results, results: Iterable[tuple[str, Results]]) -> list[Difference]:
        """Return how the first results differ that do."""
        found = (self._compared(whole, change, other) for change, other in results)
        return next(filter(None, found), [])

    def _compared(self, whole: Results, change: str, other: Results) -> list[Difference]:
        return [
            Difference(
                change,
                path,
                tuple(sorted(whole[path] - other[path])),
                tuple(sorted(other[path] - whole[path])),
            )
            for path in sorted(other)
            if other[path] != whole[path]
        ]

    def _run(
        self,
        contents: Mapping[str, bytes],
        targets: Sequence[str],
        names: Mapping[str, str] | None = None,
        *,
        must_work: bool = False,
    ) -> Results:
        """Return what the tool says of each target among files; all that it says, where it fails,
        is that, unless it must work. ``names`` are those under which it sees the targets, alone.
        """
        files = dict(contents)
        if names is not None:
            files = {names[path]: contents[path] for path in targets}
        settings = {path: text.encode() for path, text in self._tool.config_files.items()}
        called = [path if names is None else names[path] for path in targets]
        found: Results = {}
        for chunk in chunks_of(self._tool, called):
            some = [*dict.fromkeys(called[place] for place in chunk)]
            self.commands += 1
            try:
                answers = ToolCommand(self._tool, {**settings, **files}, some).answers()
            except (ToolFailedError, ToolCrashedError) as error:
                if must_work:
                    raise TaskFailedError(str(error)) from error
                answers = {name: [_said("failed", str(error))] for name in some}
            for place in chunk:
                found[targets[place]] = frozenset(_findings(answers.get(called[place], [])))
        return found


def _findings(answer: Answer) -> Iterator[Finding]:
    for one in answer:
        if isinstance(one, bytes):
            yield _said("rewritten", f"rewritten to {digest_bytes(one)}")
        else:
            yield one


def _finding(one: Finding) -> dict[str, object]:
    return {name: getattr(one, name) for name in ("line", "column", "code", "severity", "message")}


def _said(code: str, message: str) -> Finding:
    return Finding(1, 1, code, code, "info", message)


def _folders_above(path: str) -> Iterator[str]:
    """Yield the folder of a file, and those above, the root as ""."""
    yield from (str(parent) if str(parent) != "." else "" for parent in Path(path).parents)
