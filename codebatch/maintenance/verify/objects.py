"""Digests of very many objects, packed: the bytes of each, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from codebatch.model.digest import DIGEST_PREFIX

DIGEST_BYTES = 32


def pack_digests(digests: Iterable[str]) -> bytes:
    """Return the bytes of digests, one after the other."""
    return bytes.fromhex("".join([digest[len(DIGEST_PREFIX) :] for digest in digests]))


def split_digests(packed: bytes) -> Iterator[bytes]:
    """Return the bytes of each digest of those that are packed."""
    return (packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES))


def digests_in(packed: bytes) -> list[str]:
    """Return the digests that are packed."""
    return [DIGEST_PREFIX + one.hex() for one in split_digests(packed)]
