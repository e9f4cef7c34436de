"""Which lines differ between two texts of bytes, in a time that their size bounds.

Lines that both texts have once stand fast, as far as they are in one order; between these, the
fewest insertions and deletions are looked for (Myers, "An O(ND) Difference Algorithm", 1986). Where
more than `_MOST_EDITS` would be needed, all lines between are replaced. Equal texts give equal
blocks, whatever machine.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MOST_EDITS = 200
_MOST_ROUNDS = 8  # of lines that stand fast, between those that do already


class Block(NamedTuple):
    """Lines ``first`` to ``last`` of the old text have ``new_first`` to ``new_last`` in their
    place: from 0, the last ones not included.
    """

    first: int
    last: int
    new_first: int
    new_last: int


def changed_blocks(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[Block]:
    """Yield the blocks that differ, in order; between two of them is a line at least."""
    last: Block | None = None
    for block in _differing(old, new):
        if last is not None and (last.last, last.new_last) == (block.first, block.new_first):
            last = Block(last.first, block.last, last.new_first, block.new_last)
            continue
        if last is not None:
            yield last
        last = block
    if last is not None:
        yield last


def _differing(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[Block]:
    pending = [(Block(0, len(old), 0, len(new)), 0)]
    while pending:
        block, rounds = pending.pop()
        block = _trimmed(old, new, block)
        if block.first == block.last or block.new_first == block.new_last:
            if block.first != block.last or block.new_first != block.new_last:
                yield block
            continue
        fast = _fast_lines(old, new, block) if rounds < _MOST_ROUNDS else []
        if fast:
            pending += [(inner, rounds + 1) for inner in reversed([*_between(block, fast)])]
        else:
            yield from _fewest_edits(old, new, block)


def _trimmed(old: Sequence[bytes], new: Sequence[bytes], block: Block) -> Block:
    """Return the block without the lines that are equal at its beginning and its end."""
    first, last, new_first, new_last = block
    while first < last and new_first < new_last and old[first] == new[new_first]:
        first, new_first = first + 1, new_first + 1
    while first < last and new_first < new_last and old[last - 1] == new[new_last - 1]:
        last, new_last = last - 1, new_last - 1
    return Block(first, last, new_first, new_last)


def _fast_lines(old: Sequence[bytes], new: Sequence[bytes], block: Block) -> list[tuple[int, int]]:
    """Return the places of the longest row of lines that both sides have once, in order."""
    counts = Counter(old[block.first : block.last])
    places = {old[at]: at for at in range(block.first, block.last)}
    new_counts = Counter(new[block.new_first : block.new_last])
    pairs = [
        (places[line], at)
        for at in range(block.new_first, block.new_last)
        if counts[line := new[at]] == 1 == new_counts[line]
    ]
    ends: list[int] = []  # the least place at which a row of each length ends
    at_end: list[int] = []  # which pair that is
    before = [-1] * len(pairs)
    for number, (place, _) in enumerate(pairs):
        length = bisect_left(ends, place)
        before[number] = at_end[length - 1] if length else -1
        ends[length : length + 1] = [place]
        at_end[length : length + 1] = [number]
    row: list[tuple[int, int]] = []
    number = at_end[-1] if at_end else -1
    while number >= 0:
        row.append(pairs[number])
        number = before[number]
    return row[::-1]


def _between(block: Block, fast: Sequence[tuple[int, int]]) -> Iterator[Block]:
    first, new_first = block.first, block.new_first
    for place, new_place in fast:
        yield Block(first, place, new_first, new_place)
        first, new_first = place + 1, new_place + 1
    yield Block(first, block.last, new_first, block.new_last)


def _fewest_edits(old: Sequence[bytes], new: Sequence[bytes], block: Block) -> Iterator[Block]:
    """Yield single lines that are inserted or deleted, or the whole block where they are many."""
    first, last, new_first, new_last = block
    height, width = last - first, new_last - new_first
    reached = {1: 0}  # the furthest place in the old lines on each diagonal
    trail: list[dict[int, int]] = []
    for edits in range(min(_MOST_EDITS, height + width) + 1):
        trail.append(dict(reached))
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (
                diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1]
            )
            at = reached[diagonal + 1] if down else reached[diagonal - 1] + 1
            while (
                at < height
                and at - diagonal < width
                and old[first + at] == new[new_first + at - diagonal]
            ):
                at += 1
            reached[diagonal] = at
            if at >= height and at - diagonal >= width:
                yield from _path_back(trail, block)
                return
    yield block


def _path_back(trail: Sequence[dict[int, int]], block: Block) -> Iterator[Block]:
    at, new_at = block.last - block.first, block.new_last - block.new_first
    found: list[Block] = []
    for edits in range(len(trail) - 1, 0, -1):
        reached, diagonal = trail[edits], at - new_at
        down = diagonal == -edits or (
            diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1]
        )
        came_from = diagonal + 1 if down else diagonal - 1
        at = reached[came_from]
        new_at = at - came_from
        first, new_first = block.first + at, block.new_first + new_at
        found.append(Block(first, first + (not down), new_first, new_first + down))
    yield from reversed(found)
