"""The keys of a batch's graph: equal in every process, and readable on a dashboard.

A key is ``("<stage>-<pipeline>-<16 hex>-<8 hex>", "<place>")``. The 16 digits are those of the
batch, and with it of every input and fingerprint. The 8 digits are of the store, of what changes
the meaning of an answer, and of how often it was asked for before. A scheduler has one key space
for all its clients and answers a key that it knows with the value it has: so clients share the
work on a batch, and one that finds the store without what was answered asks under another key.

Dask groups keys by the words before the first that has a digit (`dask.utils.key_split`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from codebatch.model.digest import DIGEST_PREFIX, digest_document
from codebatch.model.messages import ShardCall

Key = tuple[str, str]

# Nodes that others are made from, and that are not asked for themselves.
_INNER = ("code-", "part-", "map-", "combine-")
_HEX_DIGITS = 8
_MOST_LETTERS = 40


def shard_key(call: ShardCall, sent: int = 0) -> Key:
    """Return the key of a shard, of a call that was sent before so many times."""
    return _name("shard" if call.recheck is None else "recheck", call, sent), call.shard_id


def part_key(
    call: ShardCall, number: int, count: int, content: object = None, sent: int = 0
) -> Key:
    """Return the key of a part of a shard, by its number and how many there are; ``content`` tells
    parts apart that differ in what they have: two clients may know more or less of a shard.
    """
    return _name("part", call, sent, content), f"{call.shard_id}.{number}-{count}"


def task_key(
    stage: str, task_id: str, call: ShardCall, place: str, waits: str = "", sent: int = 0
) -> Key:
    """Return the key of a step of a batch-scope task: ``map``, ``combine``, ``finish``. ``waits``
    is the digest of the shards that its graph waits for: nodes of one key have the same edges.
    """
    name = f"{stage}-{_letters(task_id)}"
    return _name(name, call._replace(pipeline=""), sent, [task_id, waits]), place


def digest_keys(keys: Iterable[Key]) -> str:
    """Return a digest of keys; "" of none."""
    named = sorted(map(list, keys))
    return digest_document("graph-keys", named) if named else ""


def records_name(call: ShardCall, facts: object) -> str:
    """Return the name of keys of records that are read; ``facts`` tell which."""
    return _name("records", call, 0, facts)


def code_key(call: ShardCall) -> Key:
    """Return the key of the code of users' tasks of a batch."""
    return "-".join(filter(None, ("code", _letters(call.pipeline), _digits(call)))), "code"


def end_key(call: ShardCall) -> Key:
    """Return the key of what finishes a batch that was left to a cluster."""
    return _name("end", call, 0), ""


def name_of(key: Any) -> str:
    """Return the name that a key starts with."""
    return str(key[0] if isinstance(key, tuple) else key)


def output_keys(keys: Iterable[Any]) -> list[Any]:
    """Return the keys of the outputs of a graph, in its order."""
    return [key for key in keys if not name_of(key).startswith(_INNER)]


def _name(stage: str, call: ShardCall, sent: int, content: object = None) -> str:
    """Return the first part of a key. Leases, attempts and the batch that unchanged files are taken
    from are left out: they change how an answer is come by, and not what it says.
    """
    required = call.reuse.required, call.reuse.retry_quarantined
    facts = [call.store_id, call.tries, sent, list(call.limits), required, call.recheck, content]
    facts.append(call.parts)
    digits = digest_document("graph-key", facts)[len(DIGEST_PREFIX) :][:_HEX_DIGITS]
    return "-".join(filter(None, (stage, _letters(call.pipeline), _digits(call), digits)))


def _digits(call: ShardCall) -> str:
    return call.batch_id.rpartition("-")[2]


def _letters(name: str) -> str:
    """Return the words of a name, of letters alone, joined by hyphens."""
    return "-".join(re.findall("[a-z]+", name.lower()))[:_MOST_LETTERS].strip("-")
