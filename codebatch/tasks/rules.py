"""What tasks can find: one `Rule` a code, from which all descriptions derive.

``RULES`` are those of the built-in tasks, and of tasks that fail. Other tasks declare theirs, and
the plan of a batch has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from codebatch.model.digest import Document

SYNTAX_ERROR = "E0001"
TASK_FAILED = "E0002"
TASK_CRASHED = "E0003"
TASK_TIMED_OUT = "E0004"
TASK_OUT_OF_MEMORY = "E0005"
UNUSED_SUPPRESSION = "L199"

# Codes of what is given up because it ends the process that tries, and of all that a task may
# fail with. Such a result says something about the task, and may be another one next time.
QUARANTINED = frozenset({TASK_CRASHED, TASK_TIMED_OUT, TASK_OUT_OF_MEMORY})
FAILURES = QUARANTINED | {TASK_FAILED}


@dataclass(frozen=True)
class Rule:
    """A rule: ``title`` in a few words, ``help`` in a sentence or two, ``link`` to read more.

    ``name`` is what a record carries as ``rule`` where no other tool found it, the code by default;
    ``severity`` is the usual one of its findings, which may have another.
    """

    code: str
    title: str
    help: str = ""
    link: str | None = None
    severity: str = "warning"
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.code)

    def as_document(self) -> Document:
        """Return the document that a plan has of the rule."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Rule:
        """Return the rule that `as_document` gave; TypeError where it is none."""
        rule = cls(**document)  # type: ignore[arg-type]  # looked at next
        words = (rule.code, rule.title, rule.help, rule.severity, rule.name)
        if not all(isinstance(word, str) for word in words):
            raise TypeError("a rule is of another form")
        if not isinstance(rule.link, str | None):
            raise TypeError("the link of a rule is of another form")
        return rule


_RULES = (
    Rule(
        SYNTAX_ERROR,
        "Syntax error",
        "The language rejects the file here. Nothing else is known about the file until it parses.",
        severity="error",
        name="syntax-error",
    ),
    Rule(
        TASK_FAILED,
        "A task failed on this file",
        "The analysis itself failed on this file, so its results are missing.",
        severity="error",
        name="task-failed",
    ),
    Rule(
        TASK_CRASHED,
        "A task crashed on this file",
        "The analysis ended its whole process on this file, so the file is quarantined.",
        severity="error",
        name="task-crashed",
    ),
    Rule(
        TASK_TIMED_OUT,
        "A task exceeded the time limit on this file",
        "The analysis took longer than the limit for one file, so the file is quarantined.",
        severity="error",
        name="task-timed-out",
    ),
    Rule(
        TASK_OUT_OF_MEMORY,
        "A task exceeded the memory limit on this file",
        "The analysis needed more memory than its process may use, so the file is quarantined.",
        severity="error",
        name="task-out-of-memory",
    ),
    Rule(
        "L001",
        "Trailing whitespace",
        "The line ends in white space, which nobody sees and every diff shows.",
        severity="info",
        name="trailing-whitespace",
    ),
    Rule(
        "L002",
        "Indentation mixes spaces and tabs",
        "Spaces stand before a tab in the indentation, so it looks different in every editor.",
        severity="info",
        name="mixed-indentation",
    ),
    Rule(
        "L003",
        "Line too long",
        "The line has more characters than the pipeline allows.",
        severity="info",
        name="line-too-long",
    ),
    Rule(
        "L004",
        "No newline at end of file",
        "The last line has no line end, so appending to the file changes that line as well.",
        severity="info",
        name="missing-final-newline",
    ),
    Rule(
        "L005",
        "Too many blank lines",
        "More blank lines follow each other than the pipeline allows.",
        severity="info",
        name="too-many-blank-lines",
    ),
    Rule(
        "L101",
        "Unused import",
        "The name is imported and never used in the file.",
        severity="warning",
        name="unused-import",
    ),
    Rule(
        "L102",
        "Unused variable",
        "A value is assigned to a local name that is never read.",
        severity="warning",
        name="unused-variable",
    ),
    Rule(
        "L103",
        "Shadowed name",
        "The name hides one of a scope around it or a builtin, so the code is easily misread.",
        severity="info",
        name="shadowing",
    ),
    Rule(
        UNUSED_SUPPRESSION,
        "Unused suppression",
        "A comment suppresses a rule that finds nothing there, so it would hide the next finding.",
        severity="warning",
        name="unused-suppression",
    ),
)

RULES: Mapping[str, Rule] = {rule.code: rule for rule in _RULES}
