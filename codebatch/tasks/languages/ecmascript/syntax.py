r"""From text to a flat tree, and the faults the language sees in it.

The grammars read ASCII: every other character is replaced by one that means the same to them (a
letter by ``_``, white space by a space, anything else by one they reject outside of strings and
comments), so that byte offsets are code point offsets and no byte that does not decode can be a
fault by itself. NUL is replaced because tree-sitter takes it for the end of the file.

Where a grammar rejects a file, constructs it is known to lack are rewritten (see ``rewrites``);
a JavaScript file it still rejects is tried under the TSX grammar, whose rules for elements and
statement ends are ahead, and accepted if nothing in the tree is TypeScript. What remains is
reported. Valid code that is rejected all the same: an invalid escape in a tagged template
(``tag`\unicode` ``), a comment with a line end as the only line end before a token that needs
one, a class field followed by a generator method without a semicolon, ``for (async of => …;;)``,
``for (let of of …)``, the ``source`` phase of imports, ``keyof readonly``, and in TypeScript an
empty list of type arguments. What the grammars accept is checked for ``early_errors``; others are
not found, such as a name declared twice or ``break`` outside of a loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import tree_sitter

from codebatch.tasks.languages.base import SyntaxFault
from codebatch.tasks.languages.ecmascript import rewrites
from codebatch.tasks.languages.ecmascript.early_errors import early_errors
from codebatch.tasks.languages.ecmascript.grammars import FlatTree, flatten, parse

MOST_FAULTS = 20
_LONE_RETURN = re.compile(r"\r(?!\n)")
_FOREIGN = re.compile(r"[^\x01-\x7f]+")
_TOKEN = re.compile(r"[\w$]{1,40}|\S")
_COMPLETE = ("_statement", "_declaration", "hash_bang_line")
_LINE_SEPARATORS = ("\u2028", "\u2029")

_TYPESCRIPT_ONLY = frozenset(
    "type_annotation type_arguments type_parameters interface_declaration "
    "type_alias_declaration enum_declaration as_expression satisfies_expression "
    "non_null_expression accessibility_modifier override_modifier optional_parameter "
    "abstract_class_declaration ambient_declaration internal_module module import_alias "
    "import_require_clause implements_clause function_signature method_signature "
    "abstract_method_signature index_signature type_assertion type_predicate_annotation "
    "asserts_annotation instantiation_expression predefined_type omitting_type_annotation "
    "opting_type_annotation".split()
)
_TYPESCRIPT_TOKENS = frozenset(('"type"', '"readonly"', '"declare"', '"abstract"', '"?"', '"!"'))
_TOKEN_HOLDERS = frozenset(
    "import_statement import_specifier export_statement export_specifier public_field_definition "
    "method_definition variable_declarator".split()
)


class Syntax(NamedTuple):
    """A file as read: its tree, what is wrong with it, the grammar that read it."""

    tree: FlatTree
    faults: tuple[SyntaxFault, ...]
    grammar: str


class _StandIns(dict[int, str]):
    """For each character the ASCII one that means the same to a grammar."""

    def __init__(self, separator: str) -> None:
        super().__init__({code: chr(code) for code in range(1, 128)})
        self[0] = "\x01"
        self.update((ord(char), separator) for char in _LINE_SEPARATORS)

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if ("_" + char).isidentifier():
            stand_in = "_"
        elif char.isspace() or char == "\ufeff":
            stand_in = " "
        else:
            stand_in = "\x01"
        self[code] = stand_in
        return stand_in


_BREAKING = _StandIns("\n")
_SPACING = _StandIns(" ")


def read(text: str, language: str) -> Syntax:
    """Parse a text as well as it can be."""
    name = "javascript" if language == "jsx" else language
    syntax = _read(text, _ascii(text, _BREAKING), name)
    if syntax.faults and any(char in text for char in _LINE_SEPARATORS):
        # They end lines of code, but inside a string they are plain characters.
        spaced = _read(text, _ascii(text, _SPACING), name)
        if not spaced.faults:
            return spaced
    return syntax


def _ascii(text: str, stand_ins: _StandIns) -> str:
    if "\r" in text:
        text = _LONE_RETURN.sub("\n", text)
    if text.isascii() and "\0" not in text:
        return text
    return _FOREIGN.sub(lambda run: run[0].translate(stand_ins), text)


def _read(text: str, ascii_text: str, language: str) -> Syntax:
    tree = parse(language, ascii_text)
    if not tree.root_node.has_error:
        return _checked(flatten(tree, language, text), language)
    return _read_again(text, ascii_text, language, tree)


def _read_again(text: str, ascii_text: str, language: str, tree: tree_sitter.Tree) -> Syntax:
    """Second readings of a file the grammar rejects; the first without faults counts."""
    changes = rewrites.rewrites(ascii_text, language)
    if changes:
        tree, changes = _rewritten(text, ascii_text, language, changes)
    if tree.root_node.has_error and language == "javascript":
        other = parse("tsx", rewrites.apply(ascii_text, changes))
        if not other.root_node.has_error:
            flat = flatten(other, "tsx", text)
            if not _is_typescript(flat):
                return _checked(flat, "tsx")
    flat = flatten(tree, language, rewrites.shown(text, changes))
    rewrites.retype(flat, changes)
    if tree.root_node.has_error:
        return Syntax(flat, tuple(_faults(tree, flat)), language)
    return _checked(flat, language)


def _checked(flat: FlatTree, language: str) -> Syntax:
    return Syntax(flat, tuple(early_errors(flat)[:MOST_FAULTS]), language)


def _rewritten(
    text: str, ascii_text: str, language: str, changes: list[rewrites.Rewrite]
) -> tuple[tree_sitter.Tree, list[rewrites.Rewrite]]:
    tree = parse(language, rewrites.apply(ascii_text, changes))
    wrong = set(rewrites.mistaken(flatten(tree, language, text), changes))
    if wrong:
        changes = [change for change in changes if change not in wrong]
        tree = parse(language, rewrites.apply(ascii_text, changes))
    return tree, changes


def _is_typescript(tree: FlatTree) -> bool:
    """Whether a tree of the TSX grammar holds anything that JavaScript does not have."""
    if not _TYPESCRIPT_ONLY.isdisjoint(tree.types):
        return True
    return any(
        kind in _TYPESCRIPT_TOKENS and tree.types[tree.parents[node]] in _TOKEN_HOLDERS
        for node, kind in enumerate(tree.types)
    )


def _faults(tree: tree_sitter.Tree, flat: FlatTree) -> Iterator[SyntaxFault]:
    """Outermost faults in source order, each where reading stopped making sense."""
    stack, found = [tree.root_node], 0
    while stack and found < MOST_FAULTS:
        node = stack.pop()
        if node.is_error or node.is_missing:
            found += 1
            yield _fault(node, flat)
            continue
        stack.extend(
            child for child in reversed(node.children) if child.has_error or child.is_missing
        )


def _fault(node: tree_sitter.Node, flat: FlatTree) -> SyntaxFault:
    offset = node.start_byte
    if node.is_missing:
        message = f"missing {node.type}"
    else:
        token = _TOKEN.search(flat.text, _first_broken(node))
        message = f"unexpected {token[0]}" if token else "unexpected end of file"
        offset = token.start() if token else offset
    return SyntaxFault(flat.line(offset), flat.column(offset), message)


def _first_broken(node: tree_sitter.Node) -> int:
    """Where an error begins: it may hold statements that are complete, or broken further in."""
    while True:
        for child in node.children:
            if child.has_error and not child.is_missing:
                node = child
                break
            if child.is_missing or not (child.is_extra or child.type.endswith(_COMPLETE)):
                return child.start_byte
        else:
            return node.start_byte
