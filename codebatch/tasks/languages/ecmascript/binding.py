"""The walk over a tree that finds scopes, declarations and references.

One pass over the flat table, with a handler per node type. A handler that knows what an
identifier below it is (a declaration, a target of assignment, or no name at all) says so before
the walk gets there; any identifier nobody has spoken for is a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from codebatch.tasks.languages.base import MODULE_SCOPE
from codebatch.tasks.languages.ecmascript import scopes as model
from codebatch.tasks.languages.ecmascript.grammars import NO_PARENT, FlatTree
from codebatch.tasks.languages.ecmascript.metrics import LOOPS
from codebatch.tasks.languages.ecmascript.outline import (
    CLASSES,
    FUNCTIONS,
    NAMESPACES,
    Definition,
)
from codebatch.tasks.languages.ecmascript.scopes import BOTH, TYPE, VALUE, Reference, Scope, Scopes

_NAMES = ("identifier", "shorthand_property_identifier", "shorthand_property_identifier_pattern")
_FUNCTION_VALUES = frozenset("function_expression generator_function arrow_function".split())
_CLASS_VALUES = frozenset(("class",))
# Types with parameters of their own that nothing in the file can use or shadow.
_SIGNATURES = frozenset(
    "function_signature method_signature abstract_method_signature call_signature "
    "construct_signature function_type constructor_type".split()
)
_TYPE_SCOPES = frozenset(
    "type_alias_declaration interface_declaration conditional_type index_signature".split()
)
_LOGICAL_UPDATES = frozenset(('"&&="', '"||="', '"??="'))
_PASSED = -1


class Declared(NamedTuple):
    """A declared name as it stands in the source: symbol type, qualified scope, the identifier
    and the node whose last line ends the definition."""

    name: str
    symbol_type: str
    scope: str
    node: int
    definition: int


class Bindings(NamedTuple):
    """What the walk found."""

    scopes: Scopes
    declared: list[Declared]
    has_modules: bool
    elements: bool
    scope_names: dict[int, str]


def pattern_names(tree: FlatTree, pattern: int) -> Iterator[int]:
    """Identifiers that a binding or assignment pattern binds; defaults and keys left out."""
    types, fields, stops = tree.types, tree.fields, tree.stops
    node, stop = pattern, stops[pattern]
    while node < stop:
        kind = types[node]
        if node != pattern and _is_value_part(kind, fields[node], types[tree.parents[node]]):
            node = stops[node]
        elif kind in ("identifier", "shorthand_property_identifier_pattern"):
            yield node
            node += 1
        elif kind in _PATTERNS:
            node += 1
        else:
            node = stops[node]


_PATTERNS = frozenset(
    "object_pattern array_pattern pair_pattern rest_pattern assignment_pattern "
    "object_assignment_pattern parenthesized_expression as_expression satisfies_expression "
    "non_null_expression type_assertion".split()
)


def _is_value_part(kind: str, field: str, parent: str) -> bool:
    """Whether a part of a pattern is a key, a default or a type, which bind nothing."""
    if field in ("key", "right"):
        return True
    if parent in ("as_expression", "satisfies_expression"):
        return kind not in _PATTERNS and kind != "identifier"
    return kind == "type_arguments"


class Binder:
    """State of the walk: the innermost scope, and what is already known of nodes to come."""

    def __init__(self, tree: FlatTree, definitions: list[Definition]) -> None:
        self.tree = tree
        self.qualified = {definition.node: definition for definition in definitions}
        module = Scope("module", len(tree), None, MODULE_SCOPE, True, False, False)
        self.scope = module
        self.scopes = Scopes(module)
        self.scopes.events.append(module)
        self.scopes.all_scopes.append(module)
        self.declared: list[Declared] = []
        self.spoken_for: set[int] = set()
        self.type_only = False
        self.has_modules = False
        self.scope_names: dict[int, str] = {}
        self.elements = False
        self.handlers = self._handlers()

    def run(self) -> Bindings:
        handlers, types = self.handlers, self.tree.types
        for node in [i for i, kind in enumerate(types) if kind in handlers]:
            while node >= self.scope.stop:
                self._close()
            handlers[types[node]](node)
        while self.scope.parent is not None:
            self._close()
        return Bindings(
            self.scopes, self.declared, self.has_modules, self.elements, self.scope_names
        )

    def _handlers(self) -> dict[str, Callable[[int], None]]:
        table: dict[str, Callable[[int], None]] = {
            "identifier": self._identifier,
            "shorthand_property_identifier": self._identifier,
            "shorthand_property_identifier_pattern": self._identifier,
            "type_identifier": self._type_identifier,
            "variable_declarator": self._declarator,
            "statement_block": self._block,
            "switch_body": self._plain_block,
            "while_statement": self._loop,
            "do_statement": self._loop,
            "for_statement": self._loop,
            "for_in_statement": self._for_in,
            "catch_clause": self._catch,
            "with_statement": self._with,
            "call_expression": self._call,
            "assignment_expression": self._assignment,
            "augmented_assignment_expression": self._augmented,
            "update_expression": self._update,
            "import_statement": self._import,
            "import_alias": self._import_alias,
            "export_statement": self._export,
            "enum_declaration": self._enum,
            "type_parameter": self._type_parameter,
            "infer_type": self._infer,
            "mapped_type_clause": self._mapped,
            "nested_type_identifier": self._nested_type,
            "ambient_declaration": self._ambient,
            "jsx_opening_element": self._element,
            "jsx_self_closing_element": self._element,
            "jsx_closing_element": self._closing_element,
            "jsx_namespace_name": self._no_names,
            "field_definition": self._field,
            "public_field_definition": self._field,
        }
        table.update(dict.fromkeys(FUNCTIONS, self._function))
        table.update(dict.fromkeys(CLASSES, self._class))
        table.update(dict.fromkeys(NAMESPACES, self._namespace))
        table.update(dict.fromkeys(_SIGNATURES, self._signature))
        table.update(dict.fromkeys(_TYPE_SCOPES, self._type_scope))
        return table

    # Scopes

    def _open(self, node: int, kind: str, *, holds_var: bool = False, loop: bool = False) -> Scope:
        outer = self.scope
        definition = self.qualified.get(node)
        in_loop = not holds_var and (loop or outer.in_loop)
        scope = Scope(
            kind,
            self.tree.stops[node],
            outer,
            definition.qualified if definition else outer.qualified,
            holds_var,
            in_loop,
            outer.ambient,
        )
        self.scope = scope
        self.scopes.events.append(scope)
        self.scopes.all_scopes.append(scope)
        return scope

    def _close(self) -> None:
        self.scopes.events.append(None)
        assert self.scope.parent is not None
        self.scope = self.scope.parent

    def _block(self, node: int) -> None:
        """A block; the body of a function or namespace is part of its scope."""
        parent = self.tree.types[self.tree.parents[node]]
        if parent not in FUNCTIONS and parent not in NAMESPACES:
            self._open(node, "block")

    def _plain_block(self, node: int) -> None:
        self._open(node, "block")

    def _loop(self, node: int) -> None:
        self._open(node, "loop", loop=True)

    def _ambient(self, node: int) -> None:
        self._open(node, "ambient").ambient = True

    def _with(self, node: int) -> None:
        self._open(node, "block").dynamic = True

    # Declarations

    def _declare(
        self,
        node: int,
        kind: str,
        definition: int,
        *,
        scope: Scope | None = None,
        statement: int | None = None,
        symbol: str | None = None,
    ) -> model.Binding:
        """Bind the name at ``node``; ``symbol`` is its symbol type where it differs from the
        kind, and an empty one leaves it out of the symbols."""
        self.spoken_for.add(node)
        tree = self.tree
        name = tree.source(node)
        home = scope or self._home()
        symbol_type = kind if symbol is None else symbol
        if symbol_type:
            self.declared.append(
                Declared(name, symbol_type, self._owner(home), node, definition)
            )
        space = model.SPACES.get(kind, VALUE)
        known = home.bindings.get(name)
        if known is None:
            around = definition if statement is None else statement
            known = model.Binding(
                name, kind, node, home, space, (around, tree.stops[around])
            )
            known.exempt = home.ambient
            home.bindings[name] = known
        known.space |= space
        return known

    def _home(self) -> Scope:
        """Where a declaration here belongs: ``declare`` opens a region, not a scope."""
        scope = self.scope
        while scope.kind == "ambient" and scope.parent is not None:
            scope = scope.parent
        return scope

    def _owner(self, home: Scope) -> str:
        return self.scope.qualified if home.holds_var else home.qualified

    def _exported(self, node: int) -> bool:
        """Whether a declaration statement is exported where it stands."""
        tree = self.tree
        parent = tree.parents[node]
        if tree.types[parent] == "ambient_declaration":
            parent = tree.parents[parent]
        return tree.types[parent] == "export_statement"

    def _declarator(self, node: int) -> None:
        tree = self.tree
        statement = tree.parents[node]
        is_var = tree.types[statement] == "variable_declaration"
        target = tree.child(node, "name")
        value = tree.child(node, "value")
        if target is None:
            return
        scope = self._home().variable_scope if is_var else self._home()
        exported = self._exported(statement)
        symbol = "variable"
        ranges = []
        if value is not None and target + 1 == tree.stops[target]:
            if tree.types[value] in _FUNCTION_VALUES:
                symbol = "function"
                ranges.append((value, tree.stops[value]))
            elif tree.types[value] in _CLASS_VALUES:
                symbol = "class"
        for name in pattern_names(tree, target):
            binding = self._declare(
                name, "variable", node, scope=scope, statement=statement, symbol=symbol
            )
            binding.self_ranges.extend(ranges)
            binding.assigned |= value is not None
            binding.exempt |= exported or self._beside_rest(name) or self.scope.ambient

    def _beside_rest(self, name: int) -> bool:
        """Whether a name is taken out of an object to leave it out of a ``...rest``."""
        tree = self.tree
        holder = tree.parents[name]
        if tree.types[holder] == "pair_pattern":
            holder = tree.parents[holder]
        return tree.types[holder] == "object_pattern" and tree.has_token(holder, "rest_pattern")

    def _for_in(self, node: int) -> None:
        tree = self.tree
        kind, left = tree.child(node, "kind"), tree.child(node, "left")
        outer = self._home()
        scope = self._open(node, "loop", loop=True)
        if left is None:
            return
        returns = tree.types[left] == "identifier" and self._returns_at_once(node)
        if kind is None:
            self._targets(left, None, reads=returns)
            return
        home = outer.variable_scope if tree.types[kind] == '"var"' else scope
        for name in pattern_names(tree, left):
            binding = self._declare(name, "variable", left, scope=home, statement=left)
            binding.assigned = True
            binding.exempt |= self._beside_rest(name)
            binding.used |= returns

    def _returns_at_once(self, loop: int) -> bool:
        """``for (const key in object) return false;`` asks whether there is anything."""
        tree = self.tree
        body = tree.child(loop, "body")
        if body is not None and tree.types[body] == "statement_block":
            body = next((c for c in tree.children(body) if tree.types[c] != "comment"), None)
        return body is not None and tree.types[body] == "return_statement"

    def _catch(self, node: int) -> None:
        self._open(node, "catch")
        parameter = self.tree.child(node, "parameter")
        if parameter is not None:
            for name in pattern_names(self.tree, parameter):
                self._declare(name, "catch", parameter, symbol="variable")

    def _function(self, node: int) -> None:
        tree = self.tree
        kind = tree.types[node]
        name = tree.child(node, "name") if kind.endswith(("_declaration", "function")) or (
            kind == "function_expression"
        ) else None
        if name is not None and kind.endswith("_declaration"):
            self._declare_function(name, node)
        elif name is not None:
            self._open(node, "function-name")
            self._declare(name, "function-name", node, symbol="")
        elif kind == "method_definition":
            self._method(node)
        self._open(node, "function", holds_var=True)
        self._parameters(node, "parameter")

    def _declare_function(self, name: int, node: int) -> None:
        binding = self._declare(name, "function", node)
        binding.self_ranges.append((node, self.tree.stops[node]))
        binding.exempt |= self._exported(node)

    def _method(self, node: int) -> None:
        name = self.tree.child(node, "name")
        definition = self.qualified.get(node)
        if name is not None and definition is not None:
            self.declared.append(
                Declared(definition.name, "method", self.scope.qualified, name, node)
            )

    def _parameters(self, node: int, kind: str) -> None:
        tree = self.tree
        single = tree.child(node, "parameter")
        if single is not None:
            self._parameter(single, single, kind)
        listed = tree.child(node, "parameters")
        if listed is None:
            return
        for parameter in tree.children(listed):
            pattern: int | None = parameter
            if tree.types[parameter] in ("required_parameter", "optional_parameter"):
                pattern = tree.child(parameter, "pattern")
            if pattern is not None:
                self._parameter(pattern, parameter, kind)

    def _parameter(self, pattern: int, definition: int, kind: str) -> None:
        symbol = "parameter" if kind == "parameter" else ""
        for name in pattern_names(self.tree, pattern):
            self._declare(name, kind, definition, symbol=symbol)

    def _signature(self, node: int) -> None:
        tree = self.tree
        name = tree.child(node, "name")
        kind = tree.types[node]
        if kind == "function_signature" and name is not None:
            binding = self._declare(name, "function", node)
            binding.exempt |= self._exported(node)
        elif kind == "abstract_method_signature" or (
            kind == "method_signature" and tree.types[tree.parents[node]] == "class_body"
        ):
            if name is not None:
                self.declared.append(
                    Declared(tree.source(name), "method", self.scope.qualified, name, node)
                )
        self._open(node, "signature", holds_var=True)
        self._parameters(node, "signature")

    def _class(self, node: int) -> None:
        name = self.tree.child(node, "name")
        is_value = self.tree.types[node] == "class"
        if name is not None and not is_value:
            binding = self._declare(name, "class", node)
            binding.exempt |= self._exported(node)
        self._open(node, "class")
        if name is not None:
            self._declare(name, "class-name" if is_value else "class-self", node, symbol="")
            self.scope.bindings[self.tree.source(name)].space = BOTH

    def _field(self, node: int) -> None:
        tree = self.tree
        name = tree.child(node, "name")
        if name is None:
            name = tree.child(node, "property")
        value = tree.child(node, "value")
        if name is None or tree.types[name] == "computed_property_name":
            return
        is_function = value is not None and tree.types[value] in _FUNCTION_VALUES
        text = tree.source(name)
        if tree.types[name] == "string":
            text = text[1:-1]
        self.declared.append(Declared(
            text, "method" if is_function else "variable", self.scope.qualified, name, node
        ))

    def _namespace(self, node: int) -> None:
        tree = self.tree
        name = tree.child(node, "name")
        if name is not None:
            first = name
            while tree.types[first] == "nested_identifier":
                first += 1
            if tree.types[first] == "identifier":
                binding = self._declare(first, "namespace", node)
                binding.self_ranges.append((node, tree.stops[node]))
                binding.exempt |= self._exported(node) or (
                    tree.types[tree.parents[node]] == "export_statement"
                )
        self._open(node, "namespace", holds_var=True)

    def _enum(self, node: int) -> None:
        tree = self.tree
        name, body = tree.child(node, "name"), tree.child(node, "body")
        if name is not None:
            binding = self._declare(name, "enum", node)
            binding.self_ranges.append((node, tree.stops[node]))
            binding.exempt |= self._exported(node)
        self._open(node, "enum")
        for member in tree.children(body) if body is not None else ():
            label = tree.child(member, "name") if tree.stops[member] > member + 1 else member
            if label is not None and tree.types[label] == "property_identifier":
                self._declare(label, "member", member, symbol="")

    def _type_scope(self, node: int) -> None:
        tree = self.tree
        kind = tree.types[node]
        name = tree.child(node, "name")
        if kind in ("type_alias_declaration", "interface_declaration") and name is not None:
            binding = self._declare(name, kind.split("_")[0], node)
            binding.self_ranges.append((node, tree.stops[node]))
            binding.exempt |= self._exported(node)
        elif kind == "index_signature" and name is not None:
            self.spoken_for.add(name)
        self._open(node, "type")

    def _type_parameter(self, node: int) -> None:
        name = self.tree.child(node, "name")
        if name is not None:
            self._declare(name, "type-parameter", node, symbol="")

    def _mapped(self, node: int) -> None:
        self._type_parameter(node)

    def _infer(self, node: int) -> None:
        if node + 2 < len(self.tree):
            name = self.tree.child_of_type(node, "type_identifier")
            if name is not None:
                scope = self.scope
                while scope.kind != "type" and scope.parent is not None:
                    scope = scope.parent
                self._declare(name, "type-parameter", node, scope=scope, symbol="")

    # Modules

    def _import(self, node: int) -> None:
        tree = self.tree
        self.has_modules = True
        type_only = tree.has_token(node, '"type"')
        for name, specifier in imported_names(tree, node):
            binding = self._declare(name, "import", specifier, statement=node)
            binding.type_only = type_only or tree.has_token(specifier, '"type"')
        for inner in range(node + 1, tree.stops[node]):
            if tree.types[inner] == "identifier":
                self.spoken_for.add(inner)

    def _import_alias(self, node: int) -> None:
        name = self.tree.child_of_type(node, "identifier")
        if name is not None:
            binding = self._declare(name, "import", node)
            binding.exempt |= self._exported(node)

    def _export(self, node: int) -> None:
        tree = self.tree
        self.has_modules = True
        self.scope_names[node] = self.scope.qualified
        elsewhere = tree.child(node, "source") is not None
        for child in tree.children(node):
            kind = tree.types[child]
            if kind == "namespace_export" or (
                kind == "identifier" and tree.has_token(node, '"namespace"')
            ):
                self._no_names(child)
            elif kind == "export_clause":
                for specifier in tree.children(child):
                    self._export_specifier(specifier, elsewhere)

    def _export_specifier(self, specifier: int, elsewhere: bool) -> None:
        tree = self.tree
        name, alias = tree.child(specifier, "name"), tree.child(specifier, "alias")
        if alias is not None:
            self.spoken_for.add(alias)
        if name is None or tree.types[name] != "identifier":
            return
        self.spoken_for.add(name)
        if not elsewhere:
            self._refer(name, BOTH)

    def _no_names(self, node: int) -> None:
        for inner in range(node, self.tree.stops[node]):
            if self.tree.types[inner] == "identifier":
                self.spoken_for.add(inner)

    # References

    def _refer(self, node: int, space: int = VALUE, **facts: object) -> Reference:
        reference = Reference(self.tree.source(node), node, self.scope, space, **facts)  # type: ignore[arg-type]
        self.scopes.events.append(reference)
        return reference

    def _identifier(self, node: int) -> None:
        if node not in self.spoken_for:
            self._refer(node)

    def _type_identifier(self, node: int) -> None:
        if node not in self.spoken_for:
            self._refer(node, TYPE)

    def _nested_type(self, node: int) -> None:
        """``A.B.C``: only the first name is looked up."""
        tree = self.tree
        name = tree.child(node, "name")
        if name is not None:
            self.spoken_for.add(name)
        first = node + 1
        while tree.types[first] == "nested_identifier":
            first += 1
        if tree.types[first] == "identifier" and first not in self.spoken_for:
            self.spoken_for.add(first)
            self._refer(first, BOTH)

    def _call(self, node: int) -> None:
        callee = node + 1
        if self.tree.types[callee] == "identifier" and self.tree.source(callee) == "eval":
            self.scope.dynamic = True

    def _targets(
        self, target: int, stored: tuple[int, int] | None, *, reads: bool = False
    ) -> None:
        """References that assign; only a plain name can store a value into itself."""
        tree = self.tree
        plain = tree.types[target] == "identifier"
        for name in pattern_names(tree, target):
            self.spoken_for.add(name)
            read = reads or self._beside_rest(name)
            self._refer(name, reads=read, writes=True, stored=stored if plain else None)

    def _assignment(self, node: int) -> None:
        tree = self.tree
        left, right = tree.child(node, "left"), tree.child(node, "right")
        if left is None:
            return
        stored = None
        if right is not None and tree.types[left] == "identifier" and self._is_statement(node):
            stored = (right, tree.stops[right])
        self._targets(left, stored)

    def _augmented(self, node: int) -> None:
        tree = self.tree
        left, right = tree.child(node, "left"), tree.child(node, "right")
        operator = tree.child(node, "operator")
        if left is None or tree.types[left] != "identifier":
            return
        self.spoken_for.add(left)
        alone = self._is_statement(node)
        updates = operator is None or tree.types[operator] not in _LOGICAL_UPDATES
        stored = (right, tree.stops[right]) if alone and right is not None else None
        self._refer(left, writes=True, idle=alone and updates, stored=stored)

    def _update(self, node: int) -> None:
        argument = self.tree.child(node, "argument")
        if argument is not None and self.tree.types[argument] == "identifier":
            self.spoken_for.add(argument)
            self._refer(argument, writes=True, idle=self._is_statement(node))

    def _is_statement(self, node: int) -> bool:
        """Whether the value of an expression goes nowhere."""
        tree = self.tree
        parent = tree.parents[node]
        while tree.types[parent] in ("sequence_expression", "parenthesized_expression"):
            if tree.types[parent] == "sequence_expression" and (
                tree.stops[node] != tree.stops[parent]
            ):
                return True
            node, parent = parent, tree.parents[parent]
        return parent != NO_PARENT and tree.types[parent] == "expression_statement"

    # Elements

    def _element(self, node: int) -> None:
        self.elements = True
        name = self.tree.child(node, "name")
        if name is not None and self.tree.types[name] == "identifier":
            initial = self.tree.source(name)[:1]
            if initial != initial.upper():
                self.spoken_for.add(name)

    def _closing_element(self, node: int) -> None:
        self._no_names(node)


def imported_names(tree: FlatTree, statement: int) -> Iterator[tuple[int, int]]:
    """Local names of an import statement with the node that introduces each."""
    for part in tree.children(statement):
        kind = tree.types[part]
        if kind == "import_require_clause":
            name = tree.child_of_type(part, "identifier")
            if name is not None:
                yield name, part
        elif kind == "import_clause":
            yield from _clause_names(tree, part)


def _clause_names(tree: FlatTree, clause: int) -> Iterator[tuple[int, int]]:
    for part in tree.children(clause):
        kind = tree.types[part]
        if kind == "identifier":
            yield part, part
        elif kind == "namespace_import":
            name = tree.child_of_type(part, "identifier")
            if name is not None:
                yield name, part
        elif kind == "named_imports":
            for specifier in tree.children(part):
                local = tree.child(specifier, "alias")
                if local is None:
                    local = tree.child(specifier, "name")
                if local is not None and tree.types[specifier] == "import_specifier":
                    yield local, specifier
