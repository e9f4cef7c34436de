"""What the fingerprint of a user's task covers of its code, and what it refuses to cover."""

from __future__ import annotations

import importlib
import json
import py_compile
import re
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import cli_environment
from usercode import CELL, HELPER, TASK, Notebook, Project, changed, running_notebook

from codebatch.model.errors import CodeBatchError, TaskCodeError, TaskLoadError, TaskNotFoundError
from codebatch.tasks.code import Code, carry, describe, load_object
from codebatch.tasks.registry import find_task


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    # A module that is edited to as many bytes in the second it was loaded in is the old bytecode.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Project(tmp_path)


notebook = pytest.fixture(running_notebook)


WAYS_TO_IMPORT = {
    "relative": ("from .helper import number", "pass"),
    "relative module": ("from . import helper", "number = helper.number"),
    "absolute": ("import PKG.helper", "number = PKG.helper.number"),
    "nested": ("", "from .helper import number"),
    "star": ("from .helper import *", "pass"),
    "by a constant name": (
        "import importlib",
        "number = importlib.import_module('PKG.helper').number",
    ),
    "by an alias of a function": (
        "from importlib import import_module as load",
        "number = load('PKG.helper').number",
    ),
    "by an alias of a module": (
        "import importlib as il",
        "number = il.import_module('PKG.helper').number",
    ),
    "by the name of an object": (
        "import pkgutil",
        "number = pkgutil.resolve_name('PKG.helper:number')",
    ),
    "in a text that is run": ("", "number = eval(\"__import__('PKG.helper').helper.number\")"),
    "through another module": ("from .between import number", "pass"),
}


@pytest.mark.parametrize("way", WAYS_TO_IMPORT)
def test_comments_and_layout_are_no_part_and_helpers_are(way: str, project: Project) -> None:
    imports, body = WAYS_TO_IMPORT[way]
    project.write(
        {
            "PKG/__init__.py": "",
            "PKG/tasks.py": TASK.format(imports=imports, body=body),
            "PKG/helper.py": HELPER,
            "PKG/between.py": "from .helper import number\n",
        }
    )
    before = project.code()
    project.write({"PKG/helper.py": f"# a comment\n\n\n{HELPER.replace('1', '(1)')}"})
    assert project.code() == before
    project.write({"PKG/helper.py": HELPER.replace("1", "2")})
    assert project.changes(before, project.code()) == ["code PKG.helper"]
    assert project.load("PKG/tasks.py:count") is not None


def test_what_only_has_the_name_of_an_import(project: Project) -> None:
    """Methods, patterns and syntax trees are no imports."""
    lines = "import ast, re\nre.compile(str(1))\ncompile(str(1), '', 'eval')\nast.literal_eval('1')"
    own = "class Model:\n    def eval(self, x): return x\nModel().eval(str(1))"
    project.write({"PKG.py": TASK.format(imports=f"{lines}\n{own}\n{HELPER}", body="pass")})
    assert list(project.code("PKG.py:count").modules) == [project.package]


def test_two_tasks_of_a_package(project: Project) -> None:
    task = TASK.format(imports="from .helper import number", body="pass")
    other = task.replace("def count", "def other")
    project.write({"PKG/__init__.py": "", "PKG/helper.py": HELPER, "PKG/tasks.py": task})
    project.write({"PKG/others.py": f"from .tasks import count\n{other}"})
    first = project.load("PKG/tasks.py:count")
    before = describe(first)
    second = project.load("PKG/others.py:other")
    assert describe(first) == before
    assert sorted(describe(second).modules) == [
        project.package,
        *(f"{project.package}.{name}" for name in ("helper", "others", "tasks")),
    ]


def test_package_that_is_imported_already(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no two of its modules, whose classes would differ."""
    task = TASK.format(imports="from .helper import number", body="pass")
    project.write({"PKG/__init__.py": "", "PKG/helper.py": HELPER, "PKG/tasks.py": task})
    monkeypatch.syspath_prepend(project.folder)
    helper = importlib.import_module(f"{project.package}.helper")
    task = project.load("PKG/tasks.py:count")
    assert task.function.__globals__["number"] is helper.number
    assert task is load_object(f"{project.package}.tasks:count")


def test_file_beside_another(project: Project) -> None:
    project.write({"PKG.py": TASK.format(imports="from PKG_helper import number", body="pass")})
    project.write({"PKG_helper.py": HELPER, "unrelated.py": "1 / 0"})
    before = project.code("PKG.py:count")
    assert sorted(before.modules) == [project.package, f"{project.package}_helper"]
    project.write({"PKG_helper.py": HELPER.replace("1", "2"), "unrelated.py": ""})
    assert project.changes(before, project.code("PKG.py:count")) == ["code PKG_helper"]
    assert str(project.folder) not in sys.path


@pytest.mark.parametrize(
    "listed",
    [
        "__all__ = ['helper']",
        "__all__ = []\n__all__ += ['helper']",
        "import os\n__all__ = ['os']\n__all__.extend(('helper',))",
        "import glob as g\nfrom glob import *\n__all__ = g.__all__ + ['helper']",
    ],
)
def test_members_that_a_package_lists_are_followed(listed: str, project: Project) -> None:
    project.write(
        {
            "PKG/__init__.py": "",
            "PKG/sub/__init__.py": f"{listed}\n",
            "PKG/sub/helper.py": HELPER,
            "PKG/tasks.py": TASK.format(
                imports="from .sub import *", body="number = helper.number"
            ),
        }
    )
    assert f"{project.package}.sub.helper" in project.code().modules


def test_namespace_package(project: Project) -> None:
    task = TASK.format(imports="from PKG.inner.helper import number", body="pass")
    project.write({"PKG.py": "", "PKG_tasks.py": task.replace("PKG.", "PKG_ns.")})
    project.write({"PKG_ns/inner/helper.py": HELPER})
    code = project.code("PKG_tasks.py:count")
    assert sorted(code.modules) == [
        f"{project.package}_ns.inner.helper",
        f"{project.package}_tasks",
    ]


def test_versions_of_what_is_installed(project: Project) -> None:
    body = "import json, msgpack, tree_sitter; import not_there_at_all"
    project.write({"PKG.py": TASK.format(imports=f"def number():\n    {body}\n", body="pass")})
    found = project.code("PKG.py:count").distributions
    assert found == {
        "msgpack": importlib.metadata.version("msgpack"),
        "not_there_at_all": "",
        "tree-sitter": importlib.metadata.version("tree-sitter"),
    }


def test_task_of_an_installed_package(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own modules are covered one by one, what it imports from other distributions by version;
    an editable installation is the user's own.
    """
    task = TASK.format(imports="import PKG_lib\nimport PKG_own", body="from .helper import number")
    project.write(
        {
            "site-packages/PKG/__init__.py": "",
            "site-packages/PKG/tasks.py": task,
            "site-packages/PKG/helper.py": HELPER,
            "site-packages/PKG_lib/__init__.py": "import PKG_deeper",
            "site-packages/PKG_deeper.py": "",
            "src/PKG_own/__init__.py": "",
            "site-packages/PKG_own.pth": str(project.folder / "src"),
        }
    )
    name = project.package
    project.install(f"{name}_lib", "2.0")
    project.install(name, "1.0")
    monkeypatch.setattr(sys, "path", [*sys.path])
    site.addsitedir(str(project.folder / "site-packages"))
    code = describe(load_object(f"{name}.tasks:count"))
    assert sorted(code.modules) == [name, f"{name}.helper", f"{name}.tasks", f"{name}_own"]
    assert code.distributions == {f"{name}_lib-distribution": "2.0"}


DECORATED = """\
import functools, codebatch

def twice(function):
    @functools.wraps(function)
    def wrapper(file):
        yield from function(file)
        yield from function(file)
    return wrapper

@codebatch.task(version=1)
@twice
def count(file):
    yield codebatch.Metric("count", 1)

task = count
"""


def test_decorated_task(project: Project, notebook: Notebook) -> None:
    project.write({"PKG.py": DECORATED})
    task = project.load("PKG.py:count")
    assert list(describe(task).modules) == [project.package]
    assert adopted(task) == "[1, 1]"
    before = describe(notebook.run(DECORATED))
    assert adopted(notebook.names["task"]) == "[1, 1]"
    other = describe(notebook.run(DECORATED.replace('"count", 1', '"count", 2')))
    assert changed(before, other) == ["code function"]
    once = DECORATED.replace("        yield from function(file)\n", "", 1)
    assert changed(before, describe(notebook.run(once))) == ["code __main__:count"]


def test_task_of_a_function_of_another_module(project: Project, notebook: Notebook) -> None:
    function = "import codebatch\ndef number(file):\n    yield codebatch.Metric('n', 42)\n"
    made = "import codebatch, PKG_impl\nt = codebatch.task(version=1, name='t')(PKG_impl.number)\n"
    project.write({"PKG_impl.py": function, "PKG.py": made})
    project.write({"PKG_again.py": "from PKG import t\n"})
    task = project.load("PKG.py:t")
    name = project.package
    before = describe(task)
    assert sorted(before.modules) == [name, f"{name}_impl"]
    assert adopted(task) == "[42]"
    assert project.load("PKG_again.py:t") is task
    assert describe(task) == before
    notebook.run(made.replace("PKG", name).replace("\nt =", "\ntask ="))
    assert f"{name}_impl" in describe(notebook.names["task"]).modules
    assert adopted(notebook.names["task"]) == "[42]"


def test_module_that_a_worker_has_and_the_plan_has_not() -> None:
    missing = Code({}, {}, {"msgpack.not_there": "", "not_there_at_all": ""})
    assert missing.here() == missing
    planned = Code({}, {}, {"tree_sitter": "", "msgpack.ext": "", "json.decoder": ""})
    assert "" not in planned.here().distributions.values()
    assert planned.here().digest != planned.digest


def test_missing_module_of_a_package_that_is_there(project: Project) -> None:
    imports = "try:\n    import msgpack.not_there\nexcept ImportError:\n    pass\n" + HELPER
    project.write({"PKG.py": TASK.format(imports=imports, body="pass")})
    code = project.code("PKG.py:count")
    version = importlib.metadata.version("msgpack")
    assert code.distributions == {"msgpack": version, "msgpack.not_there": ""}
    assert code.here() == code


REFUSED_FILES: dict[str, tuple[dict[str, str], type[CodeBatchError], str]] = {
    "a module whose name is computed": (
        {"PKG.py": "import importlib\nname = 'a'\nimportlib.import_module(name)\n"},
        TaskCodeError,
        r"PKG\.py:3: import_module\(\) with a name that is computed",
    ),
    "a name that is computed, by an alias": (
        {"PKG.py": "from importlib import import_module as load\nload('a' + 'b')\n"},
        TaskCodeError,
        r"PKG\.py:2: import_module\(\) with a name that is computed",
    ),
    "a function that imports, passed on": (
        {"PKG.py": "import importlib as il\nload = il.import_module\nload('x')\n"},
        TaskCodeError,
        r"PKG\.py:2: import_module under another name",
    ),
    "a file by an alias": (
        {"PKG.py": "from importlib.util import spec_from_file_location as s\ns('x', 'x.py')\n"},
        TaskCodeError,
        r"PKG\.py:2: spec_from_file_location\(\)",
    ),
    "a text that is computed": (
        {"PKG.py": "import os\nexec(os.environ['X'])\n"},
        TaskCodeError,
        r"PKG\.py:2: exec\(\) with text that is computed",
    ),
    "a list of members that is computed": (
        {
            "PKG/tasks.py": "from .sub import *\n",
            "PKG/__init__.py": "",
            "PKG/sub/__init__.py": "import os\n__all__ = os.listdir()\n",
        },
        TaskCodeError,
        r"__init__\.py:2: names in __all__ that are computed",
    ),
    "a file by its path": (
        {"PKG.py": "import runpy\nrunpy.run_path('x.py')\n"},
        TaskCodeError,
        r"PKG\.py:2: run_path\(\)",
    ),
    "a syntax error": (
        {"PKG.py": "import PKG_helper\n", "PKG_helper.py": "x =\n"},
        TaskCodeError,
        r"PKG_helper\.py:1: not Python 3",
    ),
    "the name of the standard library": (
        {"PKG.py": "import json\n", "json.py": ""},
        TaskCodeError,
        r"json\.py has the name of a module of the standard library",
    ),
    "the name of what is installed": (
        {"PKG.py": "import msgpack\n", "msgpack.py": ""},
        TaskCodeError,
        "module msgpack is there twice",
    ),
    "the name of a package beside it": (
        {"PKG.py": "count = 1", "PKG/__init__.py": ""},
        TaskCodeError,
        r"PKG\.py cannot be imported as PKG: that is .*__init__\.py",
    ),
    "an import that leads out of the package": (
        {"PKG/__init__.py": "", "PKG/tasks.py": "from ... import x\n"},
        TaskCodeError,
        r"tasks\.py:1: a relative import outside of a package",
    ),
    "an error while it is loaded": (
        {"PKG.py": "import PKG_helper\n", "PKG_helper.py": "\n1 / 0\n"},
        TaskLoadError,
        r"ZeroDivisionError: division by zero \(.*PKG_helper\.py:2\)",
    ),
    "an error of what it calls": (
        {"PKG.py": "import json\n\njson.loads('{')\n"},
        TaskLoadError,
        r"JSONDecodeError: .* \(.*PKG\.py:3\)",
    ),
    "an end of the process": ({"PKG.py": "raise SystemExit(3)\n"}, TaskLoadError, "SystemExit: 3"),
    "a module that is not there": (
        {"PKG.py": "import not_there_at_all\n"},
        TaskLoadError,
        r"No module named 'not_there_at_all' \(.*PKG\.py:1\)",
    ),
    "no such name": ({"PKG.py": "counts = 1\n"}, TaskNotFoundError, "has no count"),
    "no such file": ({}, TaskNotFoundError, "no file"),
}


@pytest.mark.parametrize("what", REFUSED_FILES)
def test_what_a_file_may_not_do(what: str, project: Project) -> None:
    files, error, message = REFUSED_FILES[what]
    project.write(files)
    place = "PKG/tasks.py:count" if "PKG/tasks.py" in files else "PKG.py:count"
    with pytest.raises(error, match=message.replace("PKG", project.package)) as refused:
        project.load(place)
    assert "\n" not in refused.value.message


def test_nearest_name_is_said(project: Project) -> None:
    project.write({"PKG.py": "counts = 1\n"})
    with pytest.raises(TaskNotFoundError) as refused:
        project.load("PKG.py:count")
    assert refused.value.hints == ("the nearest: counts",)


def test_name_that_no_module_can_have(project: Project) -> None:
    project.write({"PKG.new.py": "count = 1"})
    with pytest.raises(TaskCodeError, match="no name of a module"):
        project.load("PKG.new.py:count")
    project.write({"PKG-new.py": TASK.format(imports=HELPER, body="pass")})
    assert adopted(project.load("PKG-new.py:count")) == "[1]"


def test_two_files_of_one_name(project: Project) -> None:
    project.write({"a/PKG.py": TASK.format(imports=HELPER, body="pass"), "b/PKG.py": "count = 1"})
    project.load("a/PKG.py:count")
    with pytest.raises(TaskCodeError, match="would both be module"):
        project.load("b/PKG.py:count")


@pytest.mark.parametrize("address", ["count", "nosuchmodule_x:count", ":count", "x.py:"])
def test_addresses_of_nothing(address: str) -> None:
    with pytest.raises(TaskNotFoundError):
        load_object(address)


def test_module_without_source(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write({"source/PKG.py": TASK.format(imports=HELPER, body="pass")})
    source = project.folder / "source" / f"{project.package}.py"
    py_compile.compile(str(source), str(project.folder / f"{project.package}.pyc"))
    monkeypatch.syspath_prepend(project.folder)
    with pytest.raises(TaskCodeError, match=f"module {project.package} has no source"):
        describe(load_object(f"{project.package}:count"))


def test_module_that_was_changed_since_it_was_imported(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write({"PKG/__init__.py": "", "PKG/helper.py": HELPER})
    project.write({"PKG/tasks.py": TASK.format(imports="from .helper import number", body="pass")})
    monkeypatch.syspath_prepend(project.folder)
    task = load_object(f"{project.package}.tasks:count")
    before = describe(task)
    project.write({"PKG/helper.py": f"# a comment\n{HELPER}"})
    assert describe(task) == before
    project.write({"PKG/helper.py": HELPER.replace("1", "2")})
    with pytest.raises(TaskCodeError, match=r"helper\.py was changed since") as refused:
        describe(task)
    assert refused.value.message.startswith("task count: ")
    importlib.invalidate_caches()
    importlib.reload(sys.modules[f"{project.package}.helper"])
    assert project.changes(before, describe(task)) == ["code PKG.helper"]


EDITED = {
    "function": ("def number():\n    return 1\n", "def number():\n    return 2\n"),
    "cached function": (
        "import functools\n@functools.lru_cache\ndef number():\n    return 1\n",
        "import functools\n@functools.lru_cache\ndef number():\n    return 2\n",
    ),
    "constant": (
        "LIMIT = 1\ndef number():\n    return LIMIT\n",
        "LIMIT = 2\ndef number():\n    return LIMIT\n",
    ),
    "method": (
        "class One:\n    @property\n    def n(self):\n        return 1\nnumber = lambda: One().n\n",
        "class One:\n    @property\n    def n(self):\n        return 2\nnumber = lambda: One().n\n",
    ),
}


@pytest.mark.parametrize("what", EDITED)
def test_helper_that_was_changed_before_a_cell_made_the_task(
    what: str, notebook: Notebook, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = EDITED[what]
    project.write({"PKG_helper.py": before})
    monkeypatch.syspath_prepend(project.folder)
    name = f"{project.package}_helper"
    notebook.run(f"from {name} import number")
    project.write({"PKG_helper.py": f"# now another\n{after}"})
    task = notebook.run(CELL.format(body="pass", value="number()"))
    with pytest.raises(TaskCodeError, match=rf"{name} was imported"):
        describe(task)
    importlib.invalidate_caches()
    importlib.reload(sys.modules[name])
    notebook.run(f"from {name} import number")
    assert "__main__:task" in describe(task).modules


def test_sibling_that_was_changed_before_the_first_plan(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is of no package: what all modules were is kept when the task is made."""
    project.write({"PKG_helper.py": "TABLE = {'a': 1}\n"})
    project.write({"PKG.py": TASK.format(imports="from PKG_helper import TABLE", body="pass")})
    monkeypatch.syspath_prepend(project.folder)
    task = load_object(f"{project.package}:count")
    project.write({"PKG_helper.py": "TABLE = {'a': 2}\n"})
    with pytest.raises(TaskCodeError, match=r"_helper\.py was changed since"):
        describe(task)


UNCHANGED = '''"""All that Python makes of a module."""
from __future__ import annotations
import dataclasses, enum, functools, types, typing, collections, contextlib

LIMIT, NAMES, SET = 1, ("a", "b"), {"a", "b"}
state = None
count = 0
for item in (1, 2):
    pass
Pair = collections.namedtuple("Pair", "a b")

@dataclasses.dataclass(frozen=True)
class Record:
    a: int = 1
    def both(self, where=(1.5, {"x": 2})):
        class Inner:
            def one(self):
                self.x, self.y = 1, 2
            def two(self):
                return self.x in {1, 2, "three"}
        return [Inner for _ in range(self.a)]

class Colour(enum.Enum):
    RED = 1

class Base(typing.Generic[typing.TypeVar("T")]):
    @functools.cached_property
    def made(self): return 1
    @staticmethod
    def still(): return -1
    @contextlib.contextmanager
    def around(self): yield

def set_state():
    global state, count
    state, count = 1, count + 1

def made(n):
    def inner(x: int = n) -> int:
        assert x
        return x + n
    return inner

number = functools.partial(made(1), 2)
@types.coroutine
def turn(): yield
async def later(): return [x async for x in later()]
try:
    import not_there_at_all
except ImportError:
    FALLBACK = True
    def fallback(): return 1
set_state()
'''


def test_module_that_was_not_changed(
    notebook: Notebook, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write({"PKG_helper.py": UNCHANGED})
    monkeypatch.syspath_prepend(project.folder)
    name = f"{project.package}_helper"
    notebook.run(f"import {name} as helper")
    task = notebook.run(CELL.format(body="pass", value="helper.number()"))
    before = describe(task)
    assert name in before.modules
    project.write({"PKG_helper.py": f"\n\n# moved\n{UNCHANGED}"})
    assert describe(task) == before


def test_two_tasks_of_one_function_of_a_module(project: Project) -> None:
    task = TASK.format(imports="", body="pass").replace("\n", "\n    ").replace("number()", "n")
    project.write({"PKG.py": f"def at_most(n):\n    {task}\n    return count\n"})
    made = "t3 = at_most(3)\nt5 = at_most(5)\n"
    file = project.folder / f"{project.package}.py"
    file.write_text(file.read_text() + made)
    t3, t5 = project.load("PKG.py:t3"), project.load("PKG.py:t5")
    assert describe(t3).digest != describe(t5).digest
    assert describe(t3) == project.code("PKG.py:t3")
    assert (adopted(t3, t5), adopted(t5, t3)) == ("[3]", "[5]")


def test_all_that_import_a_changed_module_are_loaded_anew(project: Project) -> None:
    task = TASK.format(imports="from PKG_between import number", body="pass")
    project.write({"PKG_between.py": "from PKG_helper import number\n", "PKG_helper.py": HELPER})
    project.write({"PKG_a.py": task, "PKG_b.py": task.replace("_between", "_helper")})
    project.load("PKG_a.py:count")
    project.write({"PKG_helper.py": HELPER.replace("1", "2")})
    assert [one.value for one in project.load("PKG_b.py:count")(None)] == [2]
    assert [one.value for one in project.load("PKG_a.py:count")(None)] == [2]


def test_modules_of_a_package_are_loaded_anew_together(project: Project) -> None:
    task = TASK.format(imports="from . import helper", body="number = helper.number")
    project.write({"PKG/__init__.py": "", "PKG/helper.py": HELPER, "PKG/a.py": task})
    project.write({"PKG/b.py": task})
    project.load("PKG/a.py:count")
    project.write({"PKG/helper.py": HELPER.replace("1", "2")})
    for place in ("PKG/b.py:count", "PKG/a.py:count"):
        assert [one.value for one in project.load(place)(None)] == [2]


def test_script_that_was_changed_since_it_was_started(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    changes = "with open(__file__, 'a') as file: file.write('# more')\n"
    shows = "from codebatch.tasks.code import describe\nprint(describe(task).digest)\n"
    script.write_text(CELL.format(body="pass", value="1") + shows + changes + shows)
    done = subprocess.run(
        [sys.executable, script], env=cli_environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("sha256:")
    assert f"{script} was changed since it was loaded" in done.stderr


def test_the_same_cell_again(notebook: Notebook) -> None:
    before = describe(notebook.run(CELL.format(body="pass", value="1")))
    assert before == describe(notebook.run("\n\n" + CELL.format(body="pass  # now", value="1")))
    after = describe(notebook.run(CELL.format(body="pass", value="2")))
    assert changed(before, after) == ["code __main__:task"]


FIELD = "import dataclasses\n@dataclasses.dataclass\nclass value:\n    one: int = "

# Definitions in another cell of what the task reads as ``value``, and other ones.
VALUES = {
    "number": ("value = 1", "value = 2"),
    "float": ("value = 0.1", "value = 0.2"),
    "type of number": ("value = 1", "value = True"),
    "text": ("value = 'a'", "value = 'b'"),
    "order of a list": ("value = [1, 2]", "value = [2, 1]"),
    "depth of a dict": ("value = {'a': {'b': 1}}", "value = {'a': {'b': 2}}"),
    "set": ("value = {'a', 'b', 'c'}", "value = {'a', 'b'}"),
    "pattern": ("import re; value = re.compile('a')", "import re; value = re.compile('b')"),
    "path": (
        "import pathlib; value = pathlib.PurePosixPath('a')",
        "import pathlib; value = pathlib.PurePosixPath('b')",
    ),
    "function": ("def value():\n    return 1", "def value():\n    return 2"),
    "what a function reads": (
        "n = 1\ndef value():\n    return n",
        "n = 2\ndef value():\n    return n",
    ),
    "default": ("def value(n=1):\n    return n", "def value(n=2):\n    return n"),
    "closure": (
        "def make(n):\n    return lambda: n\nvalue = make(1)",
        "def make(n):\n    return lambda: n\nvalue = make(2)",
    ),
    "cached function": (
        "import functools\n@functools.cache\ndef value():\n    return 1",
        "import functools\n@functools.cache\ndef value():\n    return 2",
    ),
    "partial": (
        "import functools; value = functools.partial(int, '1')",
        "import functools; value = functools.partial(int, '2')",
    ),
    "method of a class": (
        "class value:\n    def one(self):\n        return 1",
        "class value:\n    def one(self):\n        return 2",
    ),
    "docstring of a class": ("class value:\n    'a'", "class value:\n    'b'"),
    "attribute of a class": ("class value:\n    one = 1", "class value:\n    one = 2"),
    "property": (
        "class value:\n    @property\n    def one(self):\n        return 1",
        "class value:\n    @property\n    def one(self):\n        return 2",
    ),
    "field of a dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass value:\n    one: int = 1",
        "import dataclasses\n@dataclasses.dataclass\nclass value:\n    one: int = 2",
    ),
    "what makes a default": (
        f"def make(): return 1\n{FIELD}dataclasses.field(default_factory=make)",
        f"def make(): return 2\n{FIELD}dataclasses.field(default_factory=make)",
    ),
    **{
        f"{option} of a field": (
            f"{FIELD}dataclasses.field(default=1, {option}=True)",
            f"{FIELD}dataclasses.field(default=1, {option}=False)",
        )
        for option in ("compare", "hash", "init", "repr", "kw_only")
    },
    "attribute of a function": (
        "def value(): pass\nvalue.limit = 1",
        "def value(): pass\nvalue.limit = 2",
    ),
    "attribute of a cached function": (
        "import functools\n@functools.cache\ndef value(): pass\nvalue.limit = 1",
        "import functools\n@functools.cache\ndef value(): pass\nvalue.limit = 2",
    ),
    "lambdas on a line": (
        "value, other = lambda n: n + 1, lambda n: n + 2",
        "other, value = lambda n: n + 1, lambda n: n + 2",
    ),
    "metaclass": (
        "class M(type):\n    one = 1\nclass value(metaclass=M): pass",
        "class M(type):\n    one = 2\nclass value(metaclass=M): pass",
    ),
    "object": (
        "class K:\n    def __init__(self, n):\n        self.n = n\nvalue = K(1)",
        "class K:\n    def __init__(self, n):\n        self.n = n\nvalue = K(2)",
    ),
    "enumeration": (
        "import enum\nclass K(enum.Enum):\n    A = 1\n    B = 2\nvalue = K.A",
        "import enum\nclass K(enum.Enum):\n    A = 1\n    B = 2\nvalue = K.B",
    ),
    "recursion": (
        "def value(n):\n    return value(n - 1) if n else 1",
        "def value(n):\n    return value(n - 1) if n else 2",
    ),
}


def test_lambdas_on_the_very_line(notebook: Notebook) -> None:
    notebook.run("both = [lambda n: n + 1, lambda n: n + 2, lambda n: n in (1, 2)]")
    task = notebook.run(CELL.format(body="pass", value="value(1)"))
    found = []
    for which in (0, 0, 1, 2):
        notebook.names["value"] = notebook.names["both"][which]
        found.append(describe(task).digest)
    assert found[0] == found[1]
    assert len(set(found)) == 3


@pytest.mark.parametrize("what", VALUES)
def test_values_that_a_cell_reads(what: str, notebook: Notebook) -> None:
    one, other = VALUES[what]
    notebook.run(one)
    task = notebook.run(CELL.format(body="pass", value="str(value)"))
    before = describe(task)
    notebook.run(one)
    assert describe(task) == before
    notebook.run(other)
    assert changed(before, describe(task)) == ["code value"]


def test_what_nothing_reads_is_no_part(notebook: Notebook) -> None:
    notebook.run("other = open('/dev/null')\nvalue = 1")
    task = notebook.run(CELL.format(body="pass", value="value"))
    before = describe(task)
    notebook.run("other.close()\nother = 2")
    assert describe(task) == before


def test_a_global_that_is_only_set_is_no_input(notebook: Notebook) -> None:
    notebook.run("value = 1")
    task = notebook.run(CELL.format(body="global value; value = 3", value="1"))
    before = describe(task)
    notebook.run("value = 2")
    assert describe(task) == before


def test_attribute_of_the_function_of_a_task(notebook: Notebook) -> None:
    task = notebook.run(CELL.format(body="pass", value="task.function.limit"))
    found = []
    for limit in (1, 1, 2):
        task.function.limit = limit
        found.append(describe(task))
    assert found[0] == found[1]
    assert "code __main__:task" in changed(found[1], found[2])


COUNTER = """\
def make(n):
    def count():
        nonlocal n
        n += 1
        return n
    return count
value = make(0)
"""
# Cells, the last one with a task that reads what none of its names tells, and what the error says.
UNKNOWN = {
    "global that it sets": (
        "value = 1",
        CELL.format(body="global value; value += 1", value="value"),
        "task() reads value, which task() sets: its value is not known before it runs",
    ),
    "global that is not there yet": (
        "def fill():\n    global value\n    value = 1",
        CELL.format(body="fill()", value="value"),
        "task() reads value, which fill() sets",
    ),
    "variable of the function around it": (
        COUNTER,
        CELL.format(body="pass", value="value()"),
        "make.<locals>.count() reads n, which make.<locals>.count() sets",
    ),
    "all globals": (
        "value = 1",
        CELL.format(body="pass", value="globals()['value']"),
        "task() uses globals: what it reads by it is not known before it runs",
    ),
    "globals by another name": (
        "value = globals",
        CELL.format(body="pass", value="value()"),
        "value, which task() reads: a builtins.builtin_function",
    ),
    "globals of a function": (
        "def other(): pass",
        CELL.format(body="pass", value="other.__globals__"),
        "task() uses __globals__",
    ),
    "all that the main module has": (
        "value = vars()",
        CELL.format(body="pass", value="value['a']"),
        "value, which task() reads: a builtins.dict is no part of a key",
    ),
    "main module": (
        "import __main__ as value",
        CELL.format(body="pass", value="vars(value)['a']"),
        "value, which task() reads: a builtins.module is no part of a key",
    ),
    "import of the main module": (
        "value = 1",
        CELL.format(body="import __main__", value="__main__.value"),
        "task() imports __main__: what it reads of it is not known",
    ),
    "import of a name of the main module": (
        "def other():\n    from __main__ import value\n    return value",
        CELL.format(body="pass", value="other()"),
        "other() imports __main__",
    ),
    "all modules": (
        "import sys",
        CELL.format(body="pass", value="sys.modules['__main__'].value"),
        "task() uses sys.modules",
    ),
    "text that is run": ("", CELL.format(body="pass", value="eval('1')"), "task() uses eval"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_a_cell_reads_by_no_name(what: str, notebook: Notebook) -> None:
    *cells, message = UNKNOWN[what]
    task = [notebook.run(cell) for cell in cells][-1]
    with pytest.raises(TaskCodeError, match=re.escape(f"task task: {message}")) as refused:
        describe(task)
    assert refused.value.hints


def test_own_module_that_a_cell_reads(
    notebook: Notebook, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write({"PKG/__init__.py": "", "PKG/helper.py": HELPER})
    monkeypatch.syspath_prepend(project.folder)
    name = project.package
    notebook.run(f"import {name}.helper")
    task = notebook.run(CELL.format(body="pass", value=f"{name}.helper.number()"))
    assert f"{name}.helper" in describe(task).modules
    notebook.run(f"from {name}.helper import number")
    task = notebook.run(CELL.format(body="pass", value="number()"))
    assert f"{name}.helper" in describe(task).modules


# Values that have an identity, and what the error names; ``held`` is closed in the end.
REFUSED_VALUES = {
    "open file": ("value = held = open('/dev/null')", "value, which task() reads: a _io.TextIO"),
    "lock": ("import threading; value = threading.Lock()", "value, which task() reads: a _thread."),
    "socket": (
        "import socket; value = held = socket.socket()",
        "value, which task() reads: a socket.socket",
    ),
    "generator": ("value = (n for n in 'a')", "value, which task() reads: a builtins.generator"),
    "file in a closure": (
        "held = open('/dev/null')\ndef make(file):\n    return lambda: file\nvalue = make(held)",
        "file, which make.<locals>.<lambda>() reads: a _io.TextIO",
    ),
    "object that is pickled by a name": (
        "class K:\n    def __reduce__(self): return 'value'\nvalue = K()",
        "value, which task() reads: a __main__.K is no part of a key (it is pickled by a name)",
    ),
    "file in a list": ("held = open('/dev/null'); value = [held]", "value, which task() reads: a"),
    "function without source": ("exec('def value(): pass')", "there is no source of value()"),
}


@pytest.mark.parametrize("what", REFUSED_VALUES)
def test_values_that_no_key_covers(what: str, notebook: Notebook) -> None:
    definition, message = REFUSED_VALUES[what]
    notebook.run(definition)
    task = notebook.run(CELL.format(body="pass", value="value"))
    with pytest.raises(TaskCodeError, match=re.escape(message)) as refused:
        describe(task)
    assert refused.value.message.startswith("task task: ")
    assert refused.value.hints
    if "held" in notebook.names:
        notebook.names["held"].close()


def test_closure_of_a_task(notebook: Notebook) -> None:
    make = CELL.replace("\n", "\n    ").format(body="pass", value="limit").strip()
    notebook.run(f"def make(limit):\n    {make}\n    return task\n")
    one, same, other = (notebook.run(f"task = make({n})") for n in (1, 1, 2))
    assert describe(one) == describe(same)
    assert changed(describe(one), describe(other)) == ["code limit"]


DECLARED = """\
import sys, dataclasses, codebatch
@dataclasses.dataclass
class Own:
    value: int
RULES = [codebatch.Rule("LONG", title="Long")]
if {computed}:
    Own.kind = "other"
    RULES = [codebatch.Rule("LONG", title="Long", name="too-long")]
@codebatch.task(version=1, records=[Own, codebatch.Diagnostic], rules=RULES)
def task(file):
    yield codebatch.Diagnostic("LONG", "info", 1, "long")
"""


@pytest.mark.parametrize("name", ["__main__", "PKG"])
def test_what_is_declared_of_records(
    name: str, notebook: Notebook, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may follow from what no source tells, such as the arguments of a script."""
    source = DECLARED.format(computed="sys.argv[1:] == ['other']")
    found = []
    project.write({"PKG.py": source})
    for arguments in (["task"], ["task"], ["task", "other"]):
        monkeypatch.setattr(sys, "argv", arguments)
        sys.modules.pop(project.package, None)
        task = notebook.run(source) if name == "__main__" else project.load("PKG.py:task")
        found.append(describe(task))
    assert found[0] == found[1]
    assert changed(found[1], found[2]) == ["code records=", "code rules="]


def test_class_of_a_batch_task(notebook: Notebook) -> None:
    cell = """\
import codebatch
@codebatch.task(version=1, scope="batch", needs=["parse"])
class task:
    def map(self, records, config):
        return {value}
    def combine(self, a, b):
        return a + b
    def finish(self, total, config):
        return []
"""
    before = describe(notebook.run(cell.format(value=1)))
    assert describe(notebook.run(f"# again\n{cell.format(value=1)}")) == before
    after = describe(notebook.run(cell.format(value=2)))
    assert changed(before, after) == ["code __main__:task"]


HASHED = """\
import sys
from codebatch.tasks.code import describe, load_object
print(describe(load_object(sys.argv[1])).digest)
"""


def in_another_process(program: str, *arguments: str, data: bytes = b"", seed: str = "1") -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**cli_environment(), "PYTHONHASHSEED": seed},
        input=data,
        capture_output=True,
        check=True,
        cwd="/",
    )
    return done.stdout.decode()


# Values whose digest was, or could be, another one in every process.
STABLE = {
    "set": "value = set('abcdefgh')",
    "set in a set": "value = {frozenset('abcdefgh'), frozenset('ijklmnop')}",
    "class of a set": "class S(set): pass\nvalue = S('abcdefgh')",
    "class of a frozen set": "class S(frozenset): pass\nvalue = {'a': S('abcdefgh')}",
    "class of a dict": "class D(dict): pass\nvalue = D(a=set('abcdefgh'))",
    "fields": "@dataclasses.dataclass\nclass value:\n    one: int\n    two: 'str' = 'a'",
    "object as a default": "@dataclasses.dataclass\nclass value:\n    one: object = object()",
    "made default": (
        "def make(): return 1\n@dataclasses.dataclass(frozen=True, order=True)\nclass value:\n"
        "    one: int = dataclasses.field(default_factory=make, metadata={'a': {'b', 'c', 'd'}})"
    ),
    "object of a dataclass": (
        "@dataclasses.dataclass(slots=True)\nclass K:\n    one: set[str]\n"
        "value = K(set('abcdefgh'))"
    ),
    "fields of a base": (
        "@dataclasses.dataclass\nclass B:\n    one: dataclasses.InitVar[int]\n"
        "@dataclasses.dataclass(kw_only=True)\nclass value(B):\n    two: int | None = None"
    ),
    "enumeration": "class E(enum.Enum):\n    A = 'a'\n    B = 'b'\nvalue = E.B",
    "flags": "class E(enum.Flag):\n    A = 1\n    B = 2\nvalue = {E.A, E.B, E.A | E.B}",
    "named tuple": "class N(typing.NamedTuple):\n    one: int\n    two: str = 'a'\nvalue = N(1)",
    "variable of a type": (
        "T = typing.TypeVar('T')\nclass value(typing.Generic[T]):\n    def one(self) -> T: pass"
    ),
    "slots": (
        "class K:\n    __slots__ = ('a', 'b')\n"
        "    def __init__(self): self.a, self.b = 1, 2\nvalue = K()"
    ),
    "abstract class": (
        "class A(abc.ABC):\n    @abc.abstractmethod\n    def a(self): pass\n"
        "    @abc.abstractmethod\n    def b(self): pass\nclass value(A):\n    def a(self): pass"
    ),
    "metaclass": "class M(type): pass\nclass value(metaclass=M): pass",
    "nested functions": (
        "def make(n):\n    def one():\n        return two() + n\n    def two():\n"
        "        return n in set('abc')\n    return one\nvalue = make(1)"
    ),
    "partial": "value = functools.partial(sorted, set('abcdefgh'), key=len)",
    "pattern": "value = re.compile('a|b', re.I | re.M)",
    "cached": "@functools.lru_cache\ndef value(): return {'a', 'b', 'c'}",
    "constant set": "def value(n): return n in {'a', 'b', 'c', 'd'}",
    "lambda": "value = lambda n: n in {'a', 'b', 'c', 'd'}",
}
HASHED_VALUES = """\
import json, linecache, sys, types
from codebatch.tasks.code import describe
cells, task = json.load(sys.stdin)
for number, cell in enumerate(cells):
    names = types.ModuleType("__main__").__dict__
    for part, source in enumerate((cell, task)):
        file = f"cell {number} {part}"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), names)
    print(describe(names["task"]).digest)
"""


def test_digests_of_values_are_the_same_in_every_process() -> None:
    imports = "import abc, dataclasses, enum, functools, re, typing\n"
    cells = [imports + definition for definition in STABLE.values()]
    data = json.dumps([cells, CELL.format(body="pass", value="value")]).encode()
    one, other = (
        in_another_process(HASHED_VALUES, data=data, seed=seed).split() for seed in ("1", "2")
    )
    assert dict(zip(STABLE, one, strict=True)) == dict(zip(STABLE, other, strict=True))
    assert len(set(one)) == len(STABLE)


def test_digest_is_the_same_in_every_process(project: Project) -> None:
    cell = CELL.replace("\n", "\n    ").format(body="pass", value="len(value)").strip()
    made = f"def make():\n    {cell}\n    return task\nclass K:\n    task = make()\n"
    project.write({"PKG.py": f"value = {set('abcdefgh')}\n{made}"})
    place = str(project.folder / f"{project.package}.py:K.task")
    digests = {in_another_process(HASHED, place, seed=seed) for seed in ("1", "2")}
    assert len(digests) == 1


ADOPTED = """\
import sys
from codebatch.tasks.code import adopt, known_task
adopt(sys.stdin.buffer.read())
task = known_task(*sys.argv[1:]).task
print([record.value for record in task(None)])
"""


def adopted(task: Any, *others: Any) -> str:
    """Return what a task yields in a process that has its code from a message alone."""
    data, digest = carry([task, *others]), describe(task).digest
    return in_another_process(ADOPTED, task.name, digest, data=data).strip()


def test_carry_a_package(project: Project) -> None:
    project.write({"PKG/__init__.py": "", "PKG/sub/helper.py": HELPER.replace("1", "41 + 1")})
    lazily = TASK.format(imports="", body="from .sub.helper import number")
    project.write({"PKG/tasks.py": lazily})
    task = project.load("PKG/tasks.py:count")
    project.write({"PKG/sub/helper.py": "1 / 0", "PKG/tasks.py": "1 / 0"})
    assert adopted(task) == "[42]"


CARRIED_CELLS: dict[str, Callable[[Notebook], Any]] = {
    "function": lambda cells: cells.run(CELL.format(body="pass", value="42")),
    "other cells": lambda cells: [
        cells.run("import json\nN = json.loads('40')\ndef two():\n    return 2"),
        cells.run(CELL.format(body="pass", value="N + two()")),
    ][1],
    "closure": lambda cells: cells.run(
        "def make(n):\n    "
        + CELL.replace("\n", "\n    ").format(body="pass", value="n")
        + "return task\ntask = make(42)"
    ),
}


@pytest.mark.parametrize("what", CARRIED_CELLS)
def test_carry_a_cell(what: str, notebook: Notebook) -> None:
    assert adopted(CARRIED_CELLS[what](notebook)) == "[42]"


def test_built_in_tasks_need_no_code() -> None:
    assert carry([find_task("parse")]) == b""


class _Disguised:
    """Says that it is a module and has no dict, as a library of cffi does."""

    __slots__ = ()
    __class__ = type(sys)  # type: ignore[assignment]


def test_what_stands_in_for_a_module_is_passed_by(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "disguised", _Disguised())
    imports, body = WAYS_TO_IMPORT["relative"]
    project.write({"PKG/__init__.py": "", "PKG/helper.py": HELPER})
    project.write({"PKG/tasks.py": TASK.format(imports=imports, body=body)})
    assert project.code().as_document()
