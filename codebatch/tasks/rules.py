"""What the built-in tasks can find: one row a code, from which all descriptions derive.

``name`` is what a record carries as ``rule`` where no other tool found it; ``severity`` holds
unless the pipeline says otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

SYNTAX_ERROR = "E0001"
TASK_FAILED = "E0002"
TASK_CRASHED = "E0003"
TASK_TIMED_OUT = "E0004"
TASK_OUT_OF_MEMORY = "E0005"

# Codes of what is given up because it ends the process that tries, and of all that a task may
# fail with. Such a result says something about the task, and may be another one next time.
QUARANTINED = frozenset({TASK_CRASHED, TASK_TIMED_OUT, TASK_OUT_OF_MEMORY})
FAILURES = QUARANTINED | {TASK_FAILED}


class Rule(NamedTuple):
    """A rule: ``summary`` in a few words, ``description`` in a sentence or two."""

    name: str
    severity: str
    summary: str
    description: str


RULES = {
    SYNTAX_ERROR: Rule(
        "syntax-error",
        "error",
        "Syntax error",
        "The language rejects the file here. Nothing else is known about the file until it parses.",
    ),
    TASK_FAILED: Rule(
        "task-failed",
        "error",
        "A task failed on this file",
        "The analysis itself failed on this file, so its results are missing.",
    ),
    TASK_CRASHED: Rule(
        "task-crashed",
        "error",
        "A task crashed on this file",
        "The analysis ended its whole process on this file, so the file is quarantined.",
    ),
    TASK_TIMED_OUT: Rule(
        "task-timed-out",
        "error",
        "A task exceeded the time limit on this file",
        "The analysis took longer than the limit for one file, so the file is quarantined.",
    ),
    TASK_OUT_OF_MEMORY: Rule(
        "task-out-of-memory",
        "error",
        "A task exceeded the memory limit on this file",
        "The analysis needed more memory than its process may use, so the file is quarantined.",
    ),
    "L001": Rule(
        "trailing-whitespace",
        "info",
        "Trailing whitespace",
        "The line ends in white space, which nobody sees and every diff shows.",
    ),
    "L002": Rule(
        "mixed-indentation",
        "info",
        "Indentation mixes spaces and tabs",
        "Spaces stand before a tab in the indentation, so it looks different in every editor.",
    ),
    "L003": Rule(
        "line-too-long",
        "info",
        "Line too long",
        "The line has more characters than the pipeline allows.",
    ),
    "L004": Rule(
        "missing-final-newline",
        "info",
        "No newline at end of file",
        "The last line has no line end, so appending to the file changes that line as well.",
    ),
    "L005": Rule(
        "too-many-blank-lines",
        "info",
        "Too many blank lines",
        "More blank lines follow each other than the pipeline allows.",
    ),
    "L101": Rule(
        "unused-import",
        "warning",
        "Unused import",
        "The name is imported and never used in the file.",
    ),
    "L102": Rule(
        "unused-variable",
        "warning",
        "Unused variable",
        "A value is assigned to a local name that is never read.",
    ),
    "L103": Rule(
        "shadowing",
        "info",
        "Shadowed name",
        "The name hides one of a scope around it or a builtin, so the code is easily misread.",
    ),
}
