"""One command of a tool over some files, from the description to what it said of each.

`ToolCommand` runs in a private folder in which there are those files, files of configuration that
the reader of the tree has allowed, and nothing else. It has no network, where the kernel allows
that; of the variables of the caller it has those that the description names.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from codebatch.model.records import CODE
from codebatch.model.unified import PatchMisfitError, diff_hunks
from codebatch.tasks.base import ToolCrashedError
from codebatch.tasks.findings import Finding
from codebatch.tasks.native_tool import ToolError, ToolRun, without_folder
from codebatch.tasks.tools.description import Description
from codebatch.tasks.tools.outputs import Said, UnreadableOutputError, read_findings
from codebatch.tasks.tools.outputs.changes import patches_of_diff
from codebatch.tasks.tools.outputs.sarif import path_of
from codebatch.tasks.tools.program import confined, program_of, variables_of
from codebatch.tasks.tools.selection import words_for

_TARGET, _ARGFILE, _DIR, _OUTPUT = "${target}", "${argfile}", "${dir}", "${output}"
_ARGUMENTS, _WRITTEN = "arguments", "written"
_STREAMS = {"stdout": "said", "both": "said", "stderr": "complaints"}
_MOST_ARGUMENT_BYTES = 100_000
_PLACE = re.compile(r"\$\{\w+\}")
# What a program in Python ends with that met an error of its own; its exit code is 1, as often
# where there are findings.
_TRACEBACK = re.compile(rb"^Traceback \(most recent call last\):", re.MULTILINE)
_NO_CODE = re.compile(r"[^A-Za-z0-9_.-]+")
_MOST_CODE = 64


class ToolFailedError(Exception):
    """A command did not do its work; the message shows it, and what it said."""


Answer = list["Finding | bytes"]  # findings, and the hunks of a change


def chunks_of(tool: Description, names: Sequence[str]) -> list[list[int]]:
    """Return the places of the files of each command, by the names of all."""
    in_words = any(_TARGET in word for word in tool.run)
    chunks: list[list[int]] = []
    size = 0
    for place, name in enumerate(names):
        length = len(os.fsencode(name)) + 3
        is_full = in_words and size + length > _MOST_ARGUMENT_BYTES
        if not chunks or is_full or len(chunks[-1]) >= tool.batch:
            chunks.append([])
            size = 0
        chunks[-1].append(place)
        size += length
    return chunks


class ToolCommand:
    """A command at work; `answers` waits for it, `cancel` ends it."""

    def __init__(
        self, tool: Description, files: Mapping[str, bytes], targets: Sequence[str]
    ) -> None:
        """Start a command among ``files`` for ``targets``, which are names of some of them."""
        self._tool = tool
        self._files = files
        self._targets = targets
        words = words_for(targets)
        listed = "".join(f"{word}\n" for word in words).encode("utf-8", "surrogateescape")
        for name in files:
            check_inside(name)
        _check_above(tool)
        try:
            self._run = ToolRun(
                program_of(tool),
                lambda folder: [*_expanded(tool.run[1:], words, folder)],
                files,
                variables_of(tool),
                confined(),
                {_ARGUMENTS: listed},
            )
        except ToolError as error:
            raise self._failed(str(error)) from error

    def answers(self) -> dict[str, Answer]:
        """Return what the tool said of each file, by name; `ToolFailedError` where it failed, and
        `ToolCrashedError` where it ended over one of the files, it seems.
        """
        wanted = self._tool.output.get("from", "stdout")
        name = _STREAMS.get(wanted, _WRITTEN)
        try:
            with self._run.output(self._tool.timeout, name) as stream:
                data = stream.read()
            if self._run.exit_code and _TRACEBACK.search(self._run.complaints()):
                said = f"exit code {self._run.exit_code}: {self._run.complaint()}"
                raise ToolError(f"{self._tool.program} failed with {said}")
            if wanted == "both":
                data += b"\n" + self._run.complaints()
            return self._read(data)
        except (ToolError, UnreadableOutputError, PatchMisfitError) as error:
            raise self._failed(str(error)) from error
        except ToolCrashedError as error:
            raise ToolCrashedError(str(self._failed(str(error))), error.rule) from error
        finally:
            self.cancel()

    def cancel(self) -> None:
        """End the command, and let go of its folder. May be called again."""
        self._run.cancel()

    def _failed(self, what: str) -> ToolFailedError:
        return ToolFailedError(f"{what}; the command: {shlex.join(self._tool.run)[:300]}")

    def _read(self, data: bytes) -> dict[str, Answer]:
        found: dict[str, Answer] = defaultdict(list)
        root = os.path.join(self._run.folder, "files")
        if self._tool.output["format"] == "rewrite":
            for name in self._targets:
                hunks = diff_hunks(self._files[name], self._content_of(name))
                found[name] += [hunks] if hunks else []
            return found
        if self._tool.output["format"] == "diff":
            for path, hunks in patches_of_diff(data):
                found[_name_of(path, root)].append(hunks)
            return found
        for said in read_findings(self._tool.output, data):
            finding = finding_of(self._tool, said, root)
            found[_name_of(said.path, root)].append(finding)
        return found

    def _content_of(self, name: str) -> bytes:
        """Return the bytes of a file now; no link is followed."""
        path = os.path.join(self._run.folder, "files", name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as stream:
                return stream.read()
        except OSError as error:
            raise ToolError(f"{name} is gone: {error.strerror}") from error


def _check_above(tool: Description) -> None:
    """Raise `ToolFailedError` where somebody else has put a file above the folders in which tools
    run that would configure this one: many look in all folders above.
    """
    above = os.path.realpath(tempfile.gettempdir())
    mine = (0, os.getuid())
    while True:
        for name in (*tool.direct_configs, *tool.code_configs):
            path = os.path.join(above, name)
            if os.path.lexists(path) and os.lstat(path).st_uid not in mine:
                raise ToolFailedError(f"{path} is of another user, and might configure the tool")
        if above == os.path.dirname(above):
            return
        above = os.path.dirname(above)


def check_inside(name: str) -> None:
    """Raise `ToolFailedError` for the name of a file that would not be in its folder."""
    if os.path.isabs(name) or not {"", ".", ".."}.isdisjoint(name.split("/")) or "\0" in name:
        raise ToolFailedError(f"{name!r} is no path of a file in a tree")


def finding_of(tool: Description, said: Said, root: str) -> Finding:
    """Return what a tool said as a finding; ``root`` is the folder in which it ran."""
    code = said.code or str(tool.output.get("code", tool.name))
    severity = severity_of(tool.severities, code, said.severity)
    message = without_folder(said.message, os.path.dirname(root)).strip() or code
    return Finding(max(said.line, 1), max(said.column, 1), code_of(code), code, severity, message)


def code_of(code: str) -> str:
    """Return a tool's name of a rule with what the codes of findings may be made of."""
    found = _NO_CODE.sub("-", code).strip("-.")[:_MOST_CODE]
    if not CODE.match(found):
        found = f"R{found}"[:_MOST_CODE]
    return found


def severity_of(severities: Mapping[str, str], code: str, word: str) -> str:
    """Return the severity for a code, or one that it begins with, or for the tool's own word."""
    if code in severities:
        return severities[code]
    starts = [key[:-1] for key in severities if key.endswith("*") and len(key) > 1]
    best = max((start for start in starts if code.startswith(start)), key=len, default=None)
    if best is not None:
        return severities[f"{best}*"]
    return severities.get(word) or severities.get("*", "warning")


def _name_of(path: str, root: str) -> str:
    """Return the name of a file that a tool has printed the path of; empty where it is none."""
    if not path:
        return ""
    if path.startswith("file:"):
        path = path_of(path)
    name = os.path.normpath(os.path.join(root, path))
    return name[len(root) + 1 :] if name.startswith(f"{root}/") else ""


def _expanded(words: Sequence[str], targets: Sequence[str], folder: str) -> Iterable[str]:
    """Yield the words of a command with what they stand for; names of files are what they are."""
    replaced = {
        _ARGFILE: f"{folder}/{_ARGUMENTS}",
        _DIR: f"{folder}/files",
        _OUTPUT: f"{folder}/{_WRITTEN}",
    }
    for word in words:
        if word == _TARGET:
            yield from targets
            continue
        yield _PLACE.sub(lambda found: replaced.get(found[0], found[0]), word)
