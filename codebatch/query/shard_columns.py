"""The records of one kind in the outputs of a shard, as columns: `ShardColumns.read`.

Arrow parses the lines, and takes more than the format allows. What it makes of them is believed
only where everything that could differ has been looked at: in the bytes, in the number of rows, in
the different values of each column. Where anything is odd, the records are parsed and checked one
by one, which gives the same columns, or says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from codebatch.model.checks import check_count, text_check
from codebatch.model.digest import DIGEST_PREFIX, ID_HEX_DIGITS, canonical_json, digest_document
from codebatch.model.errors import CodeBatchError, StoreDamagedError
from codebatch.model.field_types import MOST_CHARACTERS, MOST_ITEMS
from codebatch.model.records import Plan
from codebatch.query.arrow import arrow_schema, arrow_type, rows_to_batch
from codebatch.query.columns import ARRAY, INTEGER, NUMBER, STRING, Column, columns_of
from codebatch.query.fields import ADDED, VALUE_TEXT, own_fields, types_in
from codebatch.query.filters import RecordFilter
from codebatch.query.records import Matcher
from codebatch.runtime.lazy import lazily

with lazily():
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import json as arrow_json

LINE = Column("id", INTEGER, required=True)  # the number of the line in the outputs
_LAYOUT = 1
_BLOCK = 2**26
_EXACT = 2**63  # integers below are what the format has
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NULL = re.compile(rb'"\s*:\s*null')
_INTEGER = rb"\s*-?\d+\s*[,\]}]"


class _OddError(Exception):
    """Lines in which records have to be looked at one by one."""


@dataclass(frozen=True)
class ShardColumns:
    """The columns of the records of a kind as a shard has them, for whatever batch: `LINE`, then
    its fields. ``own`` are their types in the plan where the kind is a task's own.
    """

    kind: str
    columns: tuple[Column, ...]
    own: Mapping[str, str] | None

    @classmethod
    def of_plan(cls, kind: str, plan: Plan) -> ShardColumns:
        """Return those of a kind of a batch."""
        fields = [one for one in columns_of(kind, plan) if one.name not in ("kind", *ADDED)]
        return cls(kind, (LINE, *fields), own_fields(plan.tasks).get(kind))

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema of Arrow."""
        return arrow_schema(self.columns)

    @cached_property
    def form(self) -> str:
        """The name of the layout: of the columns and their types."""
        columns = [[one.name, one.type, one.required, one.is_category] for one in self.columns]
        digest = digest_document("columns", [_LAYOUT, self.kind, columns])
        return digest[len(DIGEST_PREFIX) :][:ID_HEX_DIGITS]

    def read(self, data: bytes) -> pa.RecordBatch:
        """Return the records of the kind in the lines of a shard; `StoreDamagedError` where one is
        not what the format says.
        """
        if self._is_parsed:
            try:
                return self._parse(data)
            except (_OddError, pa.ArrowException, CodeBatchError, ValueError, TypeError):
                pass  # the records say what is odd, if they are not as they should be
        return self.read_slowly(data)

    def read_slowly(self, data: bytes) -> pa.RecordBatch:
        """Return the same, by looking at each record."""
        matcher = Matcher(RecordFilter(kind=self.kind), {self.kind: self.own} if self.own else {})
        try:
            lines = data.decode().split("\n")
        except UnicodeDecodeError as error:
            raise StoreDamagedError(f"an index is not what the format says: {error}") from error
        text = self._text.decode()
        found = [
            {**record, LINE.name: number}
            for number, line in enumerate(lines)
            if text in line
            for record in matcher.records(line.encode())
        ]
        return rows_to_batch(found, self.columns)

    @property
    def _text(self) -> bytes:
        return canonical_json({"kind": self.kind})[1:-1]

    @property
    def _is_parsed(self) -> bool:
        """Whether all fields have types that Arrow parses: a text is a text, and no JSON."""
        return self.own is None or all(
            one.type != STRING or types_in(self.own[one.name]) == {"str"}
            for one in self.columns
            if one.name in self.own
        )

    def _parse(self, data: bytes) -> pa.RecordBatch:
        data.decode()
        lines, numbers = _matching(data, self._text)
        self._check_bytes(lines, len(numbers))
        if self.kind == "metric":
            lines = lines.replace(b'"value":"', b'"%b":"' % VALUE_TEXT.encode())
        types = [(one.name, _parsed_type(one)) for one in self.columns[1:]]
        found = arrow_json.read_json(
            pa.BufferReader(lines),
            arrow_json.ReadOptions(use_threads=False, block_size=_BLOCK),
            arrow_json.ParseOptions(
                explicit_schema=pa.schema([("kind", pa.string()), *types]),
                newlines_in_values=False,
                unexpected_field_behavior="error",
            ),
        )
        if found.num_rows != len(numbers) or found["kind"].unique().to_pylist() != [self.kind]:
            raise _OddError
        arrays = [_of_type(found[one.name].combine_chunks(), one) for one in self.columns[1:]]
        for column, array in zip(self.columns[1:], arrays, strict=True):
            self._check(column, array)
        if self.kind == "metric" and _are_both(found["value"], found[VALUE_TEXT]):
            raise _OddError
        return pa.record_batch([pa.array(numbers, pa.int64()), *arrays], schema=self.schema)

    def _check_bytes(self, lines: bytes, count: int) -> None:
        """Raise where lines could be other than Arrow takes them for: values of several lines, lone
        surrogates, an absent field that is null, a number that is an integer.
        """
        is_whole = lines.startswith(b"{") and lines.endswith(b"}\n")
        if not is_whole or lines.count(b"}\n{") != count - 1 or _SURROGATE.search(lines):
            raise _OddError
        if self.own is None:
            if b"null" in lines and _NULL.search(lines):
                raise _OddError
            return
        for name, words in self.own.items():
            key = re.escape(canonical_json(name)) + rb"\s*:"
            # A field of a kind of users is there, be it null.
            if "None" in words and len(re.findall(key, lines)) != count:
                raise _OddError
            types = types_in(words)
            if types == {"float"} and re.search(key + _INTEGER, lines):
                raise _OddError
            if "list[float]" in types and re.search(key + rb"\s*\[(?:[^\]]*,)?" + _INTEGER, lines):
                raise _OddError

    def _check(self, column: Column, array: pa.Array) -> None:
        """Raise unless the values are such as the records of the kind have."""
        if column.required and array.null_count:
            raise _OddError
        if column.type.startswith(ARRAY):
            items = array.flatten()
            if items.null_count or (pc.max(pc.list_value_length(array)).as_py() or 0) > MOST_ITEMS:
                raise _OddError
            self._check(Column(column.name, column.type.removeprefix(ARRAY), required=True), items)
        elif column.type == NUMBER:
            if not pc.all(pc.less(pc.abs(array), float(_EXACT)), min_count=0).as_py():
                raise _OddError
        elif column.type == INTEGER and self.own is None:
            for value in pc.min_max(array).as_py().values():
                check_count(column.name, value)
        elif column.type == STRING:
            self._check_texts(column.name, array.dictionary if column.is_category else array)

    def _check_texts(self, name: str, array: pa.Array) -> None:
        is_own = self.own is not None and name in self.own
        if is_own and (pc.max(pc.binary_length(array)).as_py() or 0) > MOST_CHARACTERS:
            raise _OddError
        check = None if is_own else text_check(self.kind, name)
        if check is not None:
            for value in array.drop_null().unique().to_pylist():
                check(value)


def _matching(data: bytes, text: bytes) -> tuple[bytes, Sequence[int]]:
    """Return the lines in which a text is, and their numbers."""
    count = data.count(b"\n")
    if data.count(text) == count and data.endswith(b"\n"):
        return data, range(count)
    lines = data.split(b"\n")
    numbers = [number for number, line in enumerate(lines) if text in line]
    return b"".join(b"%b\n" % lines[number] for number in numbers), numbers


def _parsed_type(column: Column) -> pa.DataType:
    return pa.string() if column.is_category else arrow_type(column)


def _of_type(array: pa.Array, column: Column) -> pa.Array:
    return array.dictionary_encode() if column.is_category else array


def _are_both(numbers: pa.ChunkedArray, texts: pa.ChunkedArray) -> bool:
    """Return whether some rows have both or neither."""
    return bool(pc.any(pc.equal(pc.is_null(numbers), pc.is_null(texts))).as_py())


def forms_of(kinds: Iterable[str], plan: Plan) -> dict[str, ShardColumns]:
    """Return the columns of the records of each of these kinds of a batch."""
    return {kind: ShardColumns.of_plan(kind, plan) for kind in kinds}
