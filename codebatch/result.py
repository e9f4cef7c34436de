"""The result digest: one digest over all records of a batch, whatever the sharding.

A Merkle tree over object-digest prefixes. A leaf has three hex digits and covers, in path
order, the path of each of its files with the digest of the file's lines; an inner node covers
its non-empty children. A shard of width w is exactly one node at depth w, so shards of any
width fold into the same root, and no process ever holds all files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codebatch.digest import digest_document

LEAF_DIGITS = 3


def leaf_digest(files: Iterable[tuple[str, str]]) -> str:
    """Digest of a leaf from (path, digest of the file's lines), already in path order."""
    return digest_document("result-leaf", [list(file) for file in files])


def fold(nodes: Mapping[str, str], depth: int) -> dict[str, str]:
    """Fold nodes, named by their hex prefix and all of one length, up to prefixes of ``depth``."""
    level = dict(nodes)
    while level and len(next(iter(level))) > depth:
        children: dict[str, list[list[str]]] = {}
        for prefix in sorted(level):
            children.setdefault(prefix[:-1], []).append([prefix[-1], level[prefix]])
        level = {prefix: digest_document("result-node", c) for prefix, c in children.items()}
    return level


def task_root(shards: Mapping[str, str]) -> str:
    """Root over the shards of one task, by shard id; a batch without files has a root too."""
    return fold(shards, 0).get("", digest_document("result-node", []))


def result_digest(tasks: Mapping[str, Mapping[str, str]]) -> str:
    """The result digest from each task's shards: ``{task_id: {shard_id: node}}``."""
    roots = {task_id: task_root(shards) for task_id, shards in tasks.items()}
    return digest_document("result", roots)
