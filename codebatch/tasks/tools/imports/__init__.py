"""Descriptions made of those of other programs: trunk's plugins, and hooks of pre-commit.

Both are texts of strangers: they are read as data, and nothing that they name is run. What no
description can say is left, with the reason.
"""

from __future__ import annotations

from codebatch.tasks.tools.imports.found import Imported, Left
from codebatch.tasks.tools.imports.precommit import PRECOMMIT_FILE, import_precommit
from codebatch.tasks.tools.imports.trunk import PLUGIN_FILE, import_trunk

__all__ = ["PLUGIN_FILE", "PRECOMMIT_FILE", "Imported", "Left", "import_precommit", "import_trunk"]
