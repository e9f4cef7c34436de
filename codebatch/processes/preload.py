"""Importing this module loads all that a worker will need: what it is forked from pays once."""

from __future__ import annotations

import gc

import codebatch.shard.run  # noqa: F401 - to have it loaded
from codebatch.tasks.registry import built_in_tasks
from codebatch.tasks.source import SourceFile

_SAMPLES = (("python", b"x = 1\n"), ("javascript", b"x;\n"), ("typescript", b"x;\n"))

for task in built_in_tasks():
    task.toolchain()
for language, content in _SAMPLES:
    SourceFile(content, language).parsed  # noqa: B018 - loads the parser
# The workers share these pages: a collection in one must not look at, and so copy, them.
gc.freeze()
