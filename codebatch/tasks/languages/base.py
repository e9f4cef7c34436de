"""What every language front end offers, and the small result types it answers with.

A front end turns the bytes of one file into a `Parsed`; the built-in tasks are language-neutral
and ask it for what they record. Lines and columns are 1-based; columns count characters
(code points), not bytes. Everything a `Parsed` yields is in source order and holds no path.
Front ends never recurse over a tree: the depth of real code has no limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

_Key = TypeVar("_Key")

MODULE_SCOPE = "module"


class Source(Protocol):
    """A file as front ends see it; `tasks.source.SourceFile` is one."""

    language: str
    facets: Mapping[str, str]
    runs: dict[str, object]

    @property
    def content(self) -> bytes:
        """All bytes of the file."""

    @property
    def text(self) -> str:
        """The decoded text, without a byte order mark."""

    @property
    def lines(self) -> list[str]:
        """The lines of the text, without their ends."""

    @property
    def blank_lines(self) -> int:
        """The number of lines that are blank."""


class SyntaxFault(NamedTuple):
    """A place where the language rejects the file."""

    line: int
    column: int
    message: str


class FunctionMetrics(NamedTuple):
    """Complexity of one function, its nested functions excluded (each is counted once).

    ``name`` is the qualified name (``Cart.add``, ``outer.inner``).
    """

    name: str
    line: int
    cyclomatic: int
    cognitive: int
    nesting: int


class FunctionCount:
    """The running numbers of one function, or of the module."""

    __slots__ = ("cognitive", "cyclomatic", "line", "name", "nesting")

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.cyclomatic = 1
        self.cognitive = 0
        self.nesting = 0

    def metrics(self) -> FunctionMetrics:
        """Return what was counted."""
        return FunctionMetrics(self.name, self.line, self.cyclomatic, self.cognitive, self.nesting)


class CodeMetrics(NamedTuple):
    """Counts over one file. ``module`` holds the code outside any function.

    ``comment_lines``: lines that hold a comment and no code. ``code_lines``: lines that hold
    code (a token that is neither comment nor white space); a line with both is a code line.
    """

    functions: tuple[FunctionMetrics, ...]
    module: FunctionMetrics
    classes: int
    imports: int
    code_lines: int
    comment_lines: int


class Symbol(NamedTuple):
    """A name the file defines. ``symbol_type`` is function, method, class, variable,
    parameter, import, export, or for TypeScript also interface, type, enum, namespace;
    ``scope`` is the qualified name of what encloses it, ``module`` at the top.
    """

    name: str
    symbol_type: str
    scope: str
    line: int
    column: int
    end_line: int


class Edge(NamedTuple):
    """A reference from this file to something else. ``edge_type`` is imports, exports (a
    re-export from another module) or inherits. For an import ``target`` is the module as
    written, ``name`` the imported name (None for the module itself, ``*`` for all) and
    ``alias`` the local name where it differs.
    """

    edge_type: str
    target: str
    line: int
    name: str | None = None
    alias: str | None = None


class NameFinding(NamedTuple):
    """A finding of a rule for names or for texts.

    ``rule`` is the name that the tool which found it gives the rule, ``noqa_line`` the line where
    a ``noqa`` comment would silence it; where it ``is_silenced``, the tool has read one.
    """

    code: str
    rule: str
    message: str
    line: int
    column: int
    noqa_line: int
    is_silenced: bool = False


class Comment(NamedTuple):
    """A comment with its place; ``about`` is the first line of what it is about, its own by far
    most often.
    """

    line: int
    column: int
    text: str
    about: int


class Shape(NamedTuple):
    """A file (``name`` is None), or a function in it by its qualified name, and a digest, in hex,
    of its tree without positions.
    """

    name: str | None
    line: int
    end_line: int
    digest: str


class EncodedTree(NamedTuple):
    """A whole syntax tree as bytes, in the format that ``format`` names, and its node count.

    ``partial``: the grammar could not read all of the file.
    """

    format: str
    data: bytes
    nodes: int
    partial: bool = False


class Numbers(dict[_Key, int]):
    """Numbers keys in the order they are first asked for."""

    def __missing__(self, key: _Key) -> int:
        number = self[key] = len(self)
        return number


class Parsed(Protocol):
    """One parsed file. Where ``faults`` is not empty, what could be recovered is still offered
    by a front end that recovers (tree-sitter); one that does not offers empty answers.

    ``symbols`` and ``edges`` follow from the bytes of ``encode`` and the language alone: two files
    with equal trees have equal symbols and edges, whatever else differs in their texts.
    """

    @property
    def faults(self) -> tuple[SyntaxFault, ...]:
        """The places where the language rejects the file, in order; empty for a valid file, and
        where a tool finds that out.
        """

    @property
    def dialect(self) -> str | None:
        """The form of a file that the language rejects, as a reason to skip it: a template,
        Python 2; None where its faults are faults.
        """

    @property
    def nests_deeply(self) -> bool:
        """True if the tree is deeper than what is given to tools that recurse over it."""

    def encode(self) -> EncodedTree | None:
        """The tree as bytes; None where nothing could be parsed."""

    def metrics(self) -> CodeMetrics | None:
        """Counts; None where nothing could be parsed."""

    def symbols(self) -> Iterable[Symbol]:
        """Return the names that the file defines."""

    def edges(self) -> Iterable[Edge]:
        """Return the references of the file to others."""

    def shapes(self) -> Sequence[Shape]:
        """Return the shape of the file and those of its functions, in source order; empty where
        nothing could be parsed.
        """

    def comments(self) -> Iterable[Comment] | None:
        """All comments, in order; None where they cannot be told."""

    def own_names(self, found: Iterable[NameFinding], *, is_module: bool) -> Iterable[NameFinding]:
        """The findings but for those of names that are there for other files; ``is_module`` where
        the name of the file says that none of them are at its top level.
        """
