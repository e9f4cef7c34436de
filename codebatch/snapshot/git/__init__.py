"""Read what a git repository says of the files in it from its files, without git.

Git runs what a repository's own configuration names: remotes, helpers, filters, monitors. In a
tree that is not to be trusted it is therefore not started at all. What a snapshot has to know is
little and has stable formats: which files are tracked (`index`), what is ignored (`work_tree`, and
in a sparse checkout `objects`), and where the parts of a repository are (`repository`).

Nothing outside of the tree is read because something in the tree names it, but for a folder that
says on its part that it belongs to the tree: that of a linked worktree or of a submodule. Whose
the files of a tree are does not matter, as nothing in them is executed.
"""

from codebatch.snapshot.git.repository import GIT_FOLDER
from codebatch.snapshot.git.work_tree import Answer, GitReader, GitRules

__all__ = ["GIT_FOLDER", "Answer", "GitReader", "GitRules"]
