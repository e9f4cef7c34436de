"""Import a log of SARIF: a batch that has its findings as the records of a task.

The findings are stored as an object, which the settings of the task name together with the digest
of the log and what it says of the tools and rules. So the same log gives the same batch, and a run
of it computes nothing that has been computed before.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from codebatch.batch.create import init_batch
from codebatch.batch.log_paths import SnapshotPaths
from codebatch.display.displayed import Displayed
from codebatch.model.digest import Document, canonical_json, digest_bytes
from codebatch.model.errors import LogInvalidError, TaskNotFoundError, UsageError
from codebatch.model.kinds import check_rule
from codebatch.model.records import SYMLINK_MODE, FileRecord, PlannedTask
from codebatch.plan.pipeline import Pipeline, PipelineTask
from codebatch.store import StoreDirectory
from codebatch.store.leases.leases import pinning
from codebatch.tasks.base import Task
from codebatch.tasks.languages.detect import HEAD_BYTES, detect_language
from codebatch.tasks.registry import task_of
from codebatch.tasks.rules import Rule
from codebatch.tasks.sarif import SARIF, LogFinding, pack_findings
from codebatch.tasks.source import SourceFile
from codebatch.tasks.tools.outputs.said import UnreadableOutputError
from codebatch.tasks.tools.outputs.sarif import SarifResult, SarifRule, SarifRun, read_log
from codebatch.tasks.tools.run import code_of

NOT_IN_SNAPSHOT = "not in the snapshot"
NO_FILE = "of no file"
BEYOND_END = "beyond the end of the file"
REPEATED = "repeated"

_SEVERITIES = {"error": "error", "warning": "warning"}
_MOST_RULES = 1000
_MOST_RULE_BYTES = 2**19  # a plan, which has them four times, is of 16 MiB at most
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_MOST_NAME = 64
_MOST_BYTES = 2**30


@dataclass(frozen=True)
class ImportedTask:
    """A task of an import: the tools whose findings it has, and how many of how many files."""

    task_id: str
    tools: Sequence[Mapping[str, str]]
    findings: int
    files: int


@dataclass(frozen=True, repr=False)
class ImportReport(Displayed):
    """What an import came to.

    ``left_out`` counts the results that are no findings of the batch, by reason, ``missing`` those
    of each path that is not in the snapshot, ``beyond`` those of each file that has fewer lines.
    """

    batch_id: str
    snapshot_id: str
    created: bool
    log: str
    tasks: Sequence[ImportedTask]
    left_out: Mapping[str, int]
    missing: Mapping[str, int]
    beyond: Mapping[str, int]
    unsuccessful: Sequence[str]


def import_sarif(
    store: StoreDirectory,
    data: bytes,
    snapshot_id: str,
    beside: str | None = None,
    task_id: str | None = None,
) -> ImportReport:
    """Make a batch over a snapshot that has the findings of a log, beside the tasks of another
    batch if one is given; it has to be run.

    The tasks are named after the tools; with ``task_id``, all findings are of one.
    """
    if task_id is not None and not _NAME.match(task_id):
        raise UsageError(
            f"no name of a task: {task_id!r}",
            hints=["it has letters, digits, '_' and '-', and begins with a letter"],
        )
    try:
        runs = read_log(data)
        if not runs:
            raise UnreadableOutputError("it has no runs")
        reading = _Reading(store, snapshot_id)
        of_task: dict[str, list[SarifRun]] = defaultdict(list)
        for run in runs:
            of_task[task_id or name_of(run.name)].append(run)
        found = {name: reading.findings(some, name) for name, some in of_task.items()}
    except UnreadableOutputError as error:
        raise LogInvalidError(f"no log of SARIF 2.1.0 that can be read: {error}") from error
    log = digest_bytes(data)
    with pinning(store.layout, "sarif import", at_once=True) as pins:
        tasks = []
        with store.group(durable=True, pins=pins) as group:
            for name, findings in found.items():
                stored = store.objects.put(pack_findings(findings), group, pins)
                config = {
                    "name": name,
                    "object": stored.digest,
                    "size": stored.size,
                    "log": log,
                    "tools": _tools(of_task[name]),
                    "rules": reading.rules_of(findings),
                }
                tasks.append(PipelineTask(name, SARIF.bound(config), (), config))
        made = init_batch(store, snapshot_id, _pipeline(store, beside, tasks))
    return ImportReport(
        made.batch_id,
        snapshot_id,
        made.created,
        log,
        [
            ImportedTask(name, _tools(of_task[name]), len(some), len({one.path for one in some}))
            for name, some in found.items()
        ],
        dict(sorted(reading.left_out.items())),
        dict(sorted(reading.missing.items())),
        dict(sorted(reading.beyond.items())),
        sorted({run.name for run in runs if not run.was_successful}),
    )


def read_file(path: str, stream: BinaryIO | None = None) -> bytes:
    """Return the bytes of a log, which a stream may give instead; `LogInvalidError` where it cannot
    be read, or is too large.
    """
    try:
        with open(path, "rb") if stream is None else stream as opened:
            data = opened.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise LogInvalidError(f"{path} cannot be read: {why}") from error
    if len(data) > _MOST_BYTES:
        raise LogInvalidError(f"{path} is larger than {_MOST_BYTES >> 20:,} MiB")
    return data


def bytes_of(log: str | os.PathLike[str] | bytes) -> bytes:
    """Return a log that is given as a file or by its bytes; errors as of `read_file`."""
    return log if isinstance(log, bytes) else read_file(os.fspath(log))


def name_of(tool: str) -> str:
    """Return the id of a task for the name of a tool."""
    name = _NO_NAME.sub("-", tool).strip("-").lower()[:_MOST_NAME]
    return name if name[:1].isalpha() else f"sarif-{name}".strip("-")[:_MOST_NAME]


def _tools(runs: Sequence[SarifRun]) -> list[dict[str, str]]:
    tools = [{"name": run.name, "version": run.version, "link": run.link} for run in runs]
    return [tool for place, tool in enumerate(tools) if tool not in tools[:place]]


def _pipeline(
    store: StoreDirectory, beside: str | None, imported: Sequence[PipelineTask]
) -> Pipeline:
    """Return the pipeline of imported tasks, in the places of those that had their names."""
    name, description, tasks = "", "", dict[str, PipelineTask]()
    if beside is not None:
        document: Any = store.batches.load_plan_document(beside)["document"]
        name, description = document["name"], document["description"]
        for one in store.batches.load_plan(beside).tasks:
            tasks[one.id] = PipelineTask(one.id, _known(one), one.needs, one.config)
    for task in imported:
        before = tasks.get(task.id)
        if before is not None and before.task.definition != SARIF.name:
            raise UsageError(
                f"task {task.id} of {beside} is no import",
                hints=["name the imported one otherwise: --task NAME", "or leave it out: --alone"],
            )
        tasks[task.id] = task
    names = dict.fromkeys([*filter(None, name.split("+")), *(task.id for task in imported)])
    return Pipeline("+".join(names)[:200], description, tuple(tasks.values()))


def _known(planned: PlannedTask) -> Task:
    """Return the task of a plan; the error where it is not known here says what helps."""
    try:
        return task_of(planned)
    except TaskNotFoundError as error:
        hints = ["make a batch of the log alone: --alone", "in Python: batch.give_tasks([…]) first"]
        raise TaskNotFoundError(error.message, hints=hints, details=error.details) from error


@dataclass
class _Reading:
    """Findings being read from the runs of a log.

    State: ``left_out``, ``missing`` and ``beyond`` count what is no finding, as in the report;
    ``_rules`` has what the log says of the rules of those that are, by their codes.
    """

    store: StoreDirectory
    snapshot_id: str
    left_out: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    beyond: Counter[str] = field(default_factory=Counter)
    _rules: dict[str, Document] = field(default_factory=dict)

    def __post_init__(self) -> None:
        files = self.store.snapshots.load_manifest(self.snapshot_id)
        self._files = {file.path: file for file in files if file.mode != SYMLINK_MODE}
        self._paths = SnapshotPaths(self._files)

    def findings(self, runs: Sequence[SarifRun], name: str) -> set[LogFinding]:
        """Return the findings of some runs, as of a task of that name."""
        found = set[LogFinding]()
        for run in runs:
            for one in self._of_run(run, name):
                self._leave_out(REPEATED, one in found)
                found.add(one)
        return found

    def rules_of(self, findings: set[LogFinding]) -> list[Document]:
        """Return what the log says of the rules of findings, at most as many as a task may have:
        those with the most findings. What would take too much room has no help.
        """
        codes = Counter(one.code for one in findings if one.code in self._rules)
        most = sorted(codes, key=lambda code: (-codes[code], code))[:_MOST_RULES]
        rules = [self._rules[code] for code in sorted(most)]
        if len(canonical_json(rules)) > _MOST_RULE_BYTES:
            return [{**rule, "help": ""} for rule in rules]
        return rules

    def _of_run(self, run: SarifRun, name: str) -> Iterator[LogFinding]:
        results = [*run.results()]
        self.left_out.update(run.left_out)
        placed = self._paths.find_all({one.said.path for one in results})
        of_file: dict[str, list[SarifResult]] = defaultdict(list)
        for one in results:
            path = one.said.path
            if path in placed:
                of_file[placed[path]].append(one)
            else:
                self._leave_out(NOT_IN_SNAPSHOT if path else NO_FILE)
                self.missing.update([path] if path else ())
        for path, some in of_file.items():
            lines = self._lines(self._files[path])
            for one in some:
                if one.said.line > len(lines) + 1:  # the last is where the file ends
                    self._leave_out(BEYOND_END)
                    self.beyond[path] += 1
                else:
                    yield self._finding(one, path, lines if run.is_utf16 else (), name)

    def _finding(
        self, result: SarifResult, path: str, lines: Sequence[str], name: str
    ) -> LogFinding:
        said = result.said
        rule = said.code or name
        code = code_of(rule)
        if result.rule is not None and code not in self._rules:
            self._rules[code] = _rule_document(code, rule, result.rule)
        line, column = max(said.line, 1), max(said.column, 1)
        if line <= len(lines):
            column = _code_points(lines[line - 1], column)
        severity = _SEVERITIES.get(said.severity, "info")
        return LogFinding(path, line, column, code, rule, severity, said.message)

    def _lines(self, file: FileRecord) -> Sequence[str]:
        content = self.store.objects.read(file.object, file.size)
        return SourceFile(content, detect_language(file.path, lambda: content[:HEAD_BYTES])).lines

    def _leave_out(self, reason: str, is_left_out: bool = True) -> None:  # noqa: FBT001, FBT002
        if is_left_out:
            self.left_out[reason] += 1


def _code_points(line: str, column: int) -> int:
    """Return a column in code points for one in units of UTF-16."""
    if line.isascii():
        return column
    units = line.encode("utf-16-le", "surrogatepass")[: 2 * (column - 1)]
    beyond = column - 1 - len(units) // 2
    return len(units.decode("utf-16-le", "replace")) + beyond + 1


def _rule_document(code: str, name: str, rule: SarifRule) -> Document:
    title = rule.title or rule.name or name
    severity = _SEVERITIES.get(rule.level, "info")
    document = Rule(code, title, rule.help, rule.link or None, severity, name).as_document()
    try:
        check_rule(document)
    except ValueError:  # its link is no address; all else was made to fit
        document["link"] = None
    return document
