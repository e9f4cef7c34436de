"""CodeBatch: content-addressed batch execution for codebases.

The Python face is `codebatch.api`; its names are reachable from here and imported on first use.
"""

import importlib

from codebatch.model.version import __version__

TYPE_CHECKING = False  # ``python -m codebatch`` would look for `typing` in the current folder

if TYPE_CHECKING:
    from codebatch.api import (
        Batch,
        ScanResult,
        ScanUpdate,
        Snapshot,
        Store,
        check_pipeline,
        diagnose,
        draw_pipeline,
        find_store,
        import_tools,
        list_tasks,
        new_task,
        open_damaged_store,
        open_store,
        pipeline,
        pipelines,
        scan,
        try_vectors,
        watch,
    )
    from codebatch.api.handle import RunHandle
    from codebatch.api.results import UnfinishedBatchWarning
    from codebatch.batch import RunInterrupted, RunReport
    from codebatch.config import Config, load_config
    from codebatch.model.errors import CodeBatchError
    from codebatch.status.progress import RunProgress, TaskProgress
    from codebatch.tasks.base import Task
    from codebatch.tasks.decorator import task
    from codebatch.tasks.file import File
    from codebatch.tasks.languages.tree import SyntaxNode, SyntaxTree
    from codebatch.tasks.records import Artifact, Diagnostic, Edge, Metric, Patch, Skip, Symbol
    from codebatch.tasks.rules import Rule
    from codebatch.tasks.tools.catalogue import tool
    from codebatch.tasks.tools.listing import tools
    from codebatch.testing.certify import certify

__all__ = [
    "Artifact",
    "Batch",
    "CodeBatchError",
    "Config",
    "Diagnostic",
    "Edge",
    "File",
    "Metric",
    "Patch",
    "Rule",
    "RunHandle",
    "RunInterrupted",
    "RunProgress",
    "RunReport",
    "ScanResult",
    "ScanUpdate",
    "Skip",
    "Snapshot",
    "Store",
    "Symbol",
    "SyntaxNode",
    "SyntaxTree",
    "Task",
    "TaskProgress",
    "UnfinishedBatchWarning",
    "__version__",
    "certify",
    "check_pipeline",
    "diagnose",
    "draw_pipeline",
    "find_store",
    "import_tools",
    "list_tasks",
    "load_config",
    "new_task",
    "open_damaged_store",
    "open_store",
    "pipeline",
    "pipelines",
    "scan",
    "task",
    "tool",
    "tools",
    "try_vectors",
    "watch",
]

_HOMES = {
    "Artifact": "codebatch.tasks.records",
    "CodeBatchError": "codebatch.model.errors",
    "Config": "codebatch.config",
    "Diagnostic": "codebatch.tasks.records",
    "Edge": "codebatch.tasks.records",
    "File": "codebatch.tasks.file",
    "Metric": "codebatch.tasks.records",
    "Patch": "codebatch.tasks.records",
    "Rule": "codebatch.tasks.rules",
    "RunHandle": "codebatch.api.handle",
    "RunInterrupted": "codebatch.batch",
    "RunProgress": "codebatch.status.progress",
    "RunReport": "codebatch.batch",
    "Skip": "codebatch.tasks.records",
    "Symbol": "codebatch.tasks.records",
    "SyntaxNode": "codebatch.tasks.languages.tree",
    "SyntaxTree": "codebatch.tasks.languages.tree",
    "Task": "codebatch.tasks.base",
    "TaskProgress": "codebatch.status.progress",
    "UnfinishedBatchWarning": "codebatch.api.results",
    "certify": "codebatch.testing.certify",
    "load_config": "codebatch.config",
    "task": "codebatch.tasks.decorator",
    "tool": "codebatch.tasks.tools.catalogue",
    "tools": "codebatch.tasks.tools.listing",
}


def __getattr__(name: str) -> object:
    """Import a public name from where it is defined."""
    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "codebatch.api")), name)
    raise AttributeError(f"module 'codebatch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
