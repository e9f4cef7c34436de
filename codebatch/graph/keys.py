"""Keys of Dask tasks: content hashes, so that a scheduler never takes one for another.

A key is ``("codebatch-files-<64 hex>", "<shard>")``. The hex covers the batch (and with it every
input and fingerprint), the store, the attempt, and how often it was tried: a scheduler has one key
space for all its clients, and answers an equal key with an old value.
"""

from __future__ import annotations

from codebatch.model.digest import DIGEST_PREFIX, digest_document
from codebatch.model.messages import ShardCall

STAGE = "codebatch-files"

Key = tuple[str, str]


def shard_key(call: ShardCall, tries: int = 0) -> Key:
    """Return the key of a shard call."""
    return _key(call, tries), call.shard_id


def parcel_key(call: ShardCall, number: int, tries: int = 0) -> Key:
    """Return the key of the parcel of that number of a shard."""
    return _key(call, tries), f"{call.shard_id}.{number}"


def _key(call: ShardCall, tries: int) -> str:
    what = [call.batch_id, call.store_id, call.attempt, *([tries] if tries else [])]
    return f"{STAGE}-{digest_document('graph-key', what)[len(DIGEST_PREFIX) :]}"
