"""Packs and indexes that no writer of ours writes."""

from __future__ import annotations

from pathlib import Path

from codebatch.store.objects.packs import index_name, index_of


def write_pack(store: Path, frames: list[tuple[str, bytes]], gap: bytes = b"") -> str:
    """Write a pack as no writer of ours writes it; return its name."""
    offset, places = 0, []
    for digits, data in frames:
        places.append((digits, offset, len(data)))
        offset += len(data) + len(gap)
    lines = index_of(places)
    folder = store / "objects" / "packs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{index_name(lines)}.idx").write_bytes(lines)
    (folder / f"{index_name(lines)}.pack").write_bytes(gap.join(data for _, data in frames))
    return index_name(lines)
