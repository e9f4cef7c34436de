"""Installs the faults of `faults` in a process that has this folder on its path."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults

faults.install_from_environment()
sys.path.pop(0)

from codebatch.processes import pool  # noqa: E402 - the faults come first

if "sitecustomize" not in pool._BOOT:  # an isolated Python imports none on its own
    pool._BOOT = pool._BOOT.replace("; from", "; import sitecustomize; from")
