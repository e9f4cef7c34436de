"""What is meant where a path of a batch is given: a folder, a file or a glob.

It is relative to the tree or to where one stands. A path that begins with ``.`` or ``/`` means the
latter first, any other the tree. Of inputs no more is read than it takes to find one file that
fits, and their lines are searched, not parsed. What fits no file is an error with near names.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate

from codebatch.model.digest import canonical_json
from codebatch.model.errors import FilterInvalidError, PathNotInBatchError
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

PathLike = str | os.PathLike[str]

_GLOB = re.compile(r"[*?\[]")
_PATH = re.compile(rb'"path":("[^"\\]*(?:\\.[^"\\]*)*"),"size":')
_SUGGESTIONS = 5
_AT_EACH_LEVEL = 3
_MOST_COMPARED = 20_000
_MOST_NEAR = 50


def path_texts(paths: PathLike | Iterable[PathLike] | None) -> tuple[str, ...] | None:
    """Return the paths given, one or several, as texts; None where there is none.
    `FilterInvalidError` where one is empty.
    """
    if paths is None:
        return None
    several = (paths,) if isinstance(paths, str | os.PathLike) else paths
    texts = tuple(os.fspath(one) for one in several)
    if any(not text or "\0" in text for text in texts):
        hints = ["is a variable not set?", "the whole tree is ."]
        raise FilterInvalidError("an empty path, or one with a NUL, names nothing", hints=hints)
    return texts or None


def path_pattern(texts: Sequence[str]) -> re.Pattern[str]:
    """Return the pattern that matches a file which is, is below, or matches one of the paths.

    A glob is held against the whole path, and ``*`` in it also crosses folders.
    """
    alternatives = []
    for text in map(posixpath.normpath, texts):
        is_all = text == "."
        alternatives.append(r"(?s:.*)\Z" if is_all else rf"{re.escape(text)}(?:/(?s:.*))?\Z")
        if _GLOB.search(text):
            alternatives.append(translate(text))
    return re.compile("|".join(alternatives))


def readings_of(store: StoreDirectory, batch_id: str, text: str) -> Iterator[str]:
    """Yield what a path may mean in the tree of a batch, the likeliest first."""
    is_local = text.startswith("/") or text.partition("/")[0] in (".", "..")
    in_tree = posixpath.normpath(text)
    if not is_local:
        yield in_tree
    yield from _from_here(text, store.asking_of(batch_id).checkout.source)
    if is_local and not in_tree.startswith(("/", "../")) and in_tree != "..":
        yield in_tree


def _from_here(text: str, source: str | None) -> Iterator[str]:
    """Yield the path relative to the source, from where one stands, if that leads into it; on the
    second try with links resolved, which the source or this place may have been reached by.
    """
    if not source:
        return
    try:
        here = os.path.join(os.getcwd(), text)
    except FileNotFoundError:  # it was removed
        return
    for resolved in (os.path.normpath, os.path.realpath):
        relative = os.path.relpath(resolved(here), resolved(source))
        if relative != ".." and not relative.startswith("../"):
            yield relative
            return


def paths_in(
    store: StoreDirectory, batches: Sequence[BatchStatus], texts: Sequence[str]
) -> tuple[str, ...]:
    """Return what each path means in the trees of these batches, of which one is enough to have
    it; `PathNotInBatchError` where none has.
    """
    return tuple(_meant(store, batches, text) for text in texts)


def _meant(store: StoreDirectory, batches: Sequence[BatchStatus], text: str) -> str:
    """Return the first reading that any file fits; later ones are kept in mind on the way."""
    tried: list[str] = []
    for batch in batches:
        for reading in readings_of(store, batch.batch_id, text):
            if reading not in tried and any(map(_line_test(reading), _inputs(store, batches))):
                return reading
            tried.append(reading)
    raise _not_there(store, batches, text, tried)


def _inputs(store: StoreDirectory, batches: Sequence[BatchStatus]) -> Iterator[bytes]:
    """Yield the lines of one shard after the other, as long as somebody wants to see more."""
    for batch in batches:
        for shard in batch.plan.shards:
            yield store.batches.read_shard_inputs(batch.batch_id, shard)


def _line_test(reading: str) -> Callable[[bytes], bool]:
    """Return a test of whether any of the lines is about a file that fits.

    A quote inside a JSON string is escaped, so the text of a key is nowhere but at a key.
    """
    fits = path_pattern([reading]).match
    start = b'"path":' + canonical_json(reading)[:-1]
    is_glob = _GLOB.search(reading) is not None

    def test(lines: bytes) -> bool:
        if reading == "." or start + b'",' in lines or start + b"/" in lines:
            return bool(lines)
        return is_glob and any(map(fits, _paths(lines)))

    return test


def _paths(lines: bytes) -> Iterator[str]:
    for spelled in _PATH.findall(lines):
        yield json.loads(spelled) if b"\\" in spelled else spelled[1:-1].decode()


def _not_there(
    store: StoreDirectory, batches: Sequence[BatchStatus], text: str, tried: Sequence[str]
) -> PathNotInBatchError:
    paths = [path for lines in _inputs(store, batches) for path in _paths(lines)]
    found = {one: _likeness(one, tried) for reading in tried for one in _near(reading, paths)}
    near = sorted(found, key=lambda one: (-found[one], one)) or _by_name(text, paths)
    near = near[:_SUGGESTIONS]
    hints = [f"did you mean {one}?" for one in near]
    if not near:
        top = sorted({path.partition("/")[0] for path in paths})
        hints = [f"at the top are {', '.join(top[:_SUGGESTIONS])}{', …' * (len(top) > 5)}"]
        hints.append("list its files: codebatch files")
    verb = "matches" if _GLOB.search(text) else "is at"
    where = " or ".join(dict.fromkeys(batch.batch_id for batch in batches))
    return PathNotInBatchError(
        f"no file of {where} {verb} {text}", hints=hints, details={"candidates": near}
    )


def _likeness(path: str, texts: Iterable[str]) -> float:
    """Return how much a path is like the text that it is most like, at most 1."""
    import difflib  # noqa: PLC0415 - for what is wrong alone

    return max(difflib.SequenceMatcher(None, path, text).ratio() for text in texts)


def _near(text: str, paths: Sequence[str]) -> list[str]:
    """Return paths like one that nothing fits: it may lack its beginning, or have errors."""
    special = _GLOB.search(text)
    if special is None:
        return _spelled_like(text, paths)
    head, _, _ = text[: special.start()].rpartition("/")
    rest = text[len(head) :].lstrip("/")
    heads = _spelled_like(head, paths) if head else []
    globs = [f"*/{text}", *(f"{near}/{rest}" for near in heads)]
    return [glob for glob in globs if any(map(path_pattern([glob]).match, paths))]


def near_paths(text: str, paths: Sequence[str]) -> list[str]:
    """Return files and folders with paths like one that is none, the nearest first: that end with
    it, or are spelled like it component by component, or of a file, only its name.
    """
    return (_spelled_like(text, paths) or _by_name(text, paths))[:_SUGGESTIONS]


def _spelled_like(text: str, paths: Sequence[str]) -> list[str]:
    ending = f"/{text}/"
    at = ((path, f"{path}/".find(ending)) for path in paths)
    ends = {path[: start + len(text) + 1] for path, start in at if start >= 0}
    near = sorted(ends, key=lambda end: (len(end), end)) or _by_components(
        text.split("/"), "", paths
    )
    return near[:_MOST_NEAR]  # what is done with each takes its time


def _by_components(names: Sequence[str], folder: str, paths: Sequence[str]) -> list[str]:
    """Return paths in a folder of which each component is like that of ``names``."""
    start = len(folder)
    inner = [path for path in paths if path.startswith(folder)]
    children = {path[start:].partition("/")[0] for path in inner}
    near = [names[0]] if names[0] in children else _like(names[0], children)
    if len(names) == 1:
        return [folder + name for name in near]
    return [
        found for name in near for found in _by_components(names[1:], f"{folder}{name}/", inner)
    ]


def _by_name(text: str, paths: Sequence[str]) -> list[str]:
    """Return files with a name like the last one."""
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(posixpath.basename(path), []).append(path)
    return [path for name in _like(posixpath.basename(text), by_name) for path in by_name[name]]


def _like(name: str, names: Iterable[str]) -> list[str]:
    """Return names that are spelled like one, the nearest first; not all of very many are
    compared.
    """
    import difflib  # noqa: PLC0415 - for what is wrong alone

    known = sorted(names)
    few = known if len(known) <= _MOST_COMPARED else [one for one in known if one[:1] == name[:1]]
    return difflib.get_close_matches(name, few[:_MOST_COMPARED], _AT_EACH_LEVEL)
