"""Where source trees come from: a directory, walked in a stable order."""

from codebatch.sources.walk import SourceEntry, TreeWalk, unreadable

__all__ = ["SourceEntry", "TreeWalk", "unreadable"]
