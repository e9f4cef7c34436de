"""Logs of SARIF 2.1.0: the runs, their rules and their results.

What is suppressed, passed, did not apply or is gone since a baseline is no finding; each run counts
how many results that were. Files are named by the path that a URI comes to; where it begins at a
base that the log does not place, by the rest of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote

from codebatch.tasks.tools.outputs.json_findings import parsed
from codebatch.tasks.tools.outputs.said import (
    Said,
    UnreadableOutputError,
    clean_text,
    decoded,
    said,
)

Object = Mapping[str, Any]

_T = TypeVar("_T")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DRIVE = re.compile(r"/[A-Za-z]:")
_HOLE = re.compile(r"\{\{|\}\}|\{([0-9]{1,3})\}")
_LINK = re.compile(r"(?<!\\)\[((?:\\.|[^\[\]\\])*)\]\(([0-9]{1,9})\)")
_MOST_BASES = 8
_HEADING = re.compile(r"\A(?:#[^\n]*\s+)+")
_MOST_HELP = 1000
_MOST_PART, _MOST_TEXT = 10_000, 20_000  # characters, of what is put together and of what it gives


@dataclass(frozen=True)
class SarifRule:
    """What a log says of a rule; texts are "" where it says nothing, ``help`` is a paragraph."""

    id: str
    name: str = ""
    title: str = ""
    help: str = ""
    link: str = ""
    level: str = "warning"


@dataclass(frozen=True)
class SarifResult:
    """A finding, with its rule as far as the log describes it."""

    said: Said
    rule: SarifRule | None


@dataclass
class SarifRun:
    """A run of a tool. State: ``left_out`` counts results that are no findings, by reason, as they
    are read.
    """

    name: str
    version: str
    link: str
    is_utf16: bool
    was_successful: bool
    left_out: Counter[str] = field(default_factory=Counter)
    _run: Object = field(default_factory=dict, repr=False)
    _rules: list[list[tuple[SarifRule, Object]]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        every = [one for some in self._rules for one in some]
        self._named = {one[0].id: one for one in reversed(every)}

    @property
    def rules(self) -> list[SarifRule]:
        """The rules that the log describes."""
        return [rule for some in self._rules for rule, _ in some]

    def results(self) -> Iterator[SarifResult]:
        """Yield the findings in the order of the log."""
        self.left_out.clear()
        for result in _objects(self._run, "results"):
            reason = _left_out(result)
            if reason is not None:
                self.left_out[reason] += 1
            else:
                yield self._result(result)

    def _result(self, result: Object) -> SarifResult:
        rule_id, known = self._rule_of(result)
        rule, document = known or (None, {})
        level = _text(result, "level")
        if not level:
            kind = _text(result, "kind") or "fail"
            level = "note" if kind != "fail" else "warning" if rule is None else rule.level
        message = self._message(result, document) or rule_id
        if not message:
            raise UnreadableOutputError("a result has no message")
        path, region = self._place(result)
        line, column = region.get("startLine"), region.get("startColumn")
        return SarifResult(said(path, line, column, rule_id, message, level), rule)

    def _rule_of(self, result: Object) -> tuple[str, tuple[SarifRule, Object] | None]:
        """Return the id of a result's rule, and the rule where the log describes it."""
        reference = _get(result, "rule", dict) or {}
        rule_id = _text(result, "ruleId") or _text(reference, "id")
        index = _number(reference, "index", _number(result, "ruleIndex", -1))
        component = _get(reference, "toolComponent", dict)
        # The driver's come first; a component's index counts the extensions.
        of = 0 if component is None else _number(component, "index", -1) + 1
        rules = self._rules[of] if 0 <= of < len(self._rules) else []
        if 0 <= index < len(rules):
            known = rules[index]
            return rule_id or known[0].id, known
        return rule_id, self._named.get(rule_id) or self._named.get(rule_id.partition("/")[0])

    def _message(self, result: Object, rule: Object) -> str:
        message = _get(result, "message", dict) or {}
        text = _text(message, "text")
        if not text and (message_id := _text(message, "id")):
            texts = _get(rule, "messageStrings", dict) or {}
            shared = _get(_driver(self._run), "globalMessageStrings", dict) or {}
            of_id = _get(texts, message_id, dict) or _get(shared, message_id, dict) or {}
            text = _text(of_id, "text") or _text(of_id, "markdown")
        text = text or _text(message, "markdown")
        if arguments := _get(message, "arguments", list):
            text = _filled(text, [str(one)[:_MOST_PART] for one in arguments])
        return _without_links(text, result)

    def _place(self, result: Object) -> tuple[str, Object]:
        """Return the path and the region of the first place that a result has in a file."""
        for location in _objects(result, "locations"):
            physical = _get(location, "physicalLocation", dict) or {}
            artifact = _get(physical, "artifactLocation", dict) or {}
            if path := self._path(artifact):
                return path, _get(physical, "region", dict) or {}
        return "", {}

    def _path(self, artifact: Object) -> str:
        uri, base = _text(artifact, "uri"), _text(artifact, "uriBaseId")
        artifacts = _get(self._run, "artifacts", list) or []
        index = _number(artifact, "index", -1)
        if not uri and 0 <= index < len(artifacts) and isinstance(artifacts[index], dict):
            listed = _get(artifacts[index], "location", dict) or {}
            uri, base = _text(listed, "uri"), _text(listed, "uriBaseId")
        bases = _get(self._run, "originalUriBaseIds", dict) or {}
        for _ in range(_MOST_BASES):
            if not base or _SCHEME.match(uri) or uri.startswith("/"):
                break
            of_base = _get(bases, base, dict) or {}
            if above := _text(of_base, "uri")[:_MOST_TEXT]:
                uri = f"{above.rstrip('/')}/{uri}"[:_MOST_TEXT]
            base = _text(of_base, "uriBaseId")
        return path_of(uri[:_MOST_TEXT])


def path_of(uri: str) -> str:
    """Return the path that a URI names; a URI of another scheme than ``file`` as it is."""
    if uri[:5].lower() == "file:":
        path = uri[5:]
        if path.startswith("//"):  # then a host comes, mostly an empty one
            path = "/" + path[2:].partition("/")[2]
    elif _SCHEME.match(uri):  # a drive of Windows is one letter
        return uri
    else:
        path = uri
    path = unquote(path.replace("\\", "/"), errors="surrogateescape")
    return path[1:] if _DRIVE.match(path) else path


def read_log(data: bytes) -> list[SarifRun]:
    """Return the runs of a log; results are read when they are asked for, with the same errors."""
    log = parsed(decoded(data))
    if not isinstance(log, dict):
        raise UnreadableOutputError("a log of SARIF is an object")
    version = _text(log, "version")
    if version != "2.1.0":
        raise UnreadableOutputError(f"version {version!r} of SARIF is not read, 2.1.0 is")
    if _get(log, "runs", list) is None:
        raise UnreadableOutputError("there is no 'runs' in it")
    return [_run(run) for run in _objects(log, "runs")]


def read_sarif(_: Object, data: bytes) -> Iterator[Said]:
    """Yield the findings of all runs of a log."""
    for run in read_log(data):
        for result in run.results():
            yield result.said


def _run(run: Object) -> SarifRun:
    files = _get(run, "externalPropertyFileReferences", dict) or {}
    if files.get("results"):
        raise UnreadableOutputError("its results are in other files, which are not read")
    driver = _driver(run)
    components = [driver, *_objects(_get(run, "tool", dict) or {}, "extensions")]
    return SarifRun(
        name=_text(driver, "name"),
        version=_text(driver, "semanticVersion") or _text(driver, "version"),
        link=_link(driver, "informationUri"),
        is_utf16=_text(run, "columnKind") == "utf16CodeUnits",
        was_successful=all(
            one.get("executionSuccessful") is not False for one in _objects(run, "invocations")
        ),
        _run=run,
        _rules=[[(_rule(r), r) for r in _objects(one, "rules")] for one in components],
    )


def _driver(run: Object) -> Object:
    return _get(_get(run, "tool", dict) or {}, "driver", dict) or {}


def _rule(rule: Object) -> SarifRule:
    def text(name: str) -> str:
        whole = _HEADING.sub("", clean_text(_text(_get(rule, name, dict) or {}, "text")))
        return clean_text(" ".join(whole.partition("\n\n")[0].split()), _MOST_HELP)

    configuration = _get(rule, "defaultConfiguration", dict) or {}
    short, full = text("shortDescription"), text("fullDescription")
    return SarifRule(
        id=_text(rule, "id"),
        name=clean_text(_text(rule, "name"), 200),
        title=clean_text(short or full, 200),
        help=full if full not in ("", short) else text("help"),
        link=_link(rule, "helpUri"),
        level=_text(configuration, "level") or "warning",
    )


def _left_out(result: Object) -> str | None:
    """Return why a result is no finding, None where it is one."""
    states = [_text(one, "status") for one in _objects(result, "suppressions")]
    if states and not {"underReview", "rejected"} & {*states}:
        return "suppressed"
    if _text(result, "kind") in ("pass", "notApplicable"):
        return "passed or not applicable"
    return "gone since the baseline" if _text(result, "baselineState") == "absent" else None


def _filled(text: str, arguments: list[str]) -> str:
    """Return a text with arguments in its holes, up to about as much as is kept of it."""
    pieces, length, end = list[str](), 0, 0
    text = text[:_MOST_PART]
    for hole in _HOLE.finditer(text):
        pieces += text[end : hole.start()], _in_hole(hole, arguments)
        length += len(pieces[-1])
        end = hole.end()
        if length > _MOST_TEXT:
            return "".join(pieces)
    return "".join([*pieces, text[end:]])


def _in_hole(hole: re.Match[str], arguments: list[str]) -> str:
    if hole[1] is None:  # a brace that is doubled stands for itself
        return hole[0][0]
    number = int(hole[1])
    return arguments[number] if number < len(arguments) else hole[0]


def _without_links(text: str, result: Object) -> str:
    """Return a text with links to related places replaced by their words, and brackets that would
    read as a link but are escaped as they are meant.
    """
    if "](" not in text:
        return text
    ids = {str(_number(one, "id", -1)) for one in _objects(result, "relatedLocations")}
    text = _LINK.sub(lambda link: link[1] if link[2] in ids else link[0], text)
    return text.replace("\\](", "](")


def _link(document: Object, name: str) -> str:
    link = clean_text(_text(document, name), 1000)
    return link if link.startswith(("https://", "http://")) else ""


def _text(document: Object, name: str) -> str:
    return _get(document, name, str) or ""


def _number(document: Object, name: str, default: int) -> int:
    found = _get(document, name, int)
    return default if found is None else found


def _objects(document: Object, name: str) -> Iterator[Object]:
    for item in _get(document, name, list) or ():
        if not isinstance(item, dict):
            raise UnreadableOutputError(f"what is in {name!r} is not an object")
        yield item


def _get(document: Object, name: str, of_type: type[_T]) -> _T | None:
    """Return a property, None where it is not there or null."""
    value = document.get(name)
    if value is None or type(value) is of_type:
        return value
    raise UnreadableOutputError(f"{name!r} is not of type {of_type.__name__}")
