"""Which Python accepts a file that this one rejects. Ruff's parser knows what came with which."""

from __future__ import annotations

import re
import sys

from codebatch.tasks.base import ToolCrashedError
from codebatch.tasks.languages.python.ruff import faults_in_oldest
from codebatch.tasks.rules import TASK_CRASHED

_ADDED = re.compile(r"on Python 3\.\d+ \(syntax was added in Python 3\.(\d+)\)")


def needed_python(content: bytes) -> str | None:
    """Return the version (``3.12``) that a file needs, if it needs one newer than this Python and
    is faultless there.
    """
    newest = 0
    try:
        for message in faults_in_oldest(content):
            added = _ADDED.search(message)
            if added is None:
                return None
            newest = max(newest, int(added[1]))
    except ToolCrashedError as error:
        # By limits that are stated, so everywhere: what nests too deep for it stays a fault.
        if error.rule != TASK_CRASHED:
            raise
        return None
    return f"3.{newest}" if newest > sys.version_info.minor else None
