"""What a configuration says of how severe findings are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from codebatch.model.errors import ConfigInvalidError
from codebatch.model.records import CODE, OFF
from codebatch.tasks.levels import FIXED, Levels

_MOST_PATTERNS = 1_000


def levels_of(values: Mapping[str, Any], where: str) -> Levels:
    """Return the levels in the values of a configuration; `ConfigInvalidError` for what is no code
    or no pattern, and for what would pass over files that could not be looked at.
    """
    given = values.get("per-path", {})
    if len(given) > _MOST_PATTERNS:  # each is held against the path of every file
        raise ConfigInvalidError(f"{where}: per-path: more than {_MOST_PATTERNS:,} patterns")
    per_path: list[tuple[str, Mapping[str, str]]] = []
    for pattern, said in given.items():
        place = f"{where}: per-path: {pattern!r}"
        if pattern.startswith("!") or not pattern.strip("/ ") or not pattern.isprintable():
            raise ConfigInvalidError(f"{place} is no pattern for paths")
        levels = {**said.get("severities", {}), **dict.fromkeys(said.get("ignore", ()), OFF)}
        _check_codes(levels.items(), place)
        per_path.append((pattern, levels))
    severities = values.get("severities", {})
    _check_codes(severities.items(), f"{where}: severities")
    return Levels(severities, tuple(per_path))


def _check_codes(levels: Iterable[tuple[str, str]], place: str) -> None:
    for code, level in levels:
        if not CODE.match(code):
            raise ConfigInvalidError(f"{place}: {code!r} is no code, and no code begins so")
        if code in FIXED and level != "error":
            raise ConfigInvalidError(
                f"{place}: {code} is always an error",
                hints=["it says that a file could not be looked at, which must not be passed over"],
            )
