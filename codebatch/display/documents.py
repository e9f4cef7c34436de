"""Documents that show themselves: dicts in every other respect, as JSON and to compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from codebatch.display.displayed import Displayed, card

_MOST_CODES = 10
_NONE: Mapping[str, object] = {}


class StatusDocument(Displayed, dict[str, object]):
    """What `Batch.status` returns."""

    __slots__ = ()

    def _card(self) -> card.Card:
        files = _part(self, "files")
        rate = _part(self, "rate").get("files")
        facts = {
            "shards": card.state_bar(_numbers(self, "shards")),
            "files": f"{files.get('done')} of {files.get('total')}",
            "files a second": rate,
            "seconds left": self.get("seconds_left"),
        }
        tasks = [
            {"task": task["task_id"], "shards": card.state_bar(_numbers(task, "shards"))}
            for task in _rows(self, "tasks")
        ]
        lists = {"runs": _rows(self, "runs"), "errors": _rows(self, "errors")}
        tables = [card.table_of(tasks)] if tasks else []
        tables += [card.table_of(rows, None, title) for title, rows in lists.items() if rows]
        return card.Card("Status of", _text(self, "batch_id"), _text(self, "status"), facts, tables)


class SummaryDocument(Displayed, dict[str, object]):
    """What `Batch.summary` returns."""

    __slots__ = ()

    def _card(self) -> card.Card:
        files, records = _part(self, "files"), _part(self, "records")
        found, skipped = _part(self, "diagnostics"), _part(self, "skipped")
        counts = card.Counts
        facts = {
            "pipeline": self.get("pipeline"),
            "files": counts(_numbers(files, "by_language"), with_total=True),
            "records": counts(_numbers(records, "by_kind"), with_total=True),
            "findings": card.by_severity(_numbers(found, "by_severity")),
            "suppressed": _part(self, "suppressed").get("total"),
            "skipped by tasks": counts(_numbers(skipped, "by_reason"), with_total=True),
            "left out": counts(_numbers(skipped, "left_out"), with_total=True),
            "result": self.get("result"),
        }
        codes = sorted(_numbers(found, "by_code").items(), key=lambda one: (-one[1], one[0]))
        rows = [{"code": code, "findings": number} for code, number in codes]
        tables = [card.table_of(rows, most=_MOST_CODES)] if rows else []
        name, status = _text(self, "batch_id"), _text(self, "status")
        return card.Card("Summary of", name, status, facts, tables)


class PipelineDocument(Displayed, dict[str, object]):
    """What `codebatch.pipeline` returns."""

    __slots__ = ()

    def _card(self) -> card.Card:
        facts = {"description": self.get("description")}
        tasks = _rows(self, "tasks")
        tables = [card.table_of(tasks, columns=("id", "task", "needs"))] if tasks else []
        return card.Card("Pipeline", _text(self, "name"), "", facts, tables)


def _part(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else _NONE


def _numbers(document: Mapping[str, object], key: str) -> Mapping[str, int]:
    return cast("Mapping[str, int]", _part(document, key))


def _rows(document: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    found = document.get(key)
    return found if isinstance(found, list) else []


def _text(document: Mapping[str, object], key: str) -> str:
    return str(document.get(key, ""))
