"""One source file as the tasks see it.

A task receives the raw bytes, the language and the path facets it declared, never the path
itself: whatever it computes must follow from these alone. Text, lines and the parsed tree are
derived on first use and shared by all tasks that look at the file; the whole object is dropped
before the next file is read, so at most one tree is alive.
"""

from __future__ import annotations

import codecs
import io
import re
import tokenize
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import islice
from types import MappingProxyType

from codebatch.tasks.languages import is_parsed, parser_for
from codebatch.tasks.languages.authorship import reasons
from codebatch.tasks.languages.base import Parsed
from codebatch.tasks.languages.dialects import reason_not_to_parse
from codebatch.tasks.suppressions import Suppressions, read_suppressions

# A larger file, or one of more words, marks and line ends, is not parsed where a task asks for it.
MOST_BYTES = 16 * 2**20
MOST_TOKENS = 500_000

NO_FACETS: Mapping[str, str] = MappingProxyType({})

# Of a character in UTF-8 the first byte counts.
_TOKEN = re.compile(rb"[A-Za-z0-9_$]+|[^A-Za-z0-9_$ \t\f\v\r\x80-\xbf]")
_LINE_END = re.compile(r"\r\n|\n|\r")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# A byte order mark, or "coding" in one of the first two lines, which only "\n" ends here.
_MAY_DECLARE = re.compile(rb"\xef\xbb\xbf|[^\n]*(?:\n[^\n]*)?coding")


def declared_encoding(content: bytes) -> str | None:
    """The codec that Python source declares (PEP 263), UTF-8 by default; None where it contradicts
    itself.

    What cannot be decoded is found when it is decoded.
    """
    if not _MAY_DECLARE.match(content):
        return "utf-8"
    try:
        return tokenize.detect_encoding(io.BytesIO(content).readline)[0]
    except SyntaxError:
        return None


class SourceFile:
    """Bytes of one file with its language and declared facets, and what is derived from them."""

    def __init__(
        self, content: bytes, language: str, facets: Mapping[str, str] = NO_FACETS
    ) -> None:
        self.size = len(content)
        self.language = language
        self.facets = facets
        self.runs: dict[str, object] = {}  # tools at work on it, for other tasks to ask
        self.tree_was_read = False  # by a task that may have put cycles into it
        self._read: Callable[[], bytes] = lambda: content
        self._exceeds: dict[int, bool] = {}

    @classmethod
    def stored(
        cls, read: Callable[[], bytes], size: int, language: str, facets: Mapping[str, str]
    ) -> SourceFile:
        """A file of ``size`` bytes that is read when a task first looks into it."""
        source = cls(b"", language, facets)
        source.size = size
        source._read = read
        return source

    @cached_property
    def content(self) -> bytes:
        """All bytes of the file."""
        return self._read()

    @cached_property
    def text(self) -> str:
        """The text as the language decodes it, without a byte order mark.

        Bytes that do not decode become U+FFFD, so that text rules can look at any file.
        """
        try:
            text = self.content.decode(self._encoding, "replace")
        except (LookupError, ValueError):  # no text encoding (rot13), or one without "replace"
            text = self.content.decode("utf-8", "replace")
        return text[1:] if text.startswith("\ufeff") else text

    @cached_property
    def lines(self) -> list[str]:
        r"""Lines without their ends; ``\n``, ``\r\n`` and a lone ``\r`` end a line.

        A final line end does not open another line; an empty file has no lines.
        """
        text = self.text
        lines = _LINE_END.split(text) if "\r" in text else text.split("\n")
        if lines[-1] == "":
            lines.pop()
        return lines

    def exceeds_tokens(self, most: int) -> bool:
        """Return whether the file has more than so many tokens, as far as is cheap to tell.

        Each word, each mark and each line end counts, in comments and strings too: what a parser
        makes of a file takes memory by tokens, and the count must not be outwitted.
        """
        if self.size <= most:
            return False
        if most not in self._exceeds:
            beyond = islice(_TOKEN.finditer(self.content), most, None)
            self._exceeds[most] = next(beyond, None) is not None
        return self._exceeds[most]

    def exceeds_lines(self, most: int) -> bool:
        """Return whether the file has more than so many line ends."""
        if self.size <= most:
            return False
        content = self.content
        ends = content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")
        return ends > most

    @property
    def is_parsable(self) -> bool:
        """Return whether there is a parser for the file, and the file is not too much for it."""
        if not is_parsed(self.language) or self.size > MOST_BYTES:
            return False
        return not self.exceeds_tokens(MOST_TOKENS) and reason_not_to_parse(self) is None

    @cached_property
    def suppressions(self) -> Suppressions:
        """The comments that suppress findings."""
        return read_suppressions(self)

    @cached_property
    def unwritten(self) -> tuple[str, ...]:
        """Why nobody in the project writes the file (`languages.authorship.REASONS`)."""
        return tuple(reasons(self))

    @cached_property
    def blank_lines(self) -> int:
        """The number of lines that are empty or hold white space alone."""
        return self.lines.count("") + sum(map(str.isspace, self.lines))

    @cached_property
    def parsed(self) -> Parsed | None:
        """The parsed file, or None where no parser knows the language."""
        parse = parser_for(self.language)
        return parse(self) if parse is not None else None

    def drop_tree(self) -> None:
        """Let go of the parsed tree. It refers to the file as the file does to it, so nothing
        else would free it while the cyclic collector is held off.
        """
        self.__dict__.pop("parsed", None)

    @cached_property
    def _encoding(self) -> str:
        """The encoding the file declares; UTF-8 where it declares none, or contradicts itself."""
        for bom, name in _BOMS:
            if self.content.startswith(bom):
                return name
        if self.language != "python":
            return "utf-8"
        return declared_encoding(self.content) or "utf-8"
