"""Tell Python 2 from broken Python 3.

A file is Python 2 if what only Python 2 has (statements ``print`` and ``exec``, ``except E, e``,
``raise E, m``, backticks, ``<>``, parameters that are tuples, numbers like ``0777`` and ``10L``,
``ur''``), written as in Python 3, makes a file that Python 3 accepts, and nothing in it is of
Python 3 alone. So a mistake in a file for Python 3 remains one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

_TOKEN = re.compile(
    r"""(?P<space>[ \t\f]+|\\(?:\r\n|\r|\n)|\#[^\r\n]*)
      | (?P<newline>\r\n|\r|\n)
      | (?P<string>[A-Za-z]{0,2}(?P<quote>'''|\"\"\"|'|\"))
      | (?P<word>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\w*|\w+)
      | (?P<operator><>|<<=|>>=|\*\*=|//=|[-+*/%@&|^=<>!]=|<<|>>|\*\*|//|.)""",
    re.VERBOSE,
)
_REST = {
    "'": re.compile(r"(?:[^'\\\r\n]|\\(?:\r\n|.))*'", re.DOTALL),
    '"': re.compile(r'(?:[^"\\\r\n]|\\(?:\r\n|.))*"', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]|\\.|'(?!''))*'''", re.DOTALL),
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*"""', re.DOTALL),
}
_NUMBER = re.compile(r"(0[xX][\da-fA-F]+|0[bBoO][0-7]+|\d+)[lL]?")
_OCTAL = re.compile("0+[1-7][0-7]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_BLOCKS = frozenset("if elif else for while try except finally with def class".split())
_STATEMENTS = frozenset(("print", "exec"))
_NO_ARGUMENT = frozenset("( = . , ; : ) += -= *= /= //= %= @= &= |= ^= <<= >>= **=".split())

# What Python 2 does not have, as far as trees of Python 3 tell.
_NODES_OF_3 = (
    *(ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await, ast.Nonlocal, ast.AnnAssign),
    *(ast.NamedExpr, ast.MatMult, ast.YieldFrom, ast.JoinedStr, ast.Match),
)


class _Token:
    """A token and what is written for it in Python 3."""

    __slots__ = ("kind", "text", "written")

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = self.written = text


def is_python2(text: str, parse: Callable[[str], ast.Module | None]) -> bool:
    """Return true if a text that Python 3 rejects is Python 2; ``parse`` gives None for what
    Python 3 rejects.
    """
    tokens = _tokens(text)
    for line in _logical_lines(tokens):
        _rewrite_line(line)
    if all(token.written == token.text for token in tokens):
        return False
    # Python 2 knew how wide a tab is.
    written = "".join(map(_unescaped, tokens))
    tree = parse(_INDENT.sub(lambda indent: indent[0].expandtabs(8), written))
    return tree is not None and not any(map(_is_of_3, ast.walk(tree)))


def _is_of_3(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.returns is not None or bool(node.args.kwonlyargs)
    if isinstance(node, ast.arg):
        return node.annotation is not None
    if isinstance(node, ast.Raise):
        return node.cause is not None
    if isinstance(node, ast.ClassDef):
        return bool(node.keywords)
    return isinstance(node, _NODES_OF_3)


def _unescaped(token: _Token) -> str:
    """Return what is written, with escapes doubled that only strings of characters had."""
    if token.kind != "string" or token.text[0] in "uU" or "\\" not in token.text:
        return token.written
    doubled = _ESCAPE.sub(lambda one: "\\" + one[0] if one[1] in "uUN" else one[0], token.written)
    return token.written if token.text[0] in "rR" else doubled


def _tokens(text: str) -> list[_Token]:
    """Return all tokens; none where a string does not end."""
    tokens, position, opened = list[_Token](), 0, False
    while (match := _TOKEN.match(text, position)) is not None:
        kind, position = str(match.lastgroup), match.end()
        token = _Token(kind, match[0])
        if kind == "string":
            rest = _REST[match["quote"]].match(text, position)
            if rest is None:
                return []
            position = rest.end()
            token = _Token(kind, match[0] + rest[0])
            if token.text[:2].lower() == "ur":
                token.written = token.text[1:]
        elif (number := _NUMBER.fullmatch(match[0])) is not None:
            octal = _OCTAL.fullmatch(number[1]) is not None
            token.written = f"0o{number[1]}" if octal else number[1]
        elif match[0] == "<>":
            token.written = "!="
        elif match[0] == "`":
            token.written, opened = ")" if opened else "(", not opened
        tokens.append(token)
    return tokens


def _logical_lines(tokens: list[_Token]) -> Iterator[list[_Token]]:
    """Yield the tokens of each line that are neither space nor comments."""
    line: list[_Token] = []
    depth = 0
    for token in tokens:
        if token.kind == "newline" and depth == 0:
            yield line
            line = []
        elif token.kind not in ("space", "newline"):
            line.append(token)
            depth = max(0, depth + _deeper(token))
    yield line


def _deeper(token: _Token) -> int:
    return (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))


def _rewrite_line(line: list[_Token]) -> None:
    for place, token in enumerate(line):
        if token.text in ("lambda", "def"):
            _open_parameters(line, place)
    start = 0
    while start < len(line):
        first = line[start].text
        end = _end(line, start, ":" if first in _BLOCKS else ";")
        if first in _STATEMENTS:
            _rewrite_call(line[start:end])
        elif first == "raise" or (first == "except" and _names_exception(line[start:end])):
            _enclose(line[start:end])
        start = end + 1


def _end(line: list[_Token], start: int, closing: str) -> int:
    """Return where a statement, or the head of a block, ends."""
    depth = lambdas = 0
    for place in range(start, len(line)):
        text = line[place].text
        depth += _deeper(line[place])
        if depth == 0 and text == "lambda":
            lambdas += 1
        elif depth == 0 and text == closing:
            if closing != ":" or lambdas == 0:
                return place
            lambdas -= 1
    return len(line)


def _rewrite_call(statement: list[_Token]) -> None:
    """Make a statement ``print`` or ``exec`` a call."""
    if len(statement) == 1 or statement[1].text in _NO_ARGUMENT:
        return
    statement[0].written += "("
    statement[-1].written += ")"
    if statement[1].text == ">>":
        statement[1].written = ""


def _enclose(statement: list[_Token]) -> None:
    """Make a tuple of what follows ``raise`` or ``except`` and has commas."""
    if _end(statement, 0, ",") < len(statement):
        statement[0].written += " ("
        statement[-1].written += ")"


def _names_exception(statement: list[_Token]) -> bool:
    """Return true for ``except E, e`` and ``except E, (a, b)``; ``except A, B`` without
    parentheses is of Python 3.14.
    """
    comma = _end(statement, 0, ",")
    target = "".join(token.text for token in statement[comma + 1 :])
    alone = _end(statement, comma + 1, ",") == len(statement)
    return alone and bool(target) and target == target.lower() and "." not in target


def _open_parameters(line: list[_Token], keyword: int) -> None:
    """Write a name for each parameter that is a tuple."""
    start, closing = (keyword + 1, ":") if line[keyword].text == "lambda" else (keyword + 3, ")")
    before, depth, tuple_depth = ",", 0, 0
    for place in range(start, len(line)):
        token = line[place]
        if (token.text == closing and depth == 0) or token.text in ("lambda", "def"):
            return  # those inside of it are looked at for themselves
        if token.text == "(" and depth == 0 and before == ",":
            tuple_depth = 1
            token.written = f"_{place}"
        elif tuple_depth:
            token.written = ""
        depth += _deeper(token)
        tuple_depth = tuple_depth and depth
        before = token.text
