"""The result digest: one digest over all records of a batch, whatever the sharding.

A Merkle tree over object-digest prefixes. A leaf has three hex digits and covers, in path
order, the path of each of its files with the digest of the file's lines; an inner node covers
its non-empty children. A shard of width w is exactly one node at depth w, so shards of any
width fold into the same root, and no process ever holds all files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes, digest_document

LEAF_DIGITS = 3


def shard_node(files: Iterable[tuple[str, str, str]], width: int) -> str:
    """The node of a shard whose id has ``width`` digits, from (path, object, digest of the
    file's lines) of each of its files, in path order.
    """
    return next(iter(fold_nodes(leaf_nodes(files), width).values()))


def leaf_nodes(files: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return the leaves of files by their prefixes, from what `shard_node` takes."""
    leaves: dict[str, list[str]] = {}
    first, end = len(DIGEST_PREFIX), len(DIGEST_PREFIX) + LEAF_DIGITS
    for path, digest, lines in files:
        pair = f'[{encode_basestring(path)},"{lines}"]'
        leaves.setdefault(digest[first:end], []).append(pair)
    return {prefix: _tagged("result-leaf", pairs) for prefix, pairs in leaves.items()}


def result_digest(tasks: Mapping[str, Mapping[str, str]]) -> str:
    """The result digest from each task's shards, ``{task_id: {shard_id: node}}``; a batch without
    files has one too.
    """
    empty = digest_document("result-node", [])
    roots = {task_id: fold_nodes(shards, 0).get("", empty) for task_id, shards in tasks.items()}
    return digest_document("result", roots)


def fold_nodes(nodes: Mapping[str, str], depth: int) -> dict[str, str]:
    """Fold nodes, named by their hex prefix and all of one length, up to prefixes of ``depth``."""
    level = dict(nodes)
    while level and len(next(iter(level))) > depth:
        children: dict[str, list[str]] = {}
        for prefix in sorted(level):
            children.setdefault(prefix[:-1], []).append(f'["{prefix[-1]}","{level[prefix]}"]')
        level = {prefix: _tagged("result-node", pairs) for prefix, pairs in children.items()}
    return level


def _tagged(tag: str, pairs: list[str]) -> str:
    """The tagged digest of an array of arrays that are canonical JSON already: there are so
    many of them that writing each as a document would take longer than all digests.
    """
    text = f"{tag}\n[{','.join(pairs)}]"
    return digest_bytes(text.encode("utf-8", "backslashreplace"))  # as `canonical_json` does
