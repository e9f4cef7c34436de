"""Which of ruff's rules a pipeline asks for, and what is known of them.

``select`` and ``ignore`` mean what they mean to ruff: of the selectors that fit a code the longest
decides, and of equal ones ``ignore``. Our own codes are selectors as well. What a selector stands
for is ruff's to say: it is asked once, when a batch is planned, without any file of the tree.

A rule that looks at more than a result may depend on is not run (`NOT_HERE`). They were found by
running all rules over packages, and over copies of their files under names as `RuffRun` gives: what
differed depends on the path. Rules that ask whether a module is private get the facet for it. That
ruff takes names of a library for these in the module of the library itself as well, is left aside.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from codebatch.model.resources import SchemaProblem, nearest_of
from codebatch.tasks.base import Config
from codebatch.tasks.languages.python.ruff import RUFF, RUFF_RULES
from codebatch.tasks.native_tool import ToolError, ToolRun
from codebatch.tasks.rules import RULES, Rule

# Rules of ruff that find what a text rule finds: of both on a line, ours is reported.
SAME = {
    "E101": "L002",
    "E303": "L005",
    "E501": "L003",
    "W191": "L002",
    "W291": "L001",
    "W292": "L004",
    "W293": "L001",
}
_NAME = "it depends on the name of the file"
_NEIGHBOURS = "it depends on the files around the file"
_MODE = "it depends on the mode of the file"
NOT_HERE = {
    "A005": _NAME,
    "EXE001": _MODE,
    "EXE002": _MODE,
    "I001": _NEIGHBOURS,
    "I002": "it needs a setting of ruff",
    "INP001": _NEIGHBOURS,
    "N999": _NAME,
    "PLW0406": _NAME,
    "TC001": _NEIGHBOURS,
    "TC002": _NEIGHBOURS,
}
# What stops a build in GitHub's workflow for Python is an error; layout, as of our own rules, is
# information. The longest prefix decides.
_SEVERITIES = {
    "": "warning",
    **{code: rule.severity for code, rule in RULES.items()},
    **dict.fromkeys(("E9", "F63", "F7", "F82", "PLE"), "error"),
    **dict.fromkeys("COM CPY D E1 E2 E3 E5 ERA FIX I Q TD W1 W2 W3 W5".split(), "info"),
}
_ALL = "ALL"
_OWN = "L"  # the letter of our codes, which is no prefix of ruff's
_DIGITS = "0123456789"
_SELECTOR = re.compile(r"[A-Z]+[0-9]*\Z")
_ENABLED = re.compile(r"^linter\.rules\.enabled = \[(.*?)^\]", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"\(([A-Z]+[0-9]+)\),?$", re.MULTILINE)
_CAUSE = re.compile(r"Cause: (.*)")
_QUOTED = re.compile(r"[`']([^`']+)[`']")
_SUMMARY = re.compile(r"## What it does\s+(.+?)\n\n", re.DOTALL)
_LINK = "https://docs.astral.sh/ruff/rules/"
_EMPTY = "any.py"


class Asked(NamedTuple):
    """What ruff is asked for: selectors to take, and selectors to leave out."""

    select: tuple[str, ...]
    ignore: tuple[str, ...]


def is_own(selector: str) -> bool:
    """Return whether a selector stands for codes of ours."""
    return selector.startswith(_OWN) and selector[1:].isdigit()


def own_codes(config: Config) -> frozenset[str]:
    """Return our codes that are asked for, by themselves or by ruff's codes for the same."""
    wanted = {*config["rules"], *(own for rule, own in RUFF_RULES.items() if _chosen(rule, config))}
    chosen = {code: _chosen(code, config) for code in RULES if is_own(code)}
    return frozenset(c for c, says in chosen.items() if says or (says is None and c in wanted))


def asked_of_ruff(config: Config) -> Asked:
    """Return what ruff is asked for, for our own codes and those that are selected."""
    codes = own_codes(config)
    mine: list[str] = []
    others = [*NOT_HERE]
    for rule, own in RUFF_RULES.items():
        says = _chosen(rule, config)
        is_ours = own in config["rules"] or _chosen(own, config)
        is_wanted = own in codes and (is_ours if says is None else says)
        (mine if is_wanted else others).append(rule)
    select = [one for one in config["select"] if not is_own(one)]
    ignore = [one for one in config["ignore"] if not is_own(one)]
    if not select:
        return Asked(tuple(sorted(mine)), ())
    return Asked((*sorted(mine), *select), (*ignore, *sorted(others)))


def _chosen(code: str, config: Config) -> bool | None:
    """Return what the selectors say of a code, None where none fits it."""
    found, longest = None, -1
    for says, selectors in ((True, config["select"]), (False, config["ignore"])):
        for selector in selectors:
            length = _fit(selector, code)
            if length > longest or (length == longest >= 0 and not says):
                found, longest = says, length
    return found


def _fit(selector: str, code: str) -> int:
    """Return how closely a selector fits a code; less than 0 where it does not."""
    if selector == _ALL:
        return -1 if is_own(code) else 0
    return len(selector) if code.startswith(selector) else -1


def severity_of(code: str, severities: Mapping[str, str]) -> str:
    """Return the severity of a code: the settings decide, by the longest prefix, then our table."""
    prefixes = [code[:length] for length in range(len(code), -1, -1)]
    for table in (severities, _SEVERITIES):
        for prefix in filter(table.__contains__, prefixes):
            return table[prefix]
    raise LookupError(code)


def selected_rules(config: Config) -> tuple[Rule, ...]:
    """Return the rules of ruff that are run beside our own."""
    if all(map(is_own, config["select"])):
        return ()
    codes = [code for code in _enabled(asked_of_ruff(config)) if code not in RUFF_RULES]
    return tuple(_known()[code].rule for code in codes)


def selection_problems(config: Config) -> Iterator[SchemaProblem]:
    """Yield what is wrong with the settings ``select`` and ``ignore``."""
    for key in ("select", "ignore"):
        given = config.get(key, ())
        for place, selector in enumerate(given if isinstance(given, list) else ()):
            if isinstance(selector, str) and (wrong := _wrong(selector, is_select=key == "select")):
                yield SchemaProblem((key, place), *wrong)


class _Known(NamedTuple):
    rule: Rule
    is_preview: bool


def _wrong(selector: str, *, is_select: bool) -> tuple[str, str | None] | None:
    """Return what is wrong with a selector, and the nearest one that is known."""
    if is_own(selector):
        return None if any(code.startswith(selector) for code in RULES) else _unknown(selector)
    if _SELECTOR.match(selector) is None:
        return _unknown(selector)
    # Ruff knows each beginning of a number; of letters it has a list of its own.
    there = [code for code in _known() if re.fullmatch(rf"{selector}\d*", code)]
    if not there:
        try:
            there = [*_enabled(Asked((selector,), ()))]
        except ToolError as error:
            return _complaint(selector, error)
    return _useless(selector, there) if is_select else None


def _complaint(selector: str, error: ToolError) -> tuple[str, str | None]:
    """Return what ruff says of a selector that it does not take; raise what is about another."""
    cause = _CAUSE.search(str(error))
    words = cause[1].rstrip(".") if cause else str(error)
    if selector not in _QUOTED.findall(words):
        raise error
    return (words, None) if "removed" in words else _unknown(selector)


def _unknown(selector: str) -> tuple[str, str | None]:
    known = [*_known(), *filter(is_own, RULES)]
    word, families = selector.upper(), sorted({code.rstrip(_DIGITS) for code in known})
    related = [code for code in known if code.rstrip(_DIGITS) == word.rstrip(_DIGITS)]
    before = max((code for code in related if code < word), default=None)
    nearest = nearest_of(word, related) or before or nearest_of(word, [*known, *families])
    return f"unknown rule {selector!r}", nearest


def _useless(selector: str, there: Sequence[str]) -> tuple[str, None] | None:
    """Return why a selector that stands for some codes selects nothing; None where it does."""
    known = _known()
    stable = [code for code in there if code in known and not known[code].is_preview]
    here = [code for code in stable if code not in NOT_HERE]
    if here or selector == _ALL:
        return None
    if stable:
        return f"{selector} is not available: {NOT_HERE[stable[0]]}", None
    return f"{selector} is a preview rule of ruff, which is not available", None


@functools.cache
def _known() -> Mapping[str, _Known]:
    """Return what ruff says of its rules, by code, without those that it has removed."""
    said = json.loads(_said(("rule", "--all", "--output-format", "json")))
    there = (one for one in said if one["code"] and "Removed" not in str(one.get("status")))
    return {one["code"]: _Known(_rule(one), bool(one["preview"])) for one in there}


def _rule(said: Mapping[str, object]) -> Rule:
    code, name = str(said["code"]), str(said["name"])
    what = _SUMMARY.search(f"{said['explanation']}\n\n")
    words = " ".join(what[1].split()) if what else ""
    title = name.replace("-", " ").capitalize()
    return Rule(code, title, words, _LINK + name, severity_of(code, {}), name)


@functools.lru_cache(maxsize=256)
def _enabled(asked: Asked) -> Sequence[str]:
    """Return the codes that are asked for; ToolError where ruff knows one of the selectors not."""
    settings = _said(("check", "--isolated", "--show-settings", *arguments(asked), _EMPTY))
    enabled = _ENABLED.search(settings)
    return sorted(_CODE.findall(enabled[1])) if enabled else []


def arguments(asked: Asked) -> list[str]:
    """Return the arguments that ask ruff for rules."""
    given = [f"--select={','.join(asked.select)}"]
    if asked.ignore:
        # What others see in a ``noqa`` comment is not for ruff to call useless.
        external = json.dumps([*filter(is_own, RULES), *NOT_HERE])
        given += [f"--ignore={','.join(asked.ignore)}", f"--config=lint.external={external}"]
    return given


def _said(given: Sequence[str]) -> str:
    run = ToolRun(RUFF, given, {_EMPTY: b""})
    try:
        with run.output() as said:
            return said.read().decode()
    finally:
        run.cancel()
