"""What oxlint says about JavaScript and TypeScript, by one process over many files.

oxlint reads with the parser of oxc, which follows the releases of both languages, and knows a file
by its content and its extension. Every source is copied under a name that says its role and
nothing else. Only our configuration is read, and the copies are named one by one: those found in
a folder would be subject to the ignore files of the folders around it. What comes back depends on
content, role, rules, and oxlint's version and limits alone; one file that is broken, or empty,
does not change what is said of another.

Chosen with oxlint 1.89 over `oxc-python` 0.1.1, which parses in the process itself, so that a file
that nests too deep ends it, gives errors no place and does not know those that need scopes
(a name declared twice, ``break`` outside of a loop).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from codebatch.runtime.lazy import lazily
from codebatch.tasks.languages.base import Source
from codebatch.tasks.native_tool import NativeTool, ToolError, ToolRun

with lazily():
    from codebatch.tasks.languages.ecmascript import readings

# It ends with 1 where it has found an error in a file.
OXLINT = NativeTool("oxlint", ends_well=(0, 1))

LANGUAGES = frozenset(("javascript", "jsx", "typescript", "tsx"))

_CONFIGURATION = "oxlint.json"
_ARGUMENTS = (
    *("--config", _CONFIGURATION, "--disable-nested-config", "--no-ignore"),
    *("--threads", "1", "--format", "json"),
)
# The extension for a language and the goal of a script, then those that are tried where a file
# cannot be read under it: bundlers take a file for a module or a script, whichever it can be.
_EXTENSIONS = {
    ("javascript", "module"): ("mjs",),
    ("javascript", "commonjs"): ("cjs", "mjs"),
    ("javascript", "any"): ("js", "mjs", "cjs"),
    ("jsx", "any"): ("jsx", "mjs", "cjs"),
    ("typescript", "module"): ("mts",),
    ("typescript", "commonjs"): ("cts", "mts"),
    ("typescript", "any"): ("ts", "mts", "cts"),
    ("typescript", "declaration"): ("d.ts",),
}
_FLOW = "@flow"
_RULE = re.compile(r"\w+\(\D.*\)")
_NUMBERED = re.compile(r"TS\((\d+)\)")
# Numbers of what TypeScript's parser reports: a property access on type arguments, a binary file.
_OF_PARSER = frozenset(("1477", "1490"))
# Of TSX without an import or export: oxc reads it as a script, TypeScript takes it for either.
_AS_MODULE = "\nexport {};"
# ECMAScript knows nothing of these, in the names and the braces of elements.
_ALLOWED_IN_JAVASCRIPT = frozenset(("TS(18007)", "Identifiers in JSX cannot contain hyphens"))


# A text, and the extension under which it is read.
_Copy = tuple[str, str]


class Remark(NamedTuple):
    """Something said of a file at an offset in bytes of its text in UTF-8.

    ``code`` is ``eslint(NAME)`` for a rule, ``TS(NUMBER)`` for an error that has this number in
    TypeScript, and empty for any other error. ``end`` is where what it is said of ends.
    """

    offset: int
    end: int
    code: str
    message: str

    def is_error(self, language: str) -> bool:
        """Return true for what the language rejects.

        Errors with numbers are what TypeScript's checker says: its parser reads such a file, and
        where libraries are not checked, it is never reported. So they count in JavaScript only.
        """
        if _RULE.fullmatch(self.code):
            return False
        if language in ("typescript", "tsx"):
            number = _NUMBERED.fullmatch(self.code)
            return number is None or number[1] in _OF_PARSER
        return _ALLOWED_IN_JAVASCRIPT.isdisjoint((self.code, self.message))


class OxlintRun:
    """oxlint at work on some files. Whoever starts one asks for its remarks, or cancels it.

    State: ``_run`` is None where there is nothing to do. The files know which run is to say what
    is wrong with them (`run_on`), unless that failed. ``_answer`` is what was said, or the error;
    with it the run lets go of the files.
    """

    def __init__(self, sources: Sequence[Source], rules: Mapping[str, object]) -> None:
        """Start it with ``rules``, by their names as oxlint is configured with them."""
        self._sources = sources
        self._rules = rules
        self._answer: list[list[Remark]] | Exception | None = None
        first = [(source.text, _extensions(source)[0]) for source in sources]
        self._run = self._start(first) if first else None
        for place, source in enumerate(sources):
            if not rules or _FLOW not in source.text:
                source.runs[OXLINT.name] = (self, place)

    def remarks(self) -> list[list[Remark]]:
        """Return what is said of each file, in the files' order, sorted by place."""
        if self._answer is None:
            try:
                remarks = self._said(len(self._sources))
                rejected = [i for i, said in enumerate(remarks) if _rejects(said, self._sources[i])]
                self._try_again(remarks, rejected)
                self._answer = remarks
            except Exception as error:
                self._answer = error
                self._forget()
                raise
            finally:
                self.cancel()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def _try_again(self, remarks: list[list[Remark]], rejected: Sequence[int]) -> None:
        """Have rejected files read as what else they may be; the first that is accepted counts.

        Where the text had to be another one, what is said besides is at other places.
        """
        copies = [(i, copy) for i in rejected for copy in _other_readings(self._sources[i])]
        if not copies:
            return
        if self._run is not None:
            self._run.cancel()
        self._run = self._start([copy for _, copy in copies])
        for (i, (text, _)), said in zip(copies, self._said(len(copies)), strict=True):
            source = self._sources[i]
            if _rejects(remarks[i], source) and not _rejects(said, source):
                remarks[i] = said if text == source.text else []

    def cancel(self) -> None:
        """End oxlint, if it has not ended, and let go of the files."""
        if self._answer is None:
            self._answer = ToolError("oxlint was ended before it had said all")
            self._forget()
        self._sources = ()
        if self._run is not None:
            self._run.cancel()

    def _forget(self) -> None:
        """Take the run from the files, so that no other task asks it."""
        for source in self._sources:
            source.runs.pop(OXLINT.name, None)

    def _start(self, copies: Sequence[_Copy]) -> ToolRun:
        files = {
            f"{number}.{extension}": self._content(text)
            for number, (text, extension) in enumerate(copies)
        }
        arguments = [*_ARGUMENTS, *files]
        categories = {"correctness": "off"}
        configuration = {"plugins": ["typescript"], "categories": categories, "rules": self._rules}
        files[_CONFIGURATION] = json.dumps(configuration).encode()
        return ToolRun(OXLINT, arguments, files)

    def _content(self, text: str) -> bytes:
        """Return a text as oxlint is to see it.

        It says nothing of errors in JavaScript that has ``@flow`` in a comment, wherever that
        stands. The other spelling may name another decorator, so names are looked for without it.
        """
        return (text if self._rules else text.replace(_FLOW, _FLOW.upper())).encode()

    def _said(self, count: int) -> list[list[Remark]]:
        """Return what is said of each copy."""
        remarks: list[list[Remark]] = [[] for _ in range(count)]
        if self._run is None:
            return remarks
        try:
            with self._run.output() as output:
                said = json.load(output)
            for item in said["diagnostics"]:
                remarks[int(item["filename"].partition(".")[0])].append(_remark(item))
            complete = said["number_of_files"] == count
        except (ValueError, LookupError, TypeError) as error:
            raise ToolError(f"oxlint cannot be understood: {error}") from error
        if not complete:
            raise ToolError("oxlint did not look at every file")
        for found in remarks:
            found.sort()
        return remarks


def run_on(source: Source) -> tuple[OxlintRun, int] | None:
    """Return the run that is to say what is wrong with a file, and the place of the file there."""
    return cast("tuple[OxlintRun, int] | None", source.runs.get(OXLINT.name))


def _extensions(source: Source) -> tuple[str, ...]:
    key = (source.language, source.facets["script_goal"])
    return _EXTENSIONS.get(key) or (source.language,)  # "jsx" and "tsx" are extensions


def _other_readings(source: Source) -> Iterator[_Copy]:
    """Yield what else a file may be read as."""
    extensions = _extensions(source)
    for extension in extensions[1:]:
        yield source.text, extension
    if source.language == "tsx":
        yield source.text + _AS_MODULE, extensions[0]
    elif source.language in ("javascript", "jsx") and "let" in source.text:
        escaped = readings.with_let_as_name(source.text)
        if escaped != source.text:
            yield from ((escaped, extension) for extension in extensions)


def _rejects(remarks: Sequence[Remark], source: Source) -> bool:
    return any(remark.is_error(source.language) for remark in remarks)


def _remark(item: dict[str, Any]) -> Remark:
    """Return a remark from oxlint's JSON, without the advice that follows the first sentence."""
    places = item["labels"]
    # Of a name that is declared twice, the second place is the one to look at.
    again = [place for place in places if "redeclared" in place.get("label", "")]
    spans = [(place["span"]["offset"], place["span"]["length"]) for place in again or places[:1]]
    offset, length = min(spans, default=(0, 0))
    message = item["message"].partition(". ")[0].removesuffix(".")
    return Remark(offset, offset + length, item.get("code", ""), message)
