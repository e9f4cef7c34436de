"""The code of users' tasks: what it consists of, how it is loaded, and how it travels."""

from codebatch.tasks.code.carry import adopt, be_told, carry, known_task
from codebatch.tasks.code.describe import describe_task
from codebatch.tasks.code.document import Code
from codebatch.tasks.code.load import load_object
from codebatch.tasks.code.modules import remember_loaded

__all__ = [
    "Code",
    "adopt",
    "be_told",
    "carry",
    "describe",
    "describe_task",
    "known_task",
    "load_object",
    "remember_loaded",
]


def describe(task: object) -> Code:
    """Return the code of a task; `TaskCodeError` names what of it cannot be covered."""
    return describe_task(task).code
