"""What a checkout writes for a file of a tree, where attributes say that it is not what git has.

Line ends, ``$Id$`` and encodings are what git itself converts, as it would with ``core.autocrlf``
off and line ends of Unix. Filters are programs: none is ever run, and what one would write cannot
be known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from codebatch.snapshot.git.attributes import Value

LARGEST_CONVERTED = 64 * 2**20
LFS_POINTER = "Git LFS pointer"

_LFS = b"lfs"
_LFS_START = b"version https://git-lfs.github.com/spec/"
_LARGEST_LFS_POINTER = 1024
_LONE_LF = re.compile(rb"(?<!\r)\n")
_STREAMED_ID = re.compile(
    rb"\$Id(?P<id>\$|:(?P<text>[^$\n]*)\$)|\$Id(?P<other>[^:\0])|\$Id:[^\n]*|\$Id\0.?|\$I?.?",
    re.DOTALL,
)
_FOREIGN_STREAMED_ID = re.compile(rb" [^\0]*?[ \t\r](?!\Z)", re.DOTALL)
_ID = re.compile(rb"\$Id(?:\$|:([^$\n]*)\$)")
_FOREIGN_ID = re.compile(rb"..* .+", re.DOTALL)
_UTF_8 = ("utf-8", "utf8")
_NO_VALUE = "(no value)"
# Those of which libraries of all systems make the same bytes: a codec, and what stands before.
_ENCODINGS: Mapping[str, tuple[str, bytes]] = {
    "utf-16": ("utf-16-le", b"\xff\xfe"),
    "utf-16le": ("utf-16-le", b""),
    "utf-16be": ("utf-16-be", b""),
    "utf-16le-bom": ("utf-16-le", b"\xff\xfe"),
    "utf-16be-bom": ("utf-16-be", b"\xfe\xff"),
    "utf-32": ("utf-32-le", b"\xff\xfe\0\0"),
    "utf-32le": ("utf-32-le", b""),
    "utf-32be": ("utf-32-be", b""),
    "iso-8859-1": ("latin-1", b""),
    "latin1": ("latin-1", b""),
    "us-ascii": ("ascii", b""),
}
_PRINTABLE_CONTROLS = b"\b\t\x1b\f"
_CONTROLS = bytes(code for code in (*range(32), 127) if code not in (*_PRINTABLE_CONTROLS, 10, 13))
_END_OF_TEXT = b"\x1a"


class ConversionError(ValueError):
    """What a checkout would write cannot be known; the message is the reason to list."""


class Conversion(NamedTuple):
    """What a checkout makes of a file: line ends, in text alone if ``is_guessed``, ids, another
    encoding. ``filter`` is a program that would be run. Without ``is_streamed`` git has all of the
    file at once, and takes other words for ids.
    """

    crlf: bool = False
    is_guessed: bool = False
    ident: bool = False
    encoding: str = ""
    filter: str = ""
    is_streamed: bool = True

    def apply(self, data: bytes, name: bytes) -> bytes:
        """Return what is written for a blob of this name; `ConversionError` where that cannot be
        known.
        """
        if self.filter == _LFS.decode():
            if len(data) <= _LARGEST_LFS_POINTER and data.startswith(_LFS_START):
                raise ConversionError(LFS_POINTER)
        elif self.filter:
            raise ConversionError(f"a filter of git would be run: {self.filter}")
        if self.ident:
            text = b"$Id: " + name.hex().encode() + b" $"
            data = _with_streamed_ids(data, text) if self.is_streamed else _with_ids(data, text)
        if self.crlf and _gets_crlf(data, is_guessed=self.is_guessed):
            data = _LONE_LF.sub(b"\r\n", data)
        return _encoded(data, self.encoding) if self.encoding and data else data


NO_CONVERSION = Conversion()


def conversion_of(attributes: Mapping[bytes, Value]) -> Conversion:
    """Return what a checkout makes of a file with these attributes."""
    if not attributes:
        return NO_CONVERSION
    said = attributes.get(b"text")
    if not _is_text_attribute(said):
        said = attributes.get(b"crlf")
    is_guessed = said == b"auto"
    wanted, encoding = attributes.get(b"filter"), attributes.get(b"working-tree-encoding")
    spelled = encoding.decode("utf-8", "replace") if isinstance(encoding, bytes) else ""
    spelled = _NO_VALUE if isinstance(encoding, bool) else spelled
    spelled = "" if spelled.lower() in _UTF_8 else spelled
    return Conversion(
        crlf=said is not False and attributes.get(b"eol") == b"crlf",
        is_guessed=is_guessed,
        ident=attributes.get(b"ident") is True,
        encoding=spelled,
        filter=wanted.decode("utf-8", "replace") if isinstance(wanted, bytes) else "",
        is_streamed=not spelled and (not is_guessed or attributes.get(b"eol") == b"lf"),
    )


def _is_text_attribute(said: Value) -> bool:
    return said in (True, False, b"auto", b"input")


def _gets_crlf(data: bytes, *, is_guessed: bool) -> bool:
    """Return True if single line feeds become line ends of two bytes."""
    if not is_guessed:
        return True
    if b"\r" in data or b"\0" in data:
        return False
    controls = len(data) - len(data.translate(None, _CONTROLS))
    printable = len(data) - controls - data.count(b"\n")
    return printable >> 7 >= controls - data.endswith(_END_OF_TEXT)


def _with_streamed_ids(data: bytes, text: bytes) -> bytes:
    """Return what git makes of ids in a file that it reads in portions: a dollar that does not fit
    begins none, and what it holds back behind other words that begin like one is lost.
    """
    found, at, held = bytearray(), 0, -1
    while match := _STREAMED_ID.search(data, at):
        found += data[at : match.start()]
        if held < 0 or match.start() > at:
            held = len(found)
        at, spelled = match.end(), match["text"]
        is_foreign = spelled and held == len(found) and _FOREIGN_STREAMED_ID.match(spelled)
        if spelled is not None and not is_foreign:
            del found[held:]
        found += text if match["id"] and not is_foreign else match[0]
        held = held if match["other"] else -1
    return bytes(found + data[at:])


def _with_ids(data: bytes, text: bytes) -> bytes:
    found, at = bytearray(), 0
    while match := _ID.search(data, at):
        if match[1] is not None and _FOREIGN_ID.fullmatch(match[1]):
            end = match.start() + 1  # of another system; what ends it may begin one of ours
            found += data[at:end]
        else:
            end = match.end()
            found += data[at : match.start()] + text
        at = end
    return bytes(found + data[at:])


def _encoded(data: bytes, encoding: str) -> bytes:
    if encoding == _NO_VALUE:
        raise ConversionError("a working-tree-encoding without a value, which git refuses")
    codec = _ENCODINGS.get(encoding.lower())
    if codec is None:
        raise ConversionError(f"a working-tree-encoding that is not known: {encoding[:40]}")
    try:
        return codec[1] + data.decode().encode(codec[0])
    except UnicodeError:
        return data  # git says so, and writes it as it is
