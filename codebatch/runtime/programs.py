"""Safe programs and imports, in any current folder.

Nothing is imported from the current folder, which may be a stranger's tree, unless codebatch
itself is: neither here, when a module is imported late, nor in a process that is started here.
A program is looked for in absolute folders only. This module imports nothing that is not there
when Python has started: it is loaded before the path is safe.
"""

import os
import sys

_OURS = os.path.realpath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 2))


def leave_current_folder() -> None:
    """Import nothing from the current folder any more."""
    sys.path[:] = import_path()


def import_path() -> list[str]:
    """Return the path to import from, without what is relative and without the current folder."""
    unsafe = {_current_folder()} - {_OURS}
    return [
        place
        for place in sys.path
        if isinstance(place, str)
        if os.path.isabs(place) and os.path.realpath(place) not in unsafe
    ]


def python_command(code: str, *arguments: str) -> list[str]:
    """Return the command line that runs code in this Python, isolated.

    The code finds the arguments in ``sys.argv[1:]``. No variable of the environment steers that
    Python, and nothing of the user or the current folder is on its path; before it imports
    anything it has to be told the path.
    """
    options = ["-I", "-X", f"utf8={sys.flags.utf8_mode}"]
    if sys.dont_write_bytecode:
        options.append("-B")
    if sys.pycache_prefix:
        options += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    return [sys.executable, *options, "-c", code, *arguments]


def find_program(name: str, tree: str | None = None) -> str | None:
    """Return the path of a program; None where no absolute folder of `PATH` has it, or only one
    in the current folder or below ``tree``.
    """
    outside = [_current_folder(), os.path.realpath(tree) if tree is not None else None]
    tops = tuple(os.path.join(top, "") for top in outside if top is not None)
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if os.path.isabs(folder):
            place = os.path.realpath(os.path.join(folder, name))
            if place.startswith(tops):
                continue
            if os.path.isfile(place) and os.access(place, os.X_OK):
                return os.path.join(folder, name)
    return None


def _current_folder() -> str | None:
    try:
        return os.path.realpath(os.getcwd())
    except OSError:  # it was removed
        return None
