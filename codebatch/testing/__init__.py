r"""Run tasks on a text or a file, without a store: for tests of your own tasks.

>>> from codebatch.testing import run_task
>>> run_task("lint", "import os\n")
"""

from codebatch.testing.run import run_task

__all__ = ["run_task"]
