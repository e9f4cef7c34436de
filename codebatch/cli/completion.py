"""What a shell offers for the values of arguments and options, in bash, zsh and fish.

Values are those of the store and the batch that the line names so far. Where there is no such
store or batch, nothing is offered: a message would be written into the line that is being typed.

Trees and stores are untrusted, and a shell takes what is offered as if it had been typed: bash
expands it, even. So a value with a character that means something to a shell is not offered.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import click
from click.shell_completion import CompletionItem

from codebatch.cli.render.formats import FORMATS, REPORT_FORMATS
from codebatch.cli.render.output import printable
from codebatch.model.errors import CodeBatchError
from codebatch.model.records import KINDS, SEVERITIES
from codebatch.runtime.lazy import lazily
from codebatch.store import BATCH_PREFIX, SNAPSHOT_PREFIX
from codebatch.tasks.vocabulary import EDGE_TYPES, METRICS, SYMBOL_TYPES

with lazily():
    from codebatch import api
    from codebatch.model import resources
    from codebatch.query import fields, top
    from codebatch.tasks import registry

Offers = Callable[[click.Context, str], Iterable[str | CompletionItem]]

_LATEST = "latest"
_MOST_PATHS = 200  # a shell asks before it lists more
_PLAIN = re.compile(r"(?![-~=])[\w@%+=:,./~-]+")  # at the start, these are options or expanded


def offer_values(command: click.Command) -> None:
    """Have the parameters of a command offer the values in the tables below."""
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice):
            continue  # offers its choices
        if isinstance(parameter, click.Option):
            offers = OPTIONS.get(parameter.opts[-1])
        else:
            offers = _ARGUMENTS.get(parameter.human_readable_name.strip("[].").removesuffix("..."))
        if offers is not None:
            parameter.shell_complete = functools.partial(_matching, offers)  # type: ignore[method-assign]


def _matching(offers: Offers, ctx: click.Context, text: str) -> list[CompletionItem]:
    try:
        items = [
            one if isinstance(one, CompletionItem) else CompletionItem(one)
            for one in offers(ctx, text)
        ]
    except CodeBatchError:  # no store, no batch, a damaged one: nothing is offered
        return []
    return [item for item in items if item.type != "plain" or _is_offered(item, text)]


def _is_offered(item: CompletionItem, text: str) -> bool:
    return item.value.startswith(text) and _PLAIN.fullmatch(item.value) is not None


def _store(ctx: click.Context) -> api.Store:
    return api.open_store(ctx.params.get("store"))


def _batch(ctx: click.Context) -> api.Batch:
    return _store(ctx).find_batch(ctx.params.get("batch_id"))


def _paths(kind: str) -> Offers:
    """Return what has the shell complete names of its own: of a ``dir`` or of a ``file``."""
    return lambda _, text: [CompletionItem(text, type=kind)]


def _words(words: Iterable[str]) -> Offers:
    """Return what offers words of a set, several with commas between."""
    return _listed(lambda _: words)


def _listed(find: Callable[[click.Context], Iterable[str]]) -> Offers:
    """Return what offers the last of several words with commas between."""

    def offers(ctx: click.Context, text: str) -> Iterator[str]:
        before, comma, _ = text.rpartition(",")
        return (before + comma + word for word in find(ctx))

    return offers


def _batches(ctx: click.Context, _: str) -> Iterator[str | CompletionItem]:
    store = _store(ctx)
    yield from _listed_ids(store.batches(), "batch_id")
    yield from _named(store, BATCH_PREFIX)
    yield _LATEST


def _batch_ids(ctx: click.Context) -> Iterator[str]:
    for one in _batches(ctx, ""):
        yield one if isinstance(one, str) else str(one.value)


def _snapshots(ctx: click.Context, _: str) -> Iterator[str | CompletionItem]:
    store = _store(ctx)
    yield from _listed_ids(store.snapshots(), "snapshot_id")
    yield from _named(store, SNAPSHOT_PREFIX)
    yield _LATEST


def _listed_ids(rows: Iterable[Mapping[str, Any]], field: str) -> Iterator[CompletionItem]:
    """Yield the ids of the rows of a listing, newest first."""
    for row in reversed([*rows]):
        about = " ".join(str(row[key]) for key in ("source", "status") if row.get(key))
        yield CompletionItem(row[field], help=printable(about) or None)


def _named(store: api.Store, prefix: str) -> Iterator[CompletionItem]:
    """Yield the names of ids that begin with the prefix."""
    for name, one in store.names.items():
        if one.startswith(prefix):
            yield CompletionItem(name, help=one)


def _ids(ctx: click.Context, text: str) -> Iterator[str | CompletionItem]:
    yield from _batches(ctx, text)
    yield from _snapshots(ctx, text)


def _names(ctx: click.Context, _: str) -> Iterable[str]:
    """Return the names in the store, of a command that has one."""
    return _store(ctx).names if _has(ctx, "store") else ()


def _codes(ctx: click.Context) -> Iterable[str]:
    found: Any = _batch(ctx).summary()["diagnostics"]
    return sorted(found["by_code"])


def _reasons(ctx: click.Context, _: str) -> Iterable[str]:
    return sorted({str(row["reason"]) for row in _batch(ctx).skipped()})


def _languages(ctx: click.Context, _: str) -> Iterable[str]:
    found: Any = _batch(ctx).summary()["files"]
    return sorted(found["by_language"])


def _fields(ctx: click.Context) -> fields.Fields:
    return fields.fields_of(_batch(ctx).load_status().plan)


def _columns(ctx: click.Context, _: str) -> Iterable[str]:
    """Return the fields that the rows of a command can be ordered by."""
    listed = (ctx.info_name or "").rstrip("s")
    found = _fields(ctx)
    kind = "diagnostic" if listed == "error" else listed
    if listed == "file":
        return fields.FILE_FIELDS
    return fields.record_columns([kind] if kind in found else found, found)


def _kinds(ctx: click.Context) -> Iterable[str]:
    return dict.fromkeys((*KINDS, *_own(ctx)))


def _own(ctx: click.Context) -> Iterable[str]:
    """Return the kinds of a batch, none where there is no batch yet."""
    try:
        return _fields(ctx)
    except CodeBatchError:
        return ()


def _rankings(ctx: click.Context, _: str) -> Iterable[str]:
    own = [kind for kind in _own(ctx) if kind not in KINDS]
    return (*top.CHOICES, *own)


def _tasks_of_batch(ctx: click.Context, _: str) -> Iterable[str]:
    return [task.id for task in _batch(ctx).load_status().plan.tasks]


def _tasks(ctx: click.Context, text: str) -> Iterator[str | CompletionItem]:
    yield from registry.task_names()
    yield CompletionItem(text, type="file")


def _task(ctx: click.Context, text: str) -> Iterable[str | CompletionItem]:
    """Return tasks to run, or those of the batch, whichever the option of the command is for."""
    return (_tasks if _has(ctx, "tasks") else _tasks_of_batch)(ctx, text)


def _has(ctx: click.Context, parameter: str) -> bool:
    return parameter in {one.name for one in ctx.command.params}


def _pipelines(_: click.Context, text: str) -> Iterator[str | CompletionItem]:
    yield from resources.list_pipelines()
    yield CompletionItem(text, type="file")


def _tools(_: click.Context, text: str) -> Iterator[str | CompletionItem]:
    yield from resources.list_tools()
    yield CompletionItem(text, type="file")


def _configurations(ctx: click.Context, _: str) -> Iterable[str]:
    """Return the names of files that configure the tools named so far, or else any."""
    named = [name for name in ctx.params.get("tools") or () if name in resources.list_tools()]
    documents = map(resources.load_tool_document, named or resources.list_tools())
    keys = ("direct_configs", "code_configs")
    found = (cast("list[str]", one.get(key, [])) for one in documents for key in keys)
    return sorted({name for names in found for name in names})


def _schedulers(_: click.Context, text: str) -> Iterator[str | CompletionItem]:
    yield from ("auto", "sync", "threads", "processes", "tcp://", "tls://")
    yield CompletionItem(text, type="file")


def _file(ctx: click.Context, text: str) -> Iterable[str | CompletionItem]:
    """Return files of the batch, of a command that reads one, else those of the shell."""
    return _files(ctx, text) if _has(ctx, "batch_id") else [CompletionItem(text, type="file")]


def _files(ctx: click.Context, text: str) -> Iterable[str]:
    """Return the paths of a batch that begin so: all, or the next folders where they are many."""
    store, batch = _store(ctx), _batch(ctx)
    snapshot = store.find_snapshot(batch.load_status().plan.snapshot_id)
    found = [record.path for record in snapshot.files if record.path.startswith(text)]
    while len(found) > _MOST_PATHS:
        nearest = {path[: path.find("/", len(text)) + 1] or path for path in found}
        if len(nearest) > 1:
            return sorted(nearest)
        (text,) = nearest
    return found


def _formats(ctx: click.Context, _: str) -> Iterable[str]:
    return REPORT_FORMATS if ctx.command.name == "check" else FORMATS


OPTIONS: Mapping[str, Offers] = {
    "--base": _batches,
    "--baseline": _paths("file"),
    "--batch": _batches,
    "--batches": _listed(_batch_ids),
    "--by": _rankings,
    "--code": _listed(_codes),
    "--edge-type": _words(EDGE_TYPES),
    "--exclude": _paths("file"),
    "--file": _files,
    "--format": _formats,
    "--history": _listed(_batch_ids),
    "--include": _paths("file"),
    "--kind": _listed(_kinds),
    "--language": _languages,
    "--memo": _paths("dir"),
    "--metric": _words(METRICS),
    "--output": _paths("file"),
    "--path": _files,
    "--performance-report": _paths("file"),
    "--pipeline": _pipelines,
    "--read-config": _configurations,
    "--reason": _reasons,
    "--scheduler": _schedulers,
    "--severity": _words(SEVERITIES),
    "--snapshot": _snapshots,
    "--sort": _columns,
    "--source": _paths("dir"),
    "--store": _paths("dir"),
    "--symbol-type": _words(SYMBOL_TYPES),
    "--task": _task,
    "--tool": _tools,
    "--with": _tasks,
}
_ARGUMENTS: Mapping[str, Offers] = {
    "A": _batches,
    "B": _batches,
    "DIR": _paths("dir"),
    "FILE": _file,
    "FILE.py:NAME|MODULE:NAME|NAME": _tasks,
    "ID": _ids,
    "NAME": _names,
    "NAME|FILE.json": _tools,
    "NAME|PATH": _pipelines,
    "PATH": _paths("file"),
    "URL": _paths("dir"),
}
