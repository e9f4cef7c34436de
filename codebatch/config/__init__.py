"""Configuration files: what a project says once, instead of on every command line.

`load_config` finds one and gives a `Config`. A file that nobody named is as untrusted as the tree
that it is in: it steers what is looked at and how findings are judged, and runs nothing.
"""

from __future__ import annotations

from codebatch.config.config import Config, load_config
from codebatch.config.files import CONFIG_VARIABLE
from codebatch.config.keys import KEYS, Key

__all__ = ["CONFIG_VARIABLE", "KEYS", "Config", "Key", "load_config"]
