"""Programs as tasks: what a description says is done here, for any tool.

Importing this reads no description.
"""

from __future__ import annotations

from codebatch.tasks.tools.catalogue import find_tool, load_tool, make_tool, tool_names

__all__ = ["find_tool", "load_tool", "make_tool", "tool_names"]
