"""The columns of flat tables of records and their types: of Arrow, data frames, CSV and Parquet.

A field of a built-in kind has the type that the schema of the kind says, and one of a kind that a
task has of its own that which the plan says. The value of a metric is a number in the column
``value``, or a text in ``value_text`` (`query.fields.flat`). What has no type of these, a dict or a
field of several types, is text: JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from codebatch.model.digest import Document
from codebatch.model.field_types import alternatives
from codebatch.model.records import Plan
from codebatch.model.resources import load_schema
from codebatch.query.fields import VALUE_TEXT, fields_of, own_fields, record_columns, types_in
from codebatch.query.filters import has_own_metrics

STRING, BOOLEAN, INTEGER, NUMBER = "string", "boolean", "integer", "number"
ARRAY = "array of "

# The texts that many records of a batch have in common: categories, in whatever kind they are.
_REPEATED = frozenset(
    "kind path task_id shard_id language severity code rule metric symbol_type scope edge_type "
    "format media_type how reason".split()
)
_JSON_TYPES: dict[type, str] = {str: STRING, bool: BOOLEAN, int: INTEGER}
_WORDS = {"str": STRING, "bool": BOOLEAN, "int": INTEGER, "float": NUMBER}


@dataclass(frozen=True)
class Column:
    """A column: ``type`` is JSON Schema's, or ``array of`` one; ``required``: never empty."""

    name: str
    type: str
    required: bool

    @property
    def is_category(self) -> bool:
        """Whether it holds few different texts, many times each."""
        return self.type == STRING and self.name in _REPEATED


def columns_of(kind: str, plan: Plan) -> tuple[Column, ...]:
    """Return the columns of the records of a kind: its fields, then what a reader adds."""
    own = own_fields(plan.tasks).get(kind)
    found = _columns_of_schema(kind, plan) if own is None else _own_columns(own)
    return tuple(
        found.get(name, Column(name, STRING, required=True))
        for name in record_columns([kind], fields_of(plan))
    )


def merged_columns(kinds: Iterable[str], plan: Plan) -> tuple[Column, ...]:
    """Return the columns of records of several kinds in one table, in the order of
    `query.fields.record_columns`.
    """
    tables = [{column.name: column for column in columns_of(kind, plan)} for kind in kinds]
    merged = []
    for name in record_columns(kinds, fields_of(plan)):
        found = [table[name] for table in tables if name in table]
        of_type = {column.type for column in found}
        required = len(found) == len(tables) and all(column.required for column in found)
        merged.append(Column(name, of_type.pop() if len(of_type) == 1 else STRING, required))
    return tuple(merged)


def _own_columns(types: Mapping[str, str]) -> dict[str, Column]:
    return {
        name: Column(name, _type_of(words), "None" not in alternatives(words))
        for name, words in types.items()
    }


def _type_of(words: str) -> str:
    """Return the type of a field by that which the plan says; text where it has several."""
    types = types_in(words)
    if types == {"int", "float"}:
        return NUMBER
    (only,) = types if len(types) == 1 else ("",)
    if only.startswith("list[") and only[5:-1] in _WORDS:
        return f"{ARRAY}{_WORDS[only[5:-1]]}"
    return _WORDS.get(only, STRING)


def _columns_of_schema(kind: str, plan: Plan) -> dict[str, Column]:
    schema = load_schema(f"record.{kind}")
    properties = cast("dict[str, Document]", schema["properties"])
    required = {*cast("list[str]", schema["required"])}
    found = {
        name: Column(name, _json_type(rule), name in required) for name, rule in properties.items()
    }
    if kind == "metric":
        are_own = any(map(has_own_metrics, plan.tasks))
        found["value"] = Column("value", NUMBER if are_own else INTEGER, required=False)
        found[VALUE_TEXT] = Column(VALUE_TEXT, STRING, required=False)
    return found


def _json_type(rule: Document) -> str:
    stated = rule.get("type")
    if isinstance(stated, str):
        return stated
    values = cast("list[object]", rule.get("enum", [rule.get("const")]))
    types = {_JSON_TYPES.get(type(value), STRING) for value in values}
    return types.pop() if len(types) == 1 else STRING
