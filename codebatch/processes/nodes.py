"""Run nodes of batch tasks in child processes: what ends one there is a failure of the task.

A node is run again in a fresh child before that is believed: what was in the first one beside it,
or another process, may have been to blame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codebatch.model.errors import CodeBatchError, WorkerLostError
from codebatch.model.records import FAILED
from codebatch.processes.isolation import code_of_end
from codebatch.processes.pool import ChildEndedError, Children
from codebatch.reduction.messages import NodeCall, NodeReceipt
from codebatch.reduction.run import fail_node
from codebatch.tasks.rules import RULES, TASK_OUT_OF_MEMORY


def run_node_guarded(call: NodeCall, children: Children) -> NodeReceipt:
    """Run a node in a child; a task that ends it twice has failed."""
    try:
        answer, code = _ask(children, call, fresh=False)
        if answer is None:
            children.check_wanted()
            answer, code = _ask(children, call, fresh=True)
        if answer is not None:
            return answer
        children.check_wanted()
        return fail_node(call, code, f"it ended its process ({RULES[code].name})")
    except CodeBatchError as error:
        return NodeReceipt(call.node, call.call.attempt, FAILED, error=error.in_short())
    except OSError as error:  # no more processes or descriptors: elsewhere, or later, there are
        lost = WorkerLostError(f"no worker process: {error}")
        return NodeReceipt(call.node, call.call.attempt, FAILED, error=lost.in_short())


def _ask(children: Children, call: NodeCall, *, fresh: bool) -> tuple[NodeReceipt | None, str]:
    """Return the receipt of a child, else what the end of the child stands for."""
    message = {"node": call, "limits": call.call.limits}
    try:
        if fresh:
            child = children.start()
            try:
                child.send(message)
                return _receipt_in(child.receive())
            finally:
                children.drop(child)
        with children.borrow() as child:
            child.send(message)
            found = _receipt_in(child.receive())
            if found[0] is None:
                raise ChildEndedError(0)
            return found
    except ChildEndedError as end:
        return None, TASK_OUT_OF_MEMORY if end.status == 0 else code_of_end(end.status)


def _receipt_in(answer: Mapping[str, Any]) -> tuple[NodeReceipt | None, str]:
    if "node" not in answer:
        return None, TASK_OUT_OF_MEMORY
    return NodeReceipt.from_wire(answer["node"]), ""
