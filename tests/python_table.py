"""The Python equivalent of each command: ``python tests/python_table.py`` writes the table of
docs/python.md anew, which `tests/api/test_whole.py` holds complete.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click

import codebatch
import codebatch.testing
from codebatch.api import checking, history
from codebatch.api.names import NameTable
from codebatch.cli import cli
from codebatch.cli.commands.describe import iter_commands
from codebatch.compare.compare import Comparison
from codebatch.query.filters import RecordFilter

PAGE = Path(__file__).parent.parent / "docs/python.md"
HEAD = "| command | in Python |\n|---|---|\n"
OPTION_HEAD = "| option | in Python |\n|---|---|\n"
BETWEEN = "Options are parameters of their names, apart from these:\n\n"
NAME_HEAD = "| name of `codebatch` | what it is |\n|---|---|\n"
NAMES_BETWEEN = "These are the names of the package:\n\n"
_SENTENCE = re.compile(r"(?<=\w)[.;] .*| *\|.*")
END = "\n## Dask\n"

# Expressions, several with a semicolon between, over the names in `NAMES`.
_RECORDS = "batch.sorted_records(kind={!r})"
EQUIVALENTS: Mapping[str, str] = {
    "api": "help(codebatch)",
    "apply": "batch.apply(directory)",
    "baseline create": "codebatch.scan(path); batch.write_baseline(file)",
    "baseline prune": "codebatch.scan(path); batch.write_baseline(file, 'prune')",
    "baseline update": "codebatch.scan(path); batch.write_baseline(file, 'update')",
    "batch init": "store.batch(snapshot)",
    "batch rm": "store.remove_batch(batch)",
    "batches": "store.batches()",
    "blame": "store.blame(finding)",
    "cat": "batch.source(file); batch.lines(file)",
    "check": "store.check(path)",
    "config show": "codebatch.load_config().rows()",
    "diagnose": "codebatch.diagnose(store); codebatch.try_vectors()",
    "diff": "store.compare(a, b).changes(); store.compare(a, b).stat()",
    "errors": _RECORDS.format("diagnostic"),
    "explain": "batch.explain(task, file)",
    "export": "batch.export(format, stream)",
    "files": "batch.files()",
    "gc": "store.gc()",
    "history": "store.history(path); store.history(path).rows(codes)",
    "improvements": "store.compare(a, b).improvements()",
    "init": "codebatch.open_store(path, create=True)",
    "inspect": "batch.inspect(file)",
    "memo export": "store.export_memo(file)",
    "memo import": "store.import_memo(file)",
    "memo pull": "store.pull_memo(url)",
    "memo push": "store.push_memo(url)",
    "name rm": "store.names.remove(name)",
    "name set": "store.names.point(name, batch)",
    "names": "store.names.rows()",
    "pipeline": "codebatch.pipeline(name); codebatch.draw_pipeline(name)",
    "pipeline validate": "codebatch.check_pipeline(file)",
    "pipelines": "codebatch.pipelines()",
    "plan": "store.forecast(snapshot); batch.forecast()",
    "query diagnostics": _RECORDS.format("diagnostic"),
    "query edges": _RECORDS.format("edge"),
    "query metrics": _RECORDS.format("metric"),
    "query outputs": "batch.outputs(); batch.sorted_records()",
    "query stats": "batch.stats()",
    "query symbols": _RECORDS.format("symbol"),
    "regressions": "store.compare(a, b).regressions()",
    "report": "batch.report(file)",
    "resume": "batch.run(); batch.submit()",
    "run": "batch.run(); batch.recheck(); batch.submit()",
    "sarif import": "batch.import_sarif(file); snapshot.import_sarif(file)",
    "scan": "codebatch.scan(path); codebatch.watch(path)",
    "shards": "batch.shards()",
    "show": "store.show(id); store.read_object(id)",
    "skipped": "batch.skipped()",
    "snapshot": "store.snapshot(path)",
    "snapshot rm": "store.remove_snapshot(snapshot)",
    "snapshots": "store.snapshots()",
    "sql": "batch.sql(statement); batch.sql_schema(); store.sql(statement); store.sql_schema()",
    "status": "batch.status()",
    "store upgrade": "store.upgrade()",
    "store-stats": "store.stats()",
    "summary": "batch.summary()",
    "task list": "codebatch.list_tasks()",
    "task new": "codebatch.new_task(name)",
    "task run": "codebatch.testing.run_task(task, paths)",
    "tasks": "batch.tasks()",
    "tool certify": "codebatch.certify(tool, folder)",
    "tool import": "codebatch.import_tools(source)",
    "tools": "codebatch.tools()",
    "top": "batch.top(by)",
    "tree": "batch.tree(file); batch.tree(file).at_line(line); batch.tree(file).root.lines(depth)",
    "verify": "store.verify()",
}

# What the expressions begin with, and what calls and attributes in them give.
NAMES: Mapping[str, object] = {
    "codebatch": codebatch,
    "store": codebatch.Store,
    "batch": codebatch.Batch,
    "snapshot": codebatch.Snapshot,
    "help": help,
}
_GIVEN: Mapping[object, object] = {
    codebatch.Store.compare: Comparison,
    codebatch.Store.history: history.History,
    codebatch.Store.names: NameTable,
    codebatch.Batch.tree: codebatch.SyntaxTree,
    codebatch.SyntaxTree.root: codebatch.SyntaxNode,
    codebatch.load_config: codebatch.Config,
}
# What ``**options`` and ``**filters`` of a function stand for.
_MORE: Mapping[str, tuple[Callable[..., object], ...]] = {
    "check": (checking.check, codebatch.scan),
    "history": (history.history, codebatch.scan),
    "blame": (history.blame, codebatch.scan),
    "watch": (codebatch.scan,),
    "outputs": (RecordFilter,),
    "sorted_records": (RecordFilter,),
    "top": (RecordFilter,),
    "export": (RecordFilter,),
}


class Said(NamedTuple):
    """How Python says what an option does: by a parameter of another name, or ``None`` and by what
    else.
    """

    parameter: str | None
    text: str


_FORM = Said(None, "what is returned is shown, or written as JSON, as a program likes")
_ORDER = Said(None, "`sorted` and slices of what is returned")
_GATE = Said(None, 'an `if` over what is returned, as `report.failing("error")` of `store.check`')
_RECEIVER = Said(
    None,
    "the object before the dot: `codebatch.open_store(path)`, "
    "`store.find_batch(id)`, `store.find_snapshot(id)`",
)
_ANOTHER = Said(None, "the other function of the row")
# By the names of parameters of commands, alone or behind that of the command.
OPTIONS: Mapping[str, Said] = {
    "store": _RECEIVER,
    "batch_id": _RECEIVER,
    "snapshot_id": _RECEIVER,
    "plan batch": _RECEIVER,
    "as_json": _FORM,
    "formats": _FORM,
    "quiet": _FORM,
    "plain": _FORM,
    "everything": _FORM,
    "sort": _ORDER,
    "limit": _ORDER,
    "cat span": _ORDER,
    "cat number": _FORM,
    "config show origin": _FORM,
    "fail_on": _GATE,
    "fail_on_stale": _GATE,
    "max_new": _GATE,
    "tools": Said("tasks", '`tasks=[codebatch.tool("ruff")]`'),
    "read_configs": Said("tasks", '`codebatch.tool("ruff", read_configs=["ruff.toml"])`'),
    "tool certify read_configs": Said("read_configs", ""),
    "select_rules": Said("settings", '`settings={"lint": {"select": ["F"]}}`'),
    "ignore_rules": Said("settings", '`settings={"lint": {"ignore": ["L003"]}}`'),
    "no_ignore": Said("ignore", "`ignore=False`"),
    "no_cache": Said("use_cache", "`use_cache=False`"),
    "no_limit": Said("limited", "`limited=False`"),
    "schema": _ANOTHER,
    "self_test": _ANOTHER,
    "detach": _ANOTHER,
    "recompute": _ANOTHER,
    "stat": _ANOTHER,
    "drawing": _ANOTHER,
    "scan watch": _ANOTHER,
    "status watch": Said(None, "a loop over `batch.status()`, or `progress=` of `batch.run`"),
    "batch init name": Said(None, "`store.names[name] = batch`"),
    "snapshot name": Said(None, "`store.names[name] = snapshot`"),
    **{f"baseline {one} baseline": Said("file", "") for one in ("create", "prune", "update")},
    "tree depth": Said("most_deep", ""),
    "history codes": Said("codes", "`history.rows(codes=[…])`"),
    "sql every": Said("batches", '`batches="all"` of `store.sql`'),
    "sarif import task_id": Said("task", ""),
    "export target": Said("stream", ""),
    "export name": Said("format", ""),
    "report target": Said("file", ""),
    "task run address": Said("task", ""),
    "task run settings": Said("config", "`config={key: value}`"),
    "task run others": Said("tasks", "`tasks=[…]`"),
}


def functions_of(command: str) -> list[Callable[..., object]]:
    """Return the functions that the row of a command calls; `AttributeError` where one is not."""
    found = []
    for text in _texts(command):
        for node in ast.walk(ast.parse(text.strip(), mode="eval")):
            if isinstance(node, ast.Call):
                function = _value(node.func)
                assert callable(function), text
                found.append(function)
    return found


def _texts(command: str) -> list[str]:
    return EQUIVALENTS[command].split(";")


def _value(expression: ast.expr) -> object:
    """Return what a name or a chain of attributes and calls stands for, as a class or function."""
    if isinstance(expression, ast.Name):
        return NAMES[expression.id]
    if isinstance(expression, ast.Call):
        return _GIVEN[_value(expression.func)]
    assert isinstance(expression, ast.Attribute)
    owner = _value(expression.value)
    found = getattr(owner, expression.attr)
    return _GIVEN[found] if isinstance(found, property) else found


def parameters_of(function: Callable[..., object]) -> Iterator[str]:
    """Yield the names that may be given to a function, those behind its ``**options`` as well."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            yield parameter.name
        else:
            for behind in _MORE.get(getattr(function, "__name__", ""), ()):
                yield from (one for one in inspect.signature(behind).parameters)


def said(command: str, option: click.Parameter) -> Said | None:
    """Return what is said of an option; None where a parameter has its name."""
    return OPTIONS.get(f"{command} {option.name}") or OPTIONS.get(str(option.name))


def rows() -> str:
    """The lines of the table, one for each command."""
    return "".join(
        f"| `{name}` | {'; '.join(f'`{text.strip()}`' for text in _texts(name))} |\n"
        for name, _ in iter_commands(cli)
    )


def option_rows() -> str:
    """The lines of the table of options that are not parameters of the same name."""
    shown: dict[str, dict[str, None]] = {}
    for name, command in iter_commands(cli):
        for option in command.params:
            found = said(name, option) if isinstance(option, click.Option) else None
            if found is not None and found.text:
                shown.setdefault(found.text, {})[f"`{option.opts[-1]}`"] = None
    return "".join(
        f"| {', '.join(options)} | {text} |\n"
        for text, options in sorted(shown.items(), key=lambda row: list(row[1]))
    )


def name_rows() -> str:
    """The lines of the table of public names, each with the first sentence of its description."""
    described = {
        name: " ".join(str(inspect.getdoc(getattr(codebatch, name))).split("\n\n")[0].split())
        for name in codebatch.__all__
        if name != "__version__"
    }
    return "".join(
        f"| `{name}` | {_SENTENCE.sub('', text).rstrip('.:')} |\n"
        for name, text in described.items()
    )


def tables() -> str:
    """The tables, as the manual has them."""
    return (
        f"{HEAD}{rows()}\n{BETWEEN}{OPTION_HEAD}{option_rows()}\n"
        f"{NAMES_BETWEEN}{NAME_HEAD}{name_rows()}"
    )


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, _, after = text.partition(HEAD)
    PAGE.write_text(before + tables() + END + after.partition(END)[2], encoding="utf-8")
