"""The shape that all commands have: options, a `Call` that says what they ask for, an answer.

Options that many commands share are attributes of the `Call`; those of one are its arguments.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from codebatch import api
from codebatch.cli import config
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import SELECTION, Option, json_option, quiet_option, store_option
from codebatch.cli.render import formats, output
from codebatch.cli.render.formats import JSON, Destination, Human, Row, format_option
from codebatch.model.clock import seconds_since
from codebatch.runtime.lazy import lazily
from codebatch.store import LATEST

if TYPE_CHECKING:
    from codebatch.status.batch_status import BatchStatus

with lazily():
    from codebatch.tasks.tools import catalogue

C = TypeVar("C", bound=OnceCommand)

# The forms of an answer that a command has beside text for people.
DOCUMENT = (json_option,)
ID = (json_option, quiet_option)
ROWS = (format_option, json_option)
# The conditions of commands that look at records of any kind.
CONDITIONS = (
    *("task", "kind", "severity", "code", "path", "language", "name", "symbol_type", "edge_type"),
    "target",
)

_OF_RUN = (
    *("scheduler", "workers", "file_timeout", "memory_limit", "transport", "cluster_timeout"),
    *("performance_report", "memo", "tasks"),
)


@dataclass(frozen=True, eq=False, repr=False)
class Call:
    """What the shared options say: the store, the batch, the form of the answer.

    ``given_store`` is the store if the command line names it, and not a configuration file.
    ``filters`` are the task and conditions of `RecordFilter`, ``options`` arguments of a run. What
    a command says that ``acts``, and can print the id of what it made, is no listing to leaf in.
    """

    store: str | None = None
    given_store: str | None = None
    batch_id: str | None = None
    as_json: bool = False
    quiet: bool = False
    acts: bool = False
    formats: Sequence[Destination] = ()
    filters: Mapping[str, Any] = field(default_factory=dict)
    sort: str | None = None
    limit: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def take(cls, given: dict[str, Any], select: Sequence[str]) -> Call:
        """Return the call with the shared options, which are taken out of ``given``."""
        shared = {name: given.pop(name) for name in cls.__annotations__ if name in given}
        shared["acts"] = "quiet" in shared
        if "formats" in shared:
            wanted = (*shared["formats"], *([Destination(JSON)] if shared["as_json"] else []))
            shared["formats"] = formats.checked(wanted)
        if "workers" in given:
            shared["options"] = {name: given.pop(name) for name in _OF_RUN}
        return cls(**shared, filters={name: given.pop(name) for name in select if name in given})

    def open(self, *, create: bool = False) -> api.Store:
        """Return the store that is meant, made if need be; stderr says where one is that was found
        in a folder above.
        """
        opened = api.open_store(self.store, create=create)
        self.name_store(opened)
        return opened

    def name_store(self, opened: api.Store) -> None:
        """Say on stderr where the store is, if it was found in a folder above."""
        is_named = self.store is not None or os.environ.get(api.STORE_VARIABLE)
        if self.is_for_people and not (is_named or opened.created):
            place = os.path.relpath(opened.path)
            if os.path.dirname(place):
                output.write_note(f"store: {place}")

    @property
    def is_for_people(self) -> bool:
        """Return True if no form is asked for that programs read."""
        return not (self.as_json or self.quiet) and formats.is_for_people(self.formats)

    def batch(self) -> api.Batch:
        """Return the batch that is meant; stderr says which tree it is of, and where an answer from
        it is not the whole one.
        """
        opened = self.open()
        batch = opened.find_batch(self.batch_id)
        self.name_trees(batch, more=_beside(opened, batch, self.batch_id))
        batch.on_unfinished = self.note_unfinished()
        return batch

    @staticmethod
    def note_unfinished() -> Callable[[str], None]:
        """Return what says on stderr, once, that an answer is not the whole one."""
        return functools.cache(lambda text: output.write_note(f"note: {text}"))

    def name_trees(self, *answers: api.Batch | api.Snapshot, more: str = "") -> None:
        """Say on stderr which trees an answer is about, unless a program is to read it."""
        if self.is_for_people:
            output.write_note(f" {output.arrow()} ".join(map(_tree_of, answers)) + more)

    def batch_to_read(self) -> tuple[api.Batch, BatchStatus]:
        """Return the batch and its states; an error where it has no records yet."""
        batch = self.batch()
        return batch, batch.load_readable()

    def write(self, document: object, lines: Iterable[str], short: str = "") -> None:
        """Write the document with ``--json``, ``short`` with ``--quiet``, else the lines."""
        if self.as_json:
            is_value = is_dataclass(document) and not isinstance(document, type)
            output.write_document(asdict(cast("Any", document)) if is_value else document)
        elif self.quiet:
            output.write_line(short)
        else:
            output.write_lines(lines, paged=not self.acts)

    def write_rows(
        self,
        rows: Iterable[Row],
        shown: Sequence[str],
        columns: Sequence[str] = (),
        human: Human | None = None,
        about: Sequence[str] = (),
        head: Callable[[str], str] = output.heading,
    ) -> None:
        """Write rows in the forms asked for; tables have the columns ``shown``, CSV all. ``head``
        is what is above a column in forms for people.

        However narrow a terminal is, a table keeps what it is sorted by, what a condition is on,
        and the columns that the command is ``about``.
        """
        order = self.sort.removeprefix("-") if self.sort else None
        shown = [*shown, *([order] if order and order not in shown else [])]
        named = [
            order,
            *about,
            *(name for name, value in self.filters.items() if value is not None),
        ]
        asked = [name for name in dict.fromkeys(named) if name in shown]
        formats.write_rows(
            rows, formats.Columns(shown, columns or shown, asked, head), self.formats, human
        )

    def next(self, *commands: str) -> Iterator[str]:
        """Yield the lines that name commands which make sense now, on the same store."""
        return output.next_lines(*commands, store=self.given_store)


def _tree_of(one: api.Batch | api.Snapshot) -> str:
    """Return what it is about in a few words: ``flask  main@1a2b3c4  2 min ago``."""
    asked, (source, branch, commit) = one.asking
    folder = one.id if source is None else os.path.basename(source) or source
    words = (folder, output.revision(branch, commit), output.ago(seconds_since(asked)))
    return "  ".join(filter(None, words))


def _beside(store: api.Store, batch: api.Batch, asked: str | None) -> str:
    """Return what to say of a batch that was taken for the current folder and is not the latest."""
    latest = batch if asked is not None else store.find_batch(LATEST)
    if latest.id == batch.id:
        return ""
    folder = latest.source_folder
    return f"  (of this folder; latest is {latest.id if folder is None else folder.name})"


def command(
    *options: Option,
    name: str | None = None,
    help: str | None = None,  # noqa: A002 - click's word
    select: Sequence[str] = (),
    store: Option | None = store_option,
    form: Sequence[Option] = DOCUMENT,
    group: click.Group | None = None,
    cls: type[C] = OnceCommand,  # type: ignore[assignment]  # as for click's own decorator
) -> Callable[[Callable[..., None]], C]:
    """Make a function a command (of ``group``), which is given a `Call` and its own options.

    After ``options`` it has those that ``select`` names, ``--store`` and those of ``form``.
    """
    chosen = (SELECTION[one] for one in select)
    every = (*options, *chosen, *([store] if store else []), *form)

    def decorate(function: Callable[..., None]) -> C:
        @functools.wraps(function)
        def called(**given: Any) -> None:
            ctx = click.get_current_context()
            config.complete(ctx, given)
            if "tools" in given:
                named = given.pop("tools"), given.pop("read_configs")
                given["tasks"] = (*given["tasks"], *catalogue.load_tools(*named))
            call = Call.take(given, select)
            function(call, **given)

        decorated: Any = called
        for option in reversed(every):
            decorated = option(decorated)
        home: Any = click if group is None else group
        made: C = home.command(name, cls=cls, help=help)(decorated)
        return made

    return decorate


@contextlib.contextmanager
def libraries_silenced() -> Iterator[None]:
    """Keep what libraries log off stderr during a block, and what tasks print off stdout: that is
    for the answer, and they go to stderr.

    Dask reports broken connections there as it goes; what matters of them is said by us. Whoever
    configures Dask's logging (``DASK_LOGGING__…``) wants to read it.
    """
    import logging  # noqa: PLC0415 - most commands need none

    before = logging.root.manager.disable
    if not any(
        name.startswith(("DASK_LOGGING", "DASK_DISTRIBUTED__LOGGING")) for name in os.environ
    ):
        logging.disable()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logging.disable(before)
