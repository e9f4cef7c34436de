"""What to keep of the records of a batch. A value that nothing can have is an error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from codebatch.errors import FilterInvalidError
from codebatch.records import KINDS, SEVERITIES, Record, ShardState
from codebatch.tasks.languages.detect import LANGUAGES

_CODE = re.compile(r"[A-Z]+[0-9]+\Z")


@dataclass(frozen=True)
class RecordFilter:
    """Conditions that all must hold; None sets none. ``path`` is a glob over whole paths,
    in which ``*`` also crosses folders.
    """

    kind: str | None = None
    severity: str | None = None
    code: str | None = None
    path: str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_choice("severity", self.severity, SEVERITIES)
        check_choice("language", self.language, LANGUAGES)
        if self.code is not None and not _CODE.match(self.code):
            raise FilterInvalidError(
                f"unknown code: {self.code}", hints=["a code reads like E0001 or L101"]
            )

    def may_match(self, state: ShardState) -> bool:
        """False where the counts of a shard already say that nothing in it matches."""
        counts = state.counts
        return (
            (self.kind is None or self.kind in counts.by_kind)
            and (self.severity is None or self.severity in counts.by_severity)
            and (self.code is None or self.code in counts.by_code)
        )

    def matches(self, record: Record) -> bool:
        """Whether a record fulfils every condition but the language."""
        return (
            (self.kind is None or record["kind"] == self.kind)
            and (self.severity is None or record.get("severity") == self.severity)
            and (self.code is None or record.get("code") == self.code)
            and self.matches_path(str(record["path"]))
        )

    def matches_path(self, path: str) -> bool:
        """Whether the path fulfils the glob."""
        return self._glob is None or self._glob.match(path) is not None

    @cached_property
    def _glob(self) -> re.Pattern[str] | None:
        return None if self.path is None else re.compile(translate(self.path))


def check_choice(what: str, value: str | None, choices: Iterable[str]) -> None:
    """Raise `FilterInvalidError` unless the value is None or one of the choices."""
    if value is not None and value not in choices:
        raise FilterInvalidError(
            f"unknown {what}: {value}", hints=[f"choose one of {', '.join(choices)}"]
        )
