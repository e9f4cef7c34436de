"""CodeBatch: content-addressed batch execution for codebases.

The Python face is `codebatch.api`; its names are reachable from here and imported on first use.
"""

import importlib

from codebatch.model.version import __version__

TYPE_CHECKING = False  # ``python -m codebatch`` would look for `typing` in the current folder

if TYPE_CHECKING:
    from codebatch.api import (
        Batch,
        Snapshot,
        Store,
        find_store,
        open_store,
        pipelines,
        scan,
    )
    from codebatch.batch import RunReport
    from codebatch.model.errors import CodeBatchError
    from codebatch.status.progress import RunProgress, TaskProgress

__all__ = [
    "Batch",
    "CodeBatchError",
    "RunProgress",
    "RunReport",
    "Snapshot",
    "Store",
    "TaskProgress",
    "__version__",
    "find_store",
    "open_store",
    "pipelines",
    "scan",
]

_HOMES = {
    "CodeBatchError": "codebatch.model.errors",
    "RunProgress": "codebatch.status.progress",
    "RunReport": "codebatch.batch",
    "TaskProgress": "codebatch.status.progress",
}


def __getattr__(name: str) -> object:
    """Import a public name from where it is defined."""
    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "codebatch.api")), name)
    raise AttributeError(f"module 'codebatch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
