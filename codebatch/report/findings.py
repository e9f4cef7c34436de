"""The findings of a report, the most relevant first, with what is around them in their sources."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from codebatch.compare.compare import Comparison, compare_batches
from codebatch.compare.diff import improvements
from codebatch.export.results import ABSENT, NEW, UPDATED, Result, choose, load_results
from codebatch.export.selection import Selection
from codebatch.export.text import log_text
from codebatch.model.digest import Document
from codebatch.model.records import Record, path_key
from codebatch.query.filters import RecordFilter
from codebatch.query.rules import rule_of
from codebatch.query.sources import Sources
from codebatch.report.tables import CODE, NUMBER, PATH, TEXT, Budget, Column, Strings, Table, shown
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory
from codebatch.tasks.rules import Rule

MOST_FINDINGS = 100_000
MOST_EXCERPTS = 5_000
AROUND = 2
_LONGEST_LINE = 240
_STATES = {NEW: "new", UPDATED: "changed"}
FIXED, SUPPRESSED, UNREAD = "fixed", "suppressed", "unread"
# What differs between messages of a rule, most often: what is quoted, and numbers.
_PART = re.compile("`[^`]*`|'[^']*'|\"[^\"]*\"|[0-9]+")
FINDING_COLUMNS = (
    Column("severity", TEXT),
    Column("code", TEXT),
    Column("message", CODE),
    Column("parts", CODE),
    Column("path", PATH),
    Column("line", NUMBER),
    Column("column", NUMBER),
    Column("task", TEXT),
    Column("state", TEXT),
)
EXCERPT_COLUMNS = (Column("finding", NUMBER), Column("first", NUMBER), Column("text", CODE))


@dataclass(frozen=True)
class Findings:
    """The findings that are listed, and what is known of all: ``by_severity`` counts those that are
    there, ``by_state`` also those that are not any more. ``gone`` are the states of these, by the
    ids of their records.
    """

    listed: Sequence[Result]
    by_severity: Mapping[str, int]
    by_state: Mapping[str, int]
    rules: Mapping[str, Rule]
    notes: Sequence[str]
    gone: Mapping[int, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many there are, those among them that were there before."""
        return sum(self.by_state.values())

    def state_of(self, result: Result) -> str:
        """Return the state against the base; without one, every finding is known."""
        return _state_of(result, self.gone)


def load_findings(store: StoreDirectory, batch: BatchStatus, base: BatchStatus | None) -> Findings:
    """Return the findings, with their states against a base if there is one."""
    wanted = RecordFilter(kind="diagnostic")
    compared = None if base is None else compare_batches(store, base, batch, wanted)
    gone = {} if compared is None else _states_of_gone(compared)
    chosen = Selection(store, batch, wanted, base=base, comparison=compared)
    results = load_results(chosen)
    states: Counter[str] = Counter()
    severities: Counter[str] = Counter()

    def counted() -> Iterator[Result]:
        for result in results.each:
            states[_state_of(result, gone)] += 1
            if result.state != ABSENT:
                severities[str(result.record["severity"])] += 1
            yield result

    listed, _ = choose(counted(), MOST_FINDINGS)
    return Findings(listed, severities, states, results.rules, results.notes, gone)


def _states_of_gone(compared: Comparison) -> dict[int, str]:
    """Return of each finding that the base alone has whether it is fixed, or suppressed, by the id
    of its record. The others are in files that are not read any more.
    """
    fixed = improvements(compared.diff, compared.rename_map)
    return {
        **{id(one.record): FIXED for one in fixed},
        **{id(record): SUPPRESSED for record in compared.diff.suppressed},
    }


def _state_of(result: Result, gone: Mapping[int, str]) -> str:
    if result.state == ABSENT:
        return gone.get(id(result.record), UNREAD)
    return _STATES.get(result.state or "", "known")


def finding_table(findings: Findings, strings: Strings, budget: Budget) -> Table:
    """Return the table of the findings that there is room for. A message is one of few texts, with
    line ends for the ``parts`` in which it differs from others, one in each line.
    """
    table = Table(FINDING_COLUMNS, strings, budget)
    for result in findings.listed:
        record = result.record
        message = shown(record["message"])
        said = {"message": _PART.sub("\n", message), "parts": "\n".join(_PART.findall(message))}
        table.add({**record, **said, "task": record["task_id"], "state": findings.state_of(result)})
    table.total = findings.total
    return table


def rule_rows(findings: Findings, rows: int) -> list[Document]:
    """Return what the rules behind the first findings say, by code; links to the web alone."""
    found: dict[str, Document] = {}
    for result in findings.listed[:rows]:
        code = str(result.record["code"])
        if code not in found:
            rule = rule_of(result.record, findings.rules)
            link = _web_link(rule.link)
            found[code] = {"code": code, "title": rule.title, "help": rule.help, "link": link}
    return [found[code] for code in sorted(found)]


def excerpt_table(
    store: StoreDirectory,
    sources: Mapping[bool, BatchStatus],
    findings: Sequence[Result],
    strings: Strings,
    budget: Budget,
) -> Table:
    """Return the lines around the first findings, each with the number of its finding. ``sources``
    are the batches in whose snapshots those are that are absent, and that are not.
    """
    chosen = list(enumerate(findings[:MOST_EXCERPTS]))
    chosen.sort(key=lambda one: (one[1].state == ABSENT, path_key(str(one[1].record["path"]))))
    readers = {
        absent: Sources(store, batch.batch_id, batch.plan) for absent, batch in sources.items()
    }
    rows = [
        {"finding": number, **_excerpt(readers[result.state == ABSENT], result.record)}
        for number, result in chosen
    ]
    rows.sort(key=lambda row: int(str(row["finding"])))
    table = Table(EXCERPT_COLUMNS, strings, budget)
    table.extend(row for row in rows if row.get("text"))
    table.total = len(findings)
    return table


def _excerpt(sources: Sources, record: Record) -> dict[str, object]:
    """Return the number of the first line around a finding, and the lines."""
    line = int(str(record["line"]))
    lines = sources.lines(str(record["path"]), str(record["shard_id"]))
    first = max(1, line - AROUND)
    text = "\n".join(map(_shown_line, lines[first - 1 : line + AROUND]))
    return {"first": first, "text": text} if line <= len(lines) else {}


def _shown_line(line: str) -> str:
    line = line.rstrip("\r\n")
    cut = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …"
    return log_text(cut)


def _web_link(link: str | None) -> str | None:
    """Return a link if it leads to the web: any other could be a script, or a file."""
    return link if link and link.lower().startswith(("http://", "https://")) else None
