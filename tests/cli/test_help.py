"""What ``--help`` shows: examples that are true, options under headings, whole sentences."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner
from conftest import Outcome

from codebatch.cli import cli
from codebatch.cli.commands.describe import iter_commands
from codebatch.cli.examples import EXAMPLES

COMMANDS = dict(iter_commands(cli))
Main = Callable[..., Outcome]


def test_every_command_has_an_example() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()
    assert all(EXAMPLES.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_command_lines(name: str) -> None:
    for line in EXAMPLES[name]:
        words = shlex.split(line)
        assert words[: len(name.split()) + 1] == ["codebatch", *name.split()]
        context = click.Context(cli, info_name="codebatch", **cli.context_settings)
        COMMANDS[name].make_context(name, words[len(name.split()) + 1 :], parent=context)


@pytest.mark.parametrize("width", ["60", "100"])
@pytest.mark.parametrize("name", ["", "query", "batch", "task", "snapshot", *COMMANDS])
def test_help_is_whole(name: str, width: str) -> None:
    """No sentence is cut, and each example has a line for itself."""
    told = CliRunner().invoke(cli, [*name.split(), "--help"], env={"COLUMNS": width})
    assert told.exit_code == 0, told.output
    _, _, told_of = told.output.partition("\n\n")  # after the usage
    assert [line for line in told_of.splitlines() if line.endswith("...")] == []
    assert [line for line in EXAMPLES.get(name, ()) if f"  {line}\n" not in told.output] == []


def test_options_stand_under_headings(main: Main) -> None:
    told = main("scan", "--help").out
    headings = [line for line in told.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Examples:", "Options:", "Which files:", "How to run:", "Output:"]
    assert told.index("How to run:") < told.index("--scheduler") < told.index("Output:")


def test_words_with_two_uses_stand_where_they_are_used(main: Main) -> None:
    """``--name`` chooses records of a query, and gives a batch a name."""
    asked = main("query", "symbols", "--help").out
    assert asked.index("Which records:") < asked.index("--name GLOB") < asked.index("Output:")
    made = main("scan", "--help").out
    assert made.index("--name NAME") < made.index("Which files:")
