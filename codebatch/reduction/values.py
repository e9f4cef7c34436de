"""Partial values as canonical MessagePack: one spelling for each value, nothing but plain data.

A value is None, a bool, an integer of 64 bits, a float that is a number, text, bytes, a list or a
dict of these, whose keys are text, bytes, integers or bools. The entries of a dict are written in
the order of their packed keys, so that a value has the same bytes, and the same order when it is
read, however it came about.
"""

from __future__ import annotations

from typing import Any

import msgpack

from codebatch.store.indexes.partials import unpack_value


class NotPlainError(Exception):
    """A value is not plain data; the message says which part of it is not."""


def pack(value: object) -> bytes:
    """Return the canonical bytes of a value; `NotPlainError` where it is not plain data."""
    try:
        packed: bytes = msgpack.packb(_ordered(value), unicode_errors="surrogatepass")
    except RecursionError:
        raise NotPlainError("a value that is nested too deeply") from None
    except (OverflowError, ValueError) as error:
        raise NotPlainError(f"a value that cannot be packed: {error}") from None
    return packed


def unpack(data: bytes) -> Any:
    """Return a value that nothing else refers to; ValueError or TypeError where it is none."""
    return unpack_value(data)


def _ordered(value: object) -> object:
    kind = type(value)
    if kind is str or kind is int or kind is bytes or kind is bool or value is None:
        return value
    if kind is float:
        if value != value:  # noqa: PLR0124 - it is equal to itself unless it is not a number
            raise NotPlainError("a float that is not a number")
        return value
    if isinstance(value, dict):
        return _ordered_dict(value)
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    raise NotPlainError(f"a value of type {kind.__name__}")


def _ordered_dict(value: dict[object, object]) -> dict[object, object]:
    for key in value:
        if type(key) not in _KEYS:
            raise NotPlainError(f"a dict with a key of type {type(key).__name__}")
    if all(type(key) is str for key in value):
        items = sorted(value.items())
    else:
        items = sorted(value.items(), key=lambda item: _key_bytes(item[0]))
    return {key: _ordered(item) for key, item in items}


def _key_bytes(key: object) -> bytes:
    packed: bytes = msgpack.packb(key, unicode_errors="surrogatepass")
    return packed


_KEYS = frozenset({str, bytes, int, bool})
