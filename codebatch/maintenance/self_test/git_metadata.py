"""What a ``.git`` can name: programs, remotes, files elsewhere."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence

from codebatch.maintenance.self_test.scene import (
    DONE,
    REFUSED,
    Content,
    Result,
    Vector,
    commands,
    folder,
    link,
    pipe,
)

Files = Mapping[str, Content]

_SKIP_WORKTREE = 0x4000
# Ignores what no vector may let be ignored.
_HIDING = "a.py\npkg\n"
_PROGRAM = "{tree}/program"
_ELSEWHERE = "elsewhere/repository/.git"


def repository(text: str = "", top: str = "tree/.git", *, version: int = 0) -> Files:
    """Return the files of a repository with this configuration, in which ``{program}`` names one
    that leaves a marker.
    """
    core = f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n"
    hooks = ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman")
    programs = {f"{top}/hooks/{name}": name for name in hooks} | {"tree/program": "program"}
    return {
        f"{top}/config": core + text.replace("{program}", _PROGRAM),
        f"{top}/HEAD": "ref: refs/heads/main\n",
        **{f"{top}/{name}": folder for name in ("objects/info", "objects/pack", "refs/heads")},
        f"{top}/info": folder,
        **{path: f"#!/bin/sh\n: > '{{root}}/markers/{name}'\n" for path, name in programs.items()},
    }


# A repository outside of the tree whose rules would hide files.
_FOREIGN: Files = {**repository(top=_ELSEWHERE), f"{_ELSEWHERE}/info/exclude": _HIDING}


def _index(*paths: str, flags: int = _SKIP_WORKTREE) -> bytes:
    """Return an index of version 3 with these paths; their objects are nowhere."""
    entries = b""
    for path in sorted(paths):
        name = path.encode()
        status = struct.pack(">10L", *(0,) * 6, 0o100644, 0, 0, 0)
        entry = status + b"\x11" * 20 + struct.pack(">HH", 0x4000 | len(name), flags) + name
        entries += entry + b"\0" * (8 - len(entry) % 8)
    data = struct.pack(">4sLL", b"DIRC", 3, len(paths)) + entries
    return data + hashlib.sha1(data, usedforsecurity=False).digest()


def _nothing_hidden(results: Sequence[Result]) -> Iterator[str]:
    """Yield a problem where files of the tree are skipped, as a file outside would have it."""
    for result in results:
        document = json.loads(result.output) if result.code == 0 else {"skipped": []}
        skipped = {file["path"] for file in document["skipped"]}
        if skipped & {"a.py", "pkg", "pkg/b.py"}:
            yield f"a file outside decided what is ignored: {sorted(skipped)}"


def _configured(text: str, *, version: int = 0) -> Files:
    """Return a repository with this configuration, and with an ignore file that is not in the
    work tree and has to be fetched.
    """
    return {
        **repository(text, version=version),
        "elsewhere/ignore": _HIDING,
        "tree/.gitattributes": "* filter=run diff=run merge=run\n",
        "tree/.git/index": _index(".gitignore", "pkg/.gitignore", "pkg/b.py"),
    }


_PROMISOR = (
    "[extensions]\n\tpartialClone = origin\n[core]\n\tsshCommand = {program}\n"
    '[remote "origin"]\n\tpromisor = true\n\tpartialclonefilter = blob:none\n'
)
_FETCHING = _PROMISOR + "\turl = ext::{program}\n"
_CONFIGURATIONS = {
    "core.fsmonitor": "[core]\n\tfsmonitor = {program}\n",
    "core.hooksPath": "[core]\n\thooksPath = hooks\n\tfsmonitor = true\n",
    "core.pager": "[core]\n\tpager = {program}\n\teditor = {program}\n",
    "filters": '[filter "run"]\n\tclean = {program}\n\tprocess = {program}\n',
    "diff.external": "[diff]\n\texternal = {program}\n",
    "credential.helper": "[credential]\n\thelper = !{program}\n",
    "alias": '[alias]\n\tls-files = "!{program}"\n',
    "core.excludesFile elsewhere": "[core]\n\texcludesFile = {root}/elsewhere/ignore\n",
    "core.excludesFile above": "[core]\n\texcludesFile = ../elsewhere/ignore\n",
    "core.attributesFile": "[core]\n\tattributesFile = {root}/elsewhere/ignore\n",
    "core.worktree": "[core]\n\tworktree = {root}/elsewhere/ignore/..\n",
    "an endless include": "[include]\n\tpath = config\n",
}
_REMOTES = {
    "ext::": "\turl = ext::{program}\n",
    "uploadpack": "\turl = .\n\tuploadpack = {program}\n",
    "ssh": "\turl = ssh://localhost/x\n",
    "vcs": "\turl = x\n\tvcs = {program}\n",
}
_LINKED = {
    "tree/.git": _ELSEWHERE,
    "tree/.git/info": f"{_ELSEWHERE}/info",
    "tree/.git/info/exclude": f"{_ELSEWHERE}/info/exclude",
    "tree/.git/objects": "outside",
    "tree/.gitignore": f"{_ELSEWHERE}/info/exclude",
    "tree/.codebatchignore": f"{_ELSEWHERE}/info/exclude",
    "tree/.git/config": "outside/canary.py",
    "tree/.git/HEAD": "outside/canary.py",
    "tree/.git/index": "outside/canary.py",
}
_GIT: dict[str, Files] = {
    **{name: _configured(text) for name, text in _CONFIGURATIONS.items()},
    **{
        f"a promisor remote: {name}": _configured(_PROMISOR + remote, version=1)
        for name, remote in _REMOTES.items()
    },
    "a .git file names a repository elsewhere": {
        **_FOREIGN,
        "tree/.git": f"gitdir: {{root}}/{_ELSEWHERE}\n",
    },
    "a .git file leads up": {
        **_FOREIGN,
        "tree/pkg/.git": f"gitdir: ../../{_ELSEWHERE}\n",
        "tree/.git": f"gitdir: pkg/../../{_ELSEWHERE}\n",
    },
    # The folder is a linked worktree's, but not this one's.
    "a .git file names another worktree": {
        **_FOREIGN,
        f"{_ELSEWHERE}/worktrees/w/HEAD": "ref: refs/heads/main\n",
        f"{_ELSEWHERE}/worktrees/w/commondir": "../..\n",
        f"{_ELSEWHERE}/worktrees/w/gitdir": "/nowhere/else/.git\n",
        "tree/.git": f"gitdir: {{root}}/{_ELSEWHERE}/worktrees/w\n",
    },
    "commondir leads elsewhere": {
        **repository(),
        **_FOREIGN,
        "tree/.git/commondir": f"{{root}}/{_ELSEWHERE}\n",
    },
    # The ignore file that is not in the work tree is in another repository's objects.
    "objects are borrowed": {
        **repository("[core]\n\tsparseCheckout = true\n"),
        **_FOREIGN,
        "tree/.git/objects/info/alternates": f"{{root}}/{_ELSEWHERE}/objects\n",
        "tree/.git/index": _index(".gitignore"),
        f"{_ELSEWHERE}/objects/11/{'11' * 19}": b"blob",
    },
    "a bare repository with a work tree": {
        **repository(
            "[core]\n\tbare = true\n\tworktree = ..\n\tfsmonitor = {program}\n" + _FETCHING,
            top="tree/pkg/bare.git",
        ),
        "tree/pkg/bare.git/info/exclude": _HIDING,
        "tree/pkg/bare.git/index": _index(".gitignore"),
    },
    "the tree is a bare repository": {
        **repository("[core]\n\tworktree = {outside}\n\tfsmonitor = {program}\n", top="tree"),
        "tree/index": _index("canary.py", flags=0),
    },
    "a nested repository with a promisor remote": {
        **repository(),
        **repository(_FETCHING, top="tree/pkg/.git", version=1),
        "tree/pkg/.git/index": _index(".gitignore"),
    },
    **{
        f"{path} is a link": {**repository(), **_FOREIGN, path: link(target)}
        for path, target in _LINKED.items()
    },
}

_SNAPSHOT = commands("snapshot {tree} --no-cache --json", codes=DONE)


class _Committed:
    """The loose objects of a repository that are made one by one."""

    def __init__(self, top: str) -> None:
        self.files: dict[str, Content] = {}
        self._top = top

    def add(self, kind: str, data: bytes) -> bytes:
        """Add an object; return its name."""
        whole = f"{kind} {len(data)}\0".encode() + data
        name = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        self.files[f"{self._top}/objects/{name[:2]}/{name[2:]}"] = zlib.compress(whole)
        return bytes.fromhex(name)


def _committed(text: str, top: str = "tree/.git", *, objects: str = "", version: int = 0) -> Files:
    """Return a repository with a commit of files that would be filtered, of a link that leads out
    of the tree, and of names that lead out of it or into ``.git``; its objects may lie elsewhere.
    """
    made = _Committed(objects or top)
    entries = [
        (b"100644", b"..", b"up"),
        (b"100644", b"../../outside/canary.py", b"up"),
        (b"100644", b".git", b"gitdir: elsewhere"),
        (b"100644", b".gitattributes", b"*.c filter=run diff=run\n"),
        (b"100644", b"/outside/canary.py", b"up"),
        (b"100644", b"a.py", b"import os\n"),
        (b"100644", b"b.c", b"int b;\n"),
        (b"120000", b"link", b"../outside/canary.py"),
    ]
    listed = [mode + b" " + name + b"\0" + made.add("blob", data) for mode, name, data in entries]
    tree = made.add("tree", b"".join(listed)).hex()
    who = "a <a@a> 1 +0000"
    message = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nsubject\n"
    head = made.add("commit", message.encode()).hex()
    return {
        **repository(text, top, version=version),
        **made.files,
        f"{top}/refs/heads/main": f"{head}\n",
        f"{top}/index": _index("../outside/canary.py", ".git/config", "b.c", flags=0),
        "tree/.gitattributes": "* filter=run diff=run merge=run\n",
    }


_REVISIONS = commands(
    "snapshot {tree} --rev HEAD --json", "snapshot {tree} --staged --json", codes=DONE | REFUSED
)
_KNOWN = "store/indexes/git"
_ALL_PROGRAMS = "".join(_CONFIGURATIONS[name] for name in list(_CONFIGURATIONS)[:7])
_BY_REVISION: dict[str, Files] = {
    "a revision where all programs are named": _committed(_ALL_PROGRAMS),
    "a revision whose objects are to be fetched": _committed(
        _FETCHING, objects="elsewhere", version=1
    ),
    "a revision whose objects are borrowed": {
        **_committed("", objects=f"{_ELSEWHERE}"),
        "tree/.git/objects/info/alternates": f"{{root}}/{_ELSEWHERE}/objects\n",
    },
    "what is known of revisions is a link": {**_committed(""), _KNOWN: link("outside")},
    "what is known of revisions is a pipe": {**_committed(""), _KNOWN: pipe},
    "refs and shallow commits are pipes": {
        **_committed(""),
        **{f"tree/.git/{name}": pipe for name in ("packed-refs", "shallow", "refs/heads/main")},
    },
    "a revision of a bare repository": _committed(
        "[core]\n\tbare = true\n\tworktree = {outside}\n\tfsmonitor = {program}\n", top="tree"
    ),
}


def _nothing_from_outside(results: Sequence[Result]) -> Iterator[str]:
    """Yield a problem where a snapshot has more files than there are for sure."""
    for result in results:
        if result.code == 0 and json.loads(result.output)["file_count"] > len(_SURE):
            yield "a name that leads elsewhere, or what a filter writes, was taken"


_SURE = (".gitattributes", "a.py", "link")

GIT = tuple(
    Vector("git", name, files, _SNAPSHOT, check=_nothing_hidden) for name, files in _GIT.items()
) + tuple(
    Vector("git", name, files, _REVISIONS, check=_nothing_from_outside)
    for name, files in _BY_REVISION.items()
)
