"""JavaScript, JSX, TypeScript, TSX: trees through tree-sitter, the verdict and names by oxlint."""
