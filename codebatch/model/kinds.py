"""What a plan says about the records of its tasks: their own kinds of records, and their rules.

A plan may come from anybody, and the names in it become those of tables and columns. What is
checked here, and nowhere else, holds for what a task declares and for what is read: names are of a
form that needs no escape, there is a bound on how many, one kind has one set of fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeGuard

from codebatch.model.field_types import fits
from codebatch.model.records import CODE, KINDS, SEVERITIES, PlannedTask

Types = Mapping[str, str]  # of fields, by name
Kinds = Mapping[str, Types]

# Every record has the first two; readers add the others.
RESERVED = frozenset({"kind", "path", "task_id", "shard_id", "id"})
# Where a record stands in its file: the first of its columns, and no difference to `diff`.
PLACES = ("line", "column", "end_line", "end_column")

# Not compiled here: most plans have no such names, and each takes a part of a millisecond.
_KIND = r"[a-z][a-z0-9_]{0,63}"
_FIELD = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_LINK = r"https?://[^\s\x00-\x1f\x7f<>\"\ud800-\udfff]+"
_MOST_KINDS = 100
_MOST_FIELDS = 100
_MOST_RULES = 1_000
_LONGEST_TITLE = 200
_LONGEST_HELP = 10_000
_LONGEST_LINK = 2_000


def own_kinds(tasks: Iterable[PlannedTask]) -> dict[str, dict[str, str]]:
    """Return the types of the fields of each kind that is the tasks' own: places first, the other
    fields by name. ValueError where two tasks mean different things by one kind.
    """
    found: dict[str, dict[str, str]] = {}
    owners: dict[str, str] = {}
    for task in tasks:
        for kind, types in task.fields.items():
            names = [*(name for name in PLACES if name in types), *sorted({*types} - {*PLACES})]
            fields = {name: types[name] for name in names}
            if found.setdefault(kind, fields) != fields:
                raise ValueError(
                    f"the kind {kind!r} of task {task.id!r} has other fields than that of task "
                    f"{owners[kind]!r}"
                )
            owners.setdefault(kind, task.id)
    return found


def check_kinds(tasks: Iterable[PlannedTask]) -> None:
    """Raise ValueError unless the own kinds and the rules of all tasks are such."""
    planned = list(tasks)
    for task in planned:
        for kind, types in task.fields.items():
            check_fields(kind, types)
            if kind not in task.kinds:
                raise ValueError(f"task {task.id!r} has fields of {kind!r}, which it does not give")
        if len(task.rules) > _MOST_RULES:
            raise ValueError(f"task {task.id!r} has more than {_MOST_RULES:,} rules")
        for rule in task.rules:
            check_rule(rule)
    if len(own_kinds(planned)) > _MOST_KINDS:
        raise ValueError(f"the tasks have more than {_MOST_KINDS} kinds of their own")


def check_fields(kind: str, types: Types) -> None:
    """Raise ValueError unless a kind that is a task's own has a name and fields that may be."""
    if re.fullmatch(_KIND, kind) is None or kind.startswith("sqlite"):
        raise ValueError(f"{kind[:100]!r} is no name of a kind: small letters, digits and '_'")
    if kind in KINDS:
        raise ValueError(f"the kind {kind!r} is taken")
    if not 1 <= len(types) <= _MOST_FIELDS:
        raise ValueError(f"the kind {kind!r} has {len(types):,} fields, not 1 to {_MOST_FIELDS}")
    for name, words in types.items():
        if re.fullmatch(_FIELD, name) is None:
            raise ValueError(f"{name[:100]!r} is no name of a field: letters, digits and '_'")
        if name.lower() in RESERVED:
            raise ValueError(f"field {name!r} of {kind!r}: this name is taken")
        fits(words)
    if len({name.lower() for name in types}) < len(types):
        raise ValueError(f"two fields of {kind!r} differ in capital letters alone")


def check_rule(rule: Mapping[str, object]) -> None:
    """Raise ValueError unless the document of a rule is one."""
    code = rule.get("code")
    if not isinstance(code, str) or CODE.match(code) is None:
        raise ValueError(f"{str(code)[:100]!r} is no code of a rule")
    link = rule.get("link")
    texts = {"title": _LONGEST_TITLE, "name": _LONGEST_TITLE, "help": _LONGEST_HELP}
    for name, most in texts.items():
        text = rule.get(name)
        if not is_text(text, most) or not (text or name == "help"):
            raise ValueError(f"the {name} of rule {code} is no text of up to {most:,} characters")
    if link is not None and not (is_text(link, _LONGEST_LINK) and re.fullmatch(_LINK, link)):
        raise ValueError(
            f"the link of rule {code} is no address that begins with http:// or https://"
        )
    if rule.get("severity") not in SEVERITIES:
        raise ValueError(f"rule {code} has no severity of {', '.join(SEVERITIES)}")
    if rule.keys() - {"code", "title", "name", "help", "link", "severity"}:
        raise ValueError(f"rule {code} has other fields than a rule has")


def is_text(value: object, most: int) -> TypeGuard[str]:
    """Return True for a text of at most so many characters that a record may hold."""
    return isinstance(value, str) and len(value) <= most and fits("str")(value)
