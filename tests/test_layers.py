"""The architecture: which part may import which, and what only one part may do.

The table is the architecture. When it changes, it changes here in the same commit.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import REPOSITORY, Scanned, cli_environment

import codebatch

PACKAGE = Path(codebatch.__file__).parent
MAX_LINES = 400

# The folders from the ground up, each with the folders it may import; a folder may import itself.
LAYERS: dict[str, set[str]] = {
    "runtime": set(),
    "model": {"runtime"},
    "display": {"runtime", "model"},
    "store": {"runtime", "model", "display"},
    "tasks": {"runtime", "model", "display"},
    "remote": {"runtime", "model", "display", "store"},
    "snapshot": {"runtime", "model", "display", "store"},
    "plan": {"model", "display", "tasks"},
    "config": {"runtime", "model", "display", "tasks", "plan"},
    "shard": {"runtime", "model", "store", "tasks", "plan"},
    "reduction": {"runtime", "model", "store", "tasks", "plan", "shard"},
    "processes": {"runtime", "model", "store", "tasks", "shard", "reduction"},
    "graph": {"runtime", "model", "tasks", "shard", "reduction", "processes"},
    "cluster": {"runtime", "model", "store", "tasks", "plan", "shard", "processes", "graph"}
    | {"reduction"},
    "testing": {"runtime", "model", "display", "tasks", "snapshot", "plan", "shard", "reduction"},
    "status": {"model", "display", "store", "tasks"},
    "batch": {"runtime", "model", "store", "tasks", "plan", "shard", "processes", "graph"}
    | {"display", "reduction", "cluster", "status", "remote"},
    "query": {"runtime", "model", "display", "store", "tasks", "snapshot", "processes", "status"},
    "compare": {"runtime", "model", "display", "store", "status", "query"},
    "patches": {"model", "display", "store", "snapshot", "status", "query"},
    "export": {"runtime", "patches", "model", "display", "store", "tasks", "status", "query"}
    | {"compare"},
    "report": {"model", "display", "store", "tasks", "status", "query", "compare", "export"},
    "maintenance": {
        "runtime",
        "model",
        "display",
        "store",
        "tasks",
        "snapshot",
        "plan",
        "processes",
    }
    | {"cluster", "status", "batch"},
    "api": {"runtime", "model", "store", "tasks", "snapshot", "plan", "config", "processes"}
    | {"graph", "testing"}
    | {"cluster", "status", "batch", "query", "compare", "export", "maintenance"}
    | {"patches", "remote", "display", "report"},
    "cli": {"runtime", "model", "store", "tasks", "snapshot", "plan", "config", "shard", "cluster"}
    | {"testing", "patches", "remote", "display", "report"}
    | {"status", "batch", "query", "compare", "export", "maintenance", "api"},
    "__init__": {"model", "tasks", "testing", "status", "batch", "api", "config"},
    "__main__": {"runtime", "cli"},
}
# The modules of a folder that no other folder imports: what others need of them, the folder gives.
PRIVATE: dict[str, set[str]] = {
    "store": {"batches", "documents", "door", "names", "objects.cas", "shards"}
    | {"snapshots", "store", "write_group"},
}
# Outside packages, and which folders may import them.
HOMES = {
    "dask": {"graph", "cluster"},
    "distributed": {"cluster"},
    "click": {"cli"},
    "rich": {"cli"},
    "cloudpickle": {"tasks"},
    "backports": {"store"},
    "compression": {"store"},
    "duckdb": {"query"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "pandas": {"query"},
    "polars": {"query"},
    "pyarrow": {"export", "query"},
    "tree_sitter": {"tasks"},
    "jsonschema": {"model"},
    "watchfiles": {"snapshot"},
    "yaml": {"tasks"},
    "obstore": {"remote"},
    "tqdm": {"api"},
}
# What only `store` may spell. Class and field names do not match: these are file names.
FILE_NAMES = {
    "store.json",
    "snapshot.json",
    "asked.json",
    "batch.json",
    "plan.json",
    "task.json",
    "state.json",
    "events.jsonl",
    "files.index.jsonl",
    "inputs.index.jsonl",
    "outputs.index.jsonl",
}
WRITERS = {"open", "write_bytes", "write_text", "mkdir", "makedirs", "rename", "replace", "unlink"}
WALL_CLOCK = {"now", "utcnow", "today", "time", "time_ns", "localtime", "gmtime"}


def part_of(module: str) -> str:
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        names = ["codebatch", *path.relative_to(PACKAGE).with_suffix("").parts]
        if names[-1] == "__init__" and len(names) > 2:
            names.pop()
        name = "codebatch" if names[1:] == ["__init__"] else ".".join(names)
        found[name] = ast.parse(path.read_bytes(), str(path))
    return found


def violations(rule: Callable[[str, ast.Module], Iterable[str]]) -> list[str]:
    """Return what a rule finds in each module: one test, as an item for each costs more."""
    return [f"{name}: {found}" for name, tree in modules().items() for found in rule(name, tree)]


def imported(name: str, nodes: list[ast.AST]) -> set[str]:
    """Dotted names of the modules that a module imports."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            assert node.module
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules() else node.module)
    return found


def is_lazy_block(node: ast.AST) -> bool:
    """``with lazily():``, whose imports are made on first use."""
    return isinstance(node, ast.With) and is_call(node.items[0].context_expr, "lazily")


def is_call(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def mentions(node: ast.AST, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def lazily_imported(tree: ast.AST) -> set[str]:
    """What is imported in a ``with lazily():`` block, or by ``name = lazy("module")``."""
    blocks = (node for node in ast.walk(tree) if is_lazy_block(node))
    in_blocks = {full for block in blocks for part in ast.walk(block) for full in full_names(part)}
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return in_blocks | {
        node.value
        for call in calls
        if is_call(call, "lazy")
        for node in ast.walk(call.args[0])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def full_names(node: ast.AST) -> set[str]:
    """The modules that an import statement may name."""
    if isinstance(node, ast.ImportFrom):
        return {f"{node.module}.{alias.name}" for alias in node.names}
    return {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()


def nodes_at_runtime(tree: ast.AST) -> list[ast.AST]:
    """All nodes but those below ``if TYPE_CHECKING`` and in a ``with lazily():`` block."""
    found, pending = [], [tree]
    while pending:
        node = pending.pop()
        if is_lazy_block(node):
            continue
        found.append(node)
        hidden = isinstance(node, ast.If) and mentions(node.test, "TYPE_CHECKING")
        pending.extend(node.orelse if hidden else ast.iter_child_nodes(node))
    return found


@cache
def all_imports(name: str) -> set[str]:
    return imported(name, list(ast.walk(modules()[name])))


def import_time_imports(name: str) -> set[str]:
    """What importing the module imports: nothing inside functions or for type checkers."""
    nodes = nodes_at_runtime(modules()[name])
    inside = {
        inner
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    return imported(name, [node for node in nodes if node not in inside])


def test_every_part_is_in_the_table() -> None:
    assert {part_of(name) for name in modules()} == set(LAYERS)


def test_the_table_has_no_circle() -> None:
    # `__init__` holds the version alone at import time; the rest is imported on first use.
    remaining = {part: needs - {"__init__"} for part, needs in LAYERS.items()}
    while remaining:
        free = {part for part, needs in remaining.items() if not needs & set(remaining) - {part}}
        assert free, f"circle among {sorted(remaining)}"
        for part in free:
            del remaining[part]


def imports_that_point_up(name: str, _: ast.Module) -> Iterator[str]:
    part = part_of(name)
    for target in sorted(all_imports(name)):
        if target.split(".")[0] == "codebatch" and part_of(target) not in LAYERS[part] | {part}:
            yield f"imports {target}"


def test_imports_point_down() -> None:
    assert not violations(imports_that_point_up)


def imports_of_private_modules(name: str, tree: ast.Module) -> Iterator[str]:
    found = all_imports(name) | lazily_imported(tree)
    for folder, private in PRIVATE.items():
        modules_in = {f"codebatch.{folder}.{module}" for module in private}
        if part_of(name) != folder:
            yield from (f"imports {target}" for target in sorted(found & modules_in))


def test_what_is_private_to_a_folder_is_imported_there_alone() -> None:
    assert {f"codebatch.{part}.{one}" for part in PRIVATE for one in PRIVATE[part]} <= set(
        modules()
    )
    assert not violations(imports_of_private_modules)


def imports_hidden_from_the_type_checker(name: str, tree: ast.Module) -> Iterator[str]:
    if name == "codebatch.runtime.lazy":
        return
    paired: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            seen = {full for part in node.body for full in full_names(part)}
            for part in node.orelse:
                later = lazily_imported(part)  # several: one for each version of Python
                if not later & seen:
                    yield f"only at run time: {ast.unparse(part)}"
                paired |= later
    by_name = [node for node in ast.walk(tree) if not is_lazy_block(node)]
    calls = {one for node in by_name if is_call(node, "lazy") for one in lazily_imported(node)}
    yield from (f"without its pair: {target}" for target in paired ^ calls)


def test_the_type_checker_sees_what_is_imported_lazily() -> None:
    """``with lazily():``; where the module depends on the version of Python also
    ``if TYPE_CHECKING: import x``, ``else: x = lazy("x")``, and nowhere else.
    """
    assert not violations(imports_hidden_from_the_type_checker)


def lazy_imports_of_other_than_modules(_: str, tree: ast.Module) -> Iterator[str]:
    blocks = (node for node in ast.walk(tree) if is_lazy_block(node))
    for statement in (statement for block in blocks for statement in block.body):
        for full in full_names(statement):
            parent, _, name = full.rpartition(".")
            is_there = find_spec(full) if not parent else find_spec(parent) and find_spec(full)
            if not is_there:
                yield f"{name} of {parent} is no module"
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            yield ast.unparse(statement)


def test_whole_modules_are_imported_lazily() -> None:
    assert not violations(lazy_imports_of_other_than_modules)


def imports_of_a_package_at_home_elsewhere(name: str, _: ast.Module) -> Iterator[str]:
    for target in sorted(all_imports(name)):
        homes = HOMES.get(target.split(".")[0], {part_of(name)})
        if part_of(name) not in homes:
            yield f"imports {target}, which belongs to {homes}"


def test_outside_packages_have_one_home() -> None:
    assert not violations(imports_of_a_package_at_home_elsewhere)


def test_no_circle_between_modules() -> None:
    graph = {
        name: {t for t in import_time_imports(name) if t in modules()} - {name, "codebatch"}
        for name in modules()
    }
    while graph:
        free = {name for name, needs in graph.items() if not needs & set(graph)}
        assert free, f"circle among {sorted(graph)}"
        for name in free:
            del graph[name]


def uses_of_the_terminal(name: str, tree: ast.Module) -> Iterator[str]:
    if part_of(name) == "cli":
        return
    called = {"print", "exit", "quit", "input"}
    forbidden = {"sys.stdout", "sys.stderr", "sys.exit", "os._exit", "logging.basicConfig"}
    if name == "codebatch.processes.fork_server":  # a forked child has no other way to end
        forbidden.discard("os._exit")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in called:
                yield f"line {node.lineno} calls {node.func.id}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            word = f"{node.value.id}.{node.attr}"
            if word in forbidden:
                yield f"line {node.lineno} uses {word}"


def test_only_the_command_line_prints_or_exits() -> None:
    assert not violations(uses_of_the_terminal)


def file_names_of_the_store(name: str, tree: ast.Module) -> Iterator[str]:
    if part_of(name) == "store" or name.startswith("codebatch.maintenance.self_test."):
        return  # the self-test plants what a store must not believe
    documentation = {id(node.value) for node in ast.walk(tree) if is_docstring(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            spelled = {word for word in FILE_NAMES if word in node.value}
            if spelled and id(node) not in documentation:
                yield f"line {node.lineno} spells {spelled}"


def test_only_the_store_spells_its_file_names() -> None:
    assert not violations(file_names_of_the_store)


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize(
    "part", ["snapshot.take", "plan.plan", "shard.compute", "shard.commit", "shard.run", "batch"]
)
def test_the_flow_writes_through_the_store_alone(part: str) -> None:
    for node in ast.walk(modules()[f"codebatch.{part}"]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            writes = called.split(".")[-1] in WRITERS - {"open", "replace"}
            assert not writes, f"{part}:{node.lineno} calls {called}"
            if called in {"open", "os.replace"}:
                pytest.fail(f"{part}:{node.lineno} calls {called}")


def readings_of_the_wall_clock(name: str, tree: ast.Module) -> Iterator[str]:
    if name == "codebatch.model.clock":
        return
    owners = {"time", "datetime", "date", "datetime.datetime", "datetime.date"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in WALL_CLOCK and ast.unparse(node.func.value) in owners:
                yield f"line {node.lineno} calls {ast.unparse(node.func)}"
        elif isinstance(node, ast.ImportFrom) and node.module in {"time", "datetime"}:
            names = {alias.name for alias in node.names}
            if names & (WALL_CLOCK | {"datetime"}):
                yield f"line {node.lineno} imports {names}"


def test_only_the_clock_reads_the_wall_clock() -> None:
    assert not violations(readings_of_the_wall_clock)


def test_the_core_does_not_read_the_environment_of_a_shard() -> None:
    for name in (
        "codebatch.shard.compute",
        "codebatch.plan.plan",
        "codebatch.model.result_tree",
        "codebatch.model.digest",
    ):
        assert not import_time_imports(name) & {"os", "time", "random", "uuid", "secrets"}, name


def test_tests_are_in_folders_named_as_what_they_test() -> None:
    """What concerns several folders of the package is in ``tests/`` itself."""
    folders = {path.parent.name for path in (REPOSITORY / "tests").glob("*/test_*.py")}
    assert folders <= set(LAYERS) | {"deploy", "hostile", "oracles"}


def test_no_module_is_too_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not {path: length for path, length in lengths.items() if length > MAX_LINES}


LOADED = """
import sys, codebatch.cli
try:
    codebatch.cli.main(sys.argv[1:])
except SystemExit as stop:
    heavy = {name.partition(".")[0] for name in sys.modules}
    print("HEAVY", stop.code, sorted(heavy & {"dask", "distributed", "rich", "tree_sitter"}))
"""


@pytest.mark.parametrize(
    "words",
    [
        *("--help", "status", "summary", "errors", "files", "query outputs", "batches"),
        *("inspect pkg/cart.py", "show latest", "snapshots", "api"),
        *("pipelines", "export --format sarif --output /dev/null"),
    ],
)
def test_viewing_imports_neither_dask_nor_rich_nor_a_parser(words: str, scanned: Scanned) -> None:
    store = [] if words == "--help" else ["--store", str(scanned.path)]
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words.split(), *store],
        env=cli_environment(),
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "HEAVY 0 []"


def test_importing_the_package_imports_no_dask() -> None:
    code = "import sys, codebatch; codebatch.open_store; print('dask' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def ways_from_data_to_code(name: str, tree: ast.Module) -> Iterator[str]:
    unwanted = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "code"}
    roots = {target.split(".")[0] for target in all_imports(name)}
    if name == "codebatch.tasks.code.carry":  # what a run sends to processes of its own
        roots -= {"cloudpickle"}
    if name == "codebatch.tasks.tools.imports.yaml_text":  # with the safe loader alone
        roots -= {"yaml"}
    if found := roots & (unwanted | {"_pickle", "runpy", "ctypes.util"}):
        yield f"imports {found}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            words = {word.arg: word.value for word in node.keywords}
            if (
                called in {"eval", "exec", "__import__", "builtins.eval", "compile"}
                or called.endswith(("read_pickle", "allow_pickle"))
                or ("shell" in words and ast.unparse(words["shell"]) not in ("None", "False"))
                or "allow_pickle" in words
            ):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_nothing_that_is_read_can_name_code() -> None:
    """No pickle, no marshal, no eval, YAML of plain values in one place: what a store, a tree or a
    document holds is data.
    """
    assert not violations(ways_from_data_to_code)


@pytest.mark.parametrize(
    ("scheduler", "needed"), [("threads", ["dask", "tree_sitter"]), ("sync", ["tree_sitter"])]
)
def test_a_run_imports_dask_where_it_schedules(
    scheduler: str, needed: list[str], tree: Path, tmp_path: Path
) -> None:
    words = ["scan", tree, "--store", tmp_path / "store", "--scheduler", scheduler, "-q"]
    for heavy in (needed, []):
        done = subprocess.run(
            [sys.executable, "-c", LOADED, *map(str, words)],
            env=cli_environment(),
            capture_output=True,
            check=True,
            text=True,
        )
        assert done.stdout.splitlines()[-1] == f"HEAVY 0 {heavy}"
