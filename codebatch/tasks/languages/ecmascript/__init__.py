"""JavaScript, JSX, TypeScript, TSX: trees through tree-sitter, syntax and names by oxlint."""
