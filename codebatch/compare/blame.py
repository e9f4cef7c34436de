"""Find one finding of a batch in another: the same as a comparison of the two would say it is.

A finding is the same in both where its task, code and fingerprint are, in the same file or in one
that has become it, and its number among such equals in that file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from codebatch.compare.compare import renames_between
from codebatch.model.errors import FindingNotFoundError
from codebatch.model.records import Record
from codebatch.query.filters import RecordFilter
from codebatch.query.records import iter_records
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

_FINGERPRINT = re.compile(r"[0-9a-f]{4,16}\Z")
_PLACE = re.compile(r"(?P<path>.+?):(?P<line>[0-9]+)(?::(?P<code>[A-Za-z][\w.\-]*))?\Z", re.DOTALL)
_MOST_NAMED = 10


def find_finding(store: StoreDirectory, batch_status: BatchStatus, text: str) -> Record:
    """Return the one finding that is meant: a fingerprint or the beginning of one, or
    ``PATH:LINE`` or ``PATH:LINE:CODE``; `FindingNotFoundError` where it is none, or several.
    """
    place = _PLACE.match(text)
    if _FINGERPRINT.match(text):
        found = [r for r in _findings(store, batch_status) if _starts(r, text)]
    elif place is not None:
        found = _at(_findings(store, batch_status), place["path"], int(place["line"]))
        found = [record for record in found if place["code"] in (None, record["code"])]
    else:
        raise FindingNotFoundError(
            f"{text} is neither a fingerprint nor a place",
            hints=["give PATH:LINE, PATH:LINE:CODE, or 4 to 16 digits of a fingerprint"],
        )
    if len(found) == 1:
        return found[0]
    named = [f"{record['path']}:{record['line']}:{record['code']}" for record in found]
    if found:
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise FindingNotFoundError(
            f"{text} may be {len(found)} findings of {batch_status.batch_id}",
            hints=[f"one of: {', '.join(named[:_MOST_NAMED])}{more}"],
        )
    raise FindingNotFoundError(
        f"no finding {text} in {batch_status.batch_id}",
        hints=[f"list them: codebatch errors --batch {batch_status.batch_id}"],
    )


def counterpart(
    store: StoreDirectory, old: BatchStatus, new: BatchStatus, finding: Record
) -> Record | None:
    """Return a finding of batch ``new`` as it was in ``old``; None where it was not there."""
    path = str(finding["path"])
    number = _equals(store, new, path, finding).index(finding)
    renames = {rename.new: rename.old for rename in renames_between(store, old, new)}
    found = _equals(store, old, renames.get(path, path), finding)
    return found[number] if number < len(found) else None


def _equals(
    store: StoreDirectory, batch_status: BatchStatus, path: str, finding: Record
) -> list[Record]:
    """Return the findings in a file that nothing but their number tells from one another."""
    same = ("task_id", "code", "fingerprint")
    found = _findings(store, batch_status, path)
    return [one for one in found if all(one[name] == finding[name] for name in same)]


def _findings(
    store: StoreDirectory, batch_status: BatchStatus, path: str | None = None
) -> Iterator[Record]:
    """Yield the findings of a batch, or of a file of it."""
    records = iter_records(store, batch_status, RecordFilter(kind="diagnostic"))
    return (record for record in records if path is None or record["path"] == path)


def _at(findings: Iterator[Record], path: str, line: int) -> list[Record]:
    """Return the findings on a line of the file of that path, else of those whose path ends so."""
    there = [record for record in findings if record["line"] == line]
    exact = [record for record in there if record["path"] == path]
    return exact or [record for record in there if str(record["path"]).endswith(f"/{path}")]


def _starts(record: Record, text: str) -> bool:
    return str(record["fingerprint"]).startswith(text)
