"""The rules behind the findings of a batch: those of this package, and those that tasks declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codebatch.model.records import Plan, PlannedTask, Record
from codebatch.runtime.lazy import lazily
from codebatch.tasks.levels import with_levels
from codebatch.tasks.rules import FAILURES, RULES, SYNTAX_ERROR, Rule

with lazily():
    from codebatch.tasks.languages.python import ruff_rules

_LINT = "lint"
_BUILT_IN = ("parse", _LINT)


def rules_of(plan: Plan) -> dict[str, Rule]:
    """Return the rules by code; of one that several tasks declare, the first."""
    documents = [rule for task in plan.tasks for rule in task.rules]
    own = {str(rule["code"]): Rule.from_document(rule) for rule in reversed(documents)}
    return {**own, **RULES}


def rule_of(record: Record, rules: Mapping[str, Rule]) -> Rule:
    """Return the rule behind a finding; one that no task declares is known by its name alone."""
    code, name, severity = (str(record[field]) for field in ("code", "rule", "severity"))
    return rules.get(code) or Rule(code, name, severity=severity, name=name)


def looking_for(plan: Plan) -> Callable[[str], bool]:
    """Return what says of a code if its findings are looked for: some task has it among its rules,
    or is no built-in one and may have others than it declares, and it is not off.
    """
    finding = [task for task in plan.tasks if "diagnostic" in task.kinds]
    known = rules_of(plan)

    def has(task: PlannedTask, code: str) -> bool:
        if not with_levels([{"kind": "diagnostic", "code": code}], task.levels, ""):
            return False
        if task.task == _LINT and code in ruff_rules.own_codes(task.config):
            return True
        if any(rule["code"] == code for rule in task.rules):
            return True
        return task.task not in _BUILT_IN and code not in known

    always = FAILURES | {SYNTAX_ERROR}
    return lambda code: code in always or any(has(task, code) for task in finding)
