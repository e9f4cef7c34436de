"""The syntax tree and the source of one file of a batch, by a path as `query.inspect` takes it.

A tree is what the task `parse` has recorded; the source is in the snapshot, and needs no run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgpack

from codebatch.model.errors import BatchUnfinishedError, NoSyntaxTreeError, StoreDamagedError
from codebatch.model.records import DONE, InputFile, Plan, Record
from codebatch.query.filters import RecordFilter
from codebatch.query.inspect import LINKS, LocatedFile, locate_file
from codebatch.query.records import Matcher
from codebatch.query.values import load_value
from codebatch.store import StoreDirectory
from codebatch.tasks.languages.ecmascript.decode import decode as decode_tree_sitter
from codebatch.tasks.languages.python.decode import decode as decode_python
from codebatch.tasks.languages.tree import Columns, SyntaxTree
from codebatch.tasks.source import SourceFile

_DECODERS: Mapping[str, Callable[[bytes], Columns]] = {
    "python-ast-flat/2+msgpack": decode_python,
    "tree-sitter-flat/2+msgpack": decode_tree_sitter,
}
_WANTED = RecordFilter(kind="ast,diagnostic,skip")


def load_tree(store: StoreDirectory, batch_id: str, name: str) -> SyntaxTree:
    """Return the tree of a file. `NoSyntaxTreeError` says why a file has none,
    `BatchUnfinishedError` that it is not parsed yet.
    """
    plan = store.batches.load_plan(batch_id)
    located = locate_file(store, batch_id, plan, name)
    said = _said_of(store, batch_id, plan, located)
    found = next((record for record in said if record["kind"] == "ast"), None)
    if found is None:
        raise NoSyntaxTreeError(
            f"{located.file.path} has no syntax tree: {_reason(said, located)}",
            hints=[f"its text: codebatch cat {located.file.path} --batch {batch_id}"],
        )
    stored_format = str(found["format"])
    decode = _DECODERS.get(stored_format)
    if decode is None:
        raise StoreDamagedError(f"no format of syntax trees is called {stored_format}")
    columns = _decoded(decode, load_value(store, found))
    return SyntaxTree(located.file.path, located.file.language, stored_format, columns)


def load_source(store: StoreDirectory, batch_id: str, name: str) -> tuple[InputFile, SourceFile]:
    """Return a file and its source: its bytes, and the text that its language makes of them; of a
    link the path that it holds.
    """
    located = locate_file(store, batch_id, store.batches.load_plan(batch_id), name)
    file = located.file
    language = "" if file.language == LINKS else file.language
    return file, SourceFile(store.objects.read(file.object, file.size), language)


def _said_of(
    store: StoreDirectory, batch_id: str, plan: Plan, located: LocatedFile
) -> list[Record]:
    """Return what tasks that record trees have recorded of a file."""
    said: list[Record] = []
    tasks = [task for task in plan.of_files.tasks if task.task == "parse"]
    if not tasks:
        raise NoSyntaxTreeError(
            f"no task of {batch_id} records syntax trees",
            hints=["make a batch whose pipeline has parse: codebatch batch init --pipeline parse"],
        )
    shard_id = located.shard.shard_id
    for task in tasks:
        state = store.shards.load_state(batch_id, task.id, shard_id)
        if state is None or state.status != DONE:
            raise BatchUnfinishedError(
                f"{located.file.path} is not parsed: shard {shard_id} of {batch_id} is not done",
                hints=["in Python: batch.run()", f"codebatch resume --batch {batch_id}"],
            )
        data = store.shards.read_outputs(batch_id, task.id, shard_id, state)
        of_file = Matcher(_WANTED, task.fields).records(data)
        said += (record for record in of_file if record["path"] == located.file.path)
    return said


def _reason(said: list[Record], located: LocatedFile) -> str:
    for record in said:
        if record["kind"] == "skip":
            return str(record["reason"])
        return f"line {record['line']}: {record['message']}"
    return f"nothing could be made of it as {located.file.language}"


def _decoded(decode: Callable[[bytes], Columns], data: bytes) -> Columns:
    # Whoever may write to a store may have written anything under this digest.
    try:
        return decode(data)
    except (
        *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
        *(RecursionError, msgpack.UnpackException),
    ) as error:
        raise StoreDamagedError(f"a syntax tree is not what its format says: {error}") from error
