"""The rules behind the findings of a batch: those of this package, and those that tasks declare."""

from __future__ import annotations

from collections.abc import Mapping

from codebatch.model.records import Plan, Record
from codebatch.tasks.rules import RULES, Rule


def rules_of(plan: Plan) -> dict[str, Rule]:
    """Return the rules by code; of one that several tasks declare, the first."""
    documents = [rule for task in plan.tasks for rule in task.rules]
    own = {str(rule["code"]): Rule.from_document(rule) for rule in reversed(documents)}
    return {**own, **RULES}


def rule_of(record: Record, rules: Mapping[str, Rule]) -> Rule:
    """Return the rule behind a finding; one that no task declares is known by its name alone."""
    code, name, severity = (str(record[field]) for field in ("code", "rule", "severity"))
    return rules.get(code) or Rule(code, name, severity=severity, name=name)
