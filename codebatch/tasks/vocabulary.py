"""The closed sets of words that the built-in tasks record, each spelled once.

Front ends and tasks use these words, the record schemas list them, and filters refuse others.
"""

from __future__ import annotations

FILE_METRICS: dict[str, str] = {
    "bytes": "size of the file",
    "language": "the language's name, the one value that is no number",
    "lines": "all lines",
    "loc": "lines that are not blank",
    "sloc": "lines with code",
    "comment_lines": "lines with a comment and no code",
    "functions": "how many functions and methods there are",
    "classes": "how many classes there are",
    "imports": "how many imports there are",
    "complexity": "cyclomatic complexity: sum over functions and the module's own code",
    "max_complexity": "the largest cyclomatic complexity of any function",
    "cognitive_complexity": "sum of the cognitive complexity",
    "max_nesting": "deepest nesting of control structures",
}
FUNCTION_METRICS: dict[str, str] = {
    "function_complexity": "cyclomatic complexity of one function",
    "function_cognitive": "cognitive complexity of one function",
    "function_nesting": "nesting of one function",
}
METRICS = (*FILE_METRICS, *FUNCTION_METRICS)

SYMBOL_TYPES = (
    *("function", "method", "class", "variable", "parameter", "import", "export"),
    *("interface", "type", "enum", "namespace"),
)
EDGE_TYPES = ("imports", "exports", "inherits")
