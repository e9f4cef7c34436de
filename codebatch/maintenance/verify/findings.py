"""A check in progress: what was found so far, and who refers to which damaged object.

A digest covers what a document says, not how it is laid out. A writer lays it out in one of two
ways, so anything else is damage, even where it says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from codebatch.maintenance.verify.objects import split_digests
from codebatch.maintenance.verify.problems import Checked, Notes, Problem, Step, merged
from codebatch.model.digest import DIGEST_PREFIX, EMPTY, Document, compact, seal, unseal
from codebatch.model.errors import StoreDamagedError, StoreError
from codebatch.store import StoreDirectory, check_asking, pretty, typed
from codebatch.store import path_kinds as kinds
from codebatch.store.files import read_file
from codebatch.store.layout import DOCUMENT_BYTES, SMALL_BYTES, Layout
from codebatch.store.objects.compression import CompressionError
from codebatch.store.objects.pack_walk import walk_pack
from codebatch.store.path_kinds import Entry, Place

_FOREIGN = Place("foreign")
_MISSING = "it is missing"
_AGAIN = "batch rm, then batch init and run, make the batch again"
# What is in them does not matter, as long as they are files.
_UNCHECKED = frozenset({kinds.DERIVED, kinds.EVENTS, kinds.HOLDER, kinds.LEASE, kinds.LOCK})

Shard = tuple[str, str, str]
T = TypeVar("T")


class _Kind(NamedTuple):
    """A kind of file: the code of damage to it, what it is called where not by its path, and where
    it lies.
    """

    code: str
    name: str
    path: Callable[..., Path]


_OF_SHARD = "of shard {0.shard_id} of task {0.task_id} of {0.owner}"
_KINDS = {
    kinds.STORE: _Kind("STORE_DOCUMENT_DAMAGED", "", lambda layout: layout.store_document),
    kinds.IGNORE: _Kind("IGNORE_FILE_DAMAGED", "", lambda layout: layout.gitignore),
    kinds.SNAPSHOT: _Kind(
        "SNAPSHOT_DAMAGED", "the document of {0.owner}", Layout.snapshot_document
    ),
    kinds.MANIFEST: _Kind("MANIFEST_DAMAGED", "the manifest of {0.owner}", Layout.manifest),
    kinds.BATCH: _Kind("BATCH_DAMAGED", "the document of {0.owner}", Layout.batch_document),
    kinds.PLAN: _Kind("PLAN_DAMAGED", "the plan of {0.owner}", Layout.plan_document),
    kinds.INPUTS: _Kind("INPUTS_DAMAGED", "the inputs of {0.owner}", Layout.inputs),
    kinds.TASK: _Kind(
        "TASK_DAMAGED", "the document of task {0.task_id} of {0.owner}", Layout.task_document
    ),
    kinds.ASKED: _Kind("ASKED_DAMAGED", "when {0.owner} was asked for", Layout.asked),
    kinds.NAME: _Kind("NAME_DAMAGED", "the name {0.owner}", Layout.name),
    kinds.PACK: _Kind(
        "PACK_DAMAGED", "the pack {0.owner:.12}", lambda layout, name: Path(layout.pack(name))
    ),
    kinds.PACK_INDEX: _Kind(
        "PACK_INDEX_DAMAGED",
        "the index of the pack {0.owner:.12}",
        lambda layout, name: Path(layout.pack_index(name)),
    ),
    kinds.STATE: _Kind("STATE_DAMAGED", f"the state {_OF_SHARD}", Layout.state),
    kinds.OUTPUTS: _Kind("OUTPUTS_DAMAGED", f"the outputs {_OF_SHARD}", Layout.outputs),
}


def path_of(layout: Layout, place: Place) -> Path:
    """Return where the file of a place lies."""
    names = filter(None, (place.owner, place.task_id, place.shard_id))
    return _KINDS[place.kind].path(layout, *names)


class Found(NamedTuple):
    """What is in a file: its bytes, the document if it is whole, and else what is wrong.

    ``is_unreadable`` says that it may be whole, and only cannot be read.
    """

    data: bytes | None = None
    document: Document | None = None
    wrong: str | None = None
    is_unreadable: bool = False

    @property
    def is_missing(self) -> bool:
        """Return True if nothing was there."""
        return self.wrong == _MISSING


def find_bytes(store: StoreDirectory, path: Path, limit: int = DOCUMENT_BYTES) -> Found:
    """The bytes of a file; what is wrong where there are none, more than so many, or no file."""
    return found_by(partial(read_file, store.layout.door, path, limit))


def found_by(read: Callable[[], bytes | None]) -> Found:
    """The bytes that a reader gives; what is wrong where it gives none, or finds damage."""
    try:
        data = read()
    except StoreDamagedError as error:
        return Found(wrong=error.message)
    except CompressionError as error:
        return Found(wrong=str(error))
    except StoreError as error:
        return Found(wrong=error.message, is_unreadable=True)
    return Found(wrong=_MISSING) if data is None else Found(data)


def find_document(store: StoreDirectory, path: Path, limit: int = DOCUMENT_BYTES) -> Found:
    """A sealed document, if its bytes are those that a writer writes."""
    found = find_bytes(store, path, limit)
    if found.data is None:
        return found
    try:
        document = unseal(found.data, path.name)
        if found.data == compact(document) or found.data == pretty(seal(document)):
            return Found(found.data, document)
    except StoreDamagedError as error:
        return Found(found.data, wrong=error.message.partition(": ")[2])
    except (ValueError, RecursionError) as error:
        return Found(found.data, wrong=f"it holds what canonical JSON cannot: {error}")
    return Found(found.data, wrong="it is not laid out as a writer lays it out")


@dataclass
class ObjectTrouble:
    """An object that is missing (no ``forms``), or damaged in the forms at these paths.

    What refers to it: snapshots, with one of the paths it has in them, shards as (batch, task,
    shard), and the plans of batches.
    """

    forms: dict[str, Problem] = field(default_factory=dict)
    snapshots: set[str] = field(default_factory=set)
    file: str = ""
    shards: set[Shard] = field(default_factory=set)
    plans: set[str] = field(default_factory=set)


class Findings:
    """State: ``problems`` but those of objects, which are in ``objects`` by digest;
    ``batches_of`` the batches of each snapshot; ``is_complete`` says that all snapshots could be
    read, so that what no snapshot refers to is referred to by none; ``numbers_of`` has what
    `number_of` gives for the files of a snapshot; ``unindexed`` has a problem for each pack
    without an index that is whole, noted or not; ``_there`` has the bytes of the digests of
    objects in whose files there is something.
    """

    def __init__(
        self, store: StoreDirectory, tell: Callable[[Step], object] = lambda _: None
    ) -> None:
        self.store = store
        self.tell = tell
        self.checked = Checked()
        self.notes = Notes()
        self.problems: list[Problem] = []
        self.objects: dict[str, ObjectTrouble] = {}
        self.batches_of: dict[str, set[str]] = {}
        self.is_complete = True
        self.numbers_of: dict[str, int] = {}
        self.unindexed: list[Problem] = []
        self._there: set[bytes] = set()

    def is_there(self, place: Place) -> bool:
        """Return True if there is anything in a place, reached without a link."""
        return self.store.layout.door.is_there(path_of(self.store.layout, place))

    def find(self, place: Place, limit: int = DOCUMENT_BYTES) -> Found:
        """Return the document in a place, or what is wrong with it."""
        return find_document(self.store, path_of(self.store.layout, place), limit)

    def judge(self, place: Place, found: Found, check: Callable[[Document], T]) -> T | None:
        """Return what ``check`` makes of a document; None, and a problem, where it is damaged or
        the check raises.
        """
        wrong = found.wrong
        if found.document is not None:
            try:
                return typed(found.document, check, "it")
            except StoreDamagedError as error:
                wrong = error.message
        self.blame(place, str(wrong), found)
        return None

    def check_asked(self, places: Iterable[Place | None]) -> None:
        """Check the documents among the files in these places that say when something was asked
        for.
        """
        for place in places:
            if place is not None and place.kind == kinds.ASKED:
                found = self.find(place, SMALL_BYTES)
                if not found.is_missing:
                    self.judge(place, found, partial(check_asking, one=place.owner))

    def blame(
        self, place: Place, wrong: str, found: Found | None = None, code: str | None = None
    ) -> Problem:
        """Note what is wrong with the file in a place, and return it."""
        problem = self.problem(place, wrong, found, code)
        self.problems.append(problem)
        return problem

    def problem(
        self, place: Place, wrong: str, found: Found | None = None, code: str | None = None
    ) -> Problem:
        """Return a problem with the file in a place, which is not noted yet."""
        kind = _KINDS[place.kind]
        code = code or kind.code
        path = self.store.layout.door.place(path_of(self.store.layout, place))
        message = f"{kind.name.format(place) or path}: {wrong}"
        if found is not None and found.is_unreadable:
            code = "UNREADABLE"
        elif place.kind in (kinds.PLAN, kinds.INPUTS):
            message += f"; {_AGAIN}"
        elif place.kind == kinds.NAME:
            message += f"; set it again, or remove it: name rm {place.owner}"
        return Problem(code, message, path, place)

    def add(self, code: str, message: str, path: str, place: Place = _FOREIGN) -> None:
        """Note a problem at a path relative to the store."""
        self.problems.append(Problem(code, message, path, place))

    def add_stray(self, entry: Entry) -> bool:
        """Note an entry that is no file in its place; True if it is one of these."""
        if entry.form == kinds.TEMPORARY:
            self.notes.temporary_files += 1
        elif entry.form == kinds.UNREADABLE:
            self.is_complete = False
            self.add("UNREADABLE", entry.reason, entry.path)
        elif entry.is_folder:
            message = f"a {entry.form} stands in the place of a folder"
            self.add("FOREIGN_FILE", message, entry.path)
        elif entry.place is None:
            message = f"the format has no place for this {entry.form}: move it away or delete it"
            self.add("FOREIGN_FILE", message, entry.path)
        elif entry.form != kinds.FILE and self._is_unchecked(entry):
            self.add("FOREIGN_FILE", f"a {entry.form} stands in its place", entry.path)
        else:
            return False
        return True

    def _is_unchecked(self, entry: Entry) -> bool:
        """Return True for what may be in a file in a place, and for outputs in the form that the
        store is not written in.
        """
        is_other = entry.path.endswith(f"/{self.store.layout.outputs_names[1]}")
        return is_other or (entry.place is not None and entry.place.kind in _UNCHECKED)

    def note_object(self, digest: str) -> None:
        """Note that there is something in the file of an object."""
        self._there.add(_short(digest))

    def note_objects(self, packed: bytes) -> None:
        """Note that of each of these objects."""
        self._there.update(split_digests(packed))

    def are_there(self, packed: bytes) -> bool:
        """Return True if there is something in the file of each of these objects, and nothing is
        known to be wrong with any object.
        """
        return not self.objects and self._there.issuperset(split_digests(packed))

    def lose(self, digest: str, problem: Problem) -> None:
        """Note that an object is damaged where there is this problem, with it or its pack."""
        self.objects.setdefault(digest, ObjectTrouble()).forms[problem.path] = problem

    def add_read(self, number: int, size: int, without_checksum: int) -> None:
        """Note that so many objects of so many bytes were read and are whole."""
        self.checked.read += number
        self.checked.bytes += size
        self.notes.objects_without_checksum += without_checksum

    def tell_objects(self) -> None:
        """Tell how many objects were looked at so far."""
        self.tell(Step("object", self.checked.objects, bytes=self.checked.bytes))

    def objects_alone(self) -> dict[str, object]:
        """Return the objects in whose files there is something, and what those that were read sum
        up to; nothing where anything else was found.
        """
        if self.objects or self.problems or self.notes.temporary_files:
            return {}
        sums = self.checked.read, self.checked.bytes, self.notes.objects_without_checksum
        return {"objects": b"".join(self._there), "number": self.checked.objects, "read": sums}

    def refer_from_snapshot(self, digest: str, snapshot_id: str, path: str) -> None:
        """Note that a snapshot has a file with that object."""
        trouble = self._trouble_with(digest)
        if trouble is not None:
            trouble.snapshots.add(snapshot_id)
            trouble.file = min(trouble.file or path, path)

    def refer_from_shard(self, digest: str, shard: Shard) -> bool:
        """Note that a shard refers to that object; True if it is whole, as far as is known."""
        trouble = self._trouble_with(digest)
        if trouble is not None:
            trouble.shards.add(shard)
        return trouble is None

    def refer_from_plan(self, digest: str, batch_id: str) -> None:
        """Note that the plan of a batch refers to that object."""
        trouble = self._trouble_with(digest)
        if trouble is not None:
            trouble.plans.add(batch_id)

    def _trouble_with(self, digest: str) -> ObjectTrouble | None:
        """Return what is wrong with an object that is referred to; None where nothing is known."""
        known, objects = self.objects.get(digest), self.store.objects
        is_there = known is not None or _short(digest) in self._there or objects.has(digest)
        if not is_there and not (digest == EMPTY and objects.location(digest) is not None):
            known = self.objects[digest] = ObjectTrouble()
            problem = self._found_without_index.get(digest)
            if problem is not None:
                known.forms[problem.path] = problem
        return known

    @cached_property
    def _found_without_index(self) -> dict[str, Problem]:
        """Objects in packs that have no index, or a damaged one, with that problem."""
        layout = self.store.layout
        return {
            DIGEST_PREFIX + frame.digits: problem
            for problem in self.unindexed
            for frame in walk_pack(layout, problem.place.owner).frames
        }

    def forget_since(self, number: int, document: Place) -> None:
        """Forget the problems after the first so many, if the document of what they are about is
        gone: it was removed, rightly, while it was checked.
        """
        if not self.is_there(document):
            del self.problems[number:]

    def all_problems(self) -> list[Problem]:
        """Every problem with what it touches, in order of path."""
        found = [self._touching(problem) for problem in self.problems]
        for digest, trouble in self.objects.items():
            # What referred to an object may be gone by now.
            trouble.snapshots = {
                s for s in trouble.snapshots if self.is_there(Place(kinds.MANIFEST, s))
            }
            trouble.shards = {s for s in trouble.shards if self.is_there(Place(kinds.STATE, *s))}
            trouble.plans = {b for b in trouble.plans if self.is_there(Place(kinds.PLAN, b))}
            if trouble.forms or trouble.snapshots or trouble.shards or trouble.plans:
                found += self._of_object(digest, trouble)
        return sorted(merged(found), key=lambda problem: (problem.path, problem.code))

    def _touching(self, problem: Problem) -> Problem:
        """Return the problem with the batch or snapshot in whose folder it is, and with the
        batches of the snapshot.
        """
        folder, _, below = problem.path.partition("/")
        owner, _, name = below.partition("/")
        # Of a folder, only one that cannot be listed is a problem of what should be in it.
        if not name and problem.code != "UNREADABLE":
            return problem
        if folder == kinds.BATCHES:
            return replace(problem, batches=(owner,))
        if folder != kinds.SNAPSHOTS:
            return problem
        batches = self.batches_of.get(owner, ()) if problem.code != "FOREIGN_FILE" else ()
        return replace(problem, batches=tuple(sorted(batches)), snapshots=(owner,))

    def _of_object(self, digest: str, trouble: ObjectTrouble) -> list[Problem]:
        batches = {*trouble.plans, *(batch_id for batch_id, _, _ in trouble.shards)}
        for snapshot_id in trouble.snapshots:
            batches |= self.batches_of.get(snapshot_id, set())
        path = self.store.layout.door.place(self.store.layout.object(digest))
        missing = Problem("OBJECT_MISSING", _MISSING, path, Place(kinds.OBJECT, digest=digest))
        what = f"object {digest[len(DIGEST_PREFIX) :][:12]}"
        if trouble.file:
            what += f", the content of {trouble.file}"
        elif trouble.plans:
            what += ", the findings of a log; sarif import stores them again"
        return [
            replace(
                problem,
                message=_about(what, problem),
                batches=tuple(sorted(batches)),
                snapshots=tuple(sorted(trouble.snapshots)),
            )
            for problem in trouble.forms.values() or [missing]
        ]


def _about(what: str, problem: Problem) -> str:
    is_own = problem.place.kind == kinds.OBJECT
    return f"{what}: {problem.message}" if is_own else problem.message


def _short(digest: str) -> bytes:
    return bytes.fromhex(digest[len(DIGEST_PREFIX) :])
