"""The Python front end, made with the standard library's `ast`; semantic lint is `ruff`'s."""

from codebatch.tasks.languages.python.frontend import PythonFrontend

FRONTEND = PythonFrontend()

__all__ = ["FRONTEND"]
