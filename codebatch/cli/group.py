"""The click group in which errors become messages and exit codes, and nowhere else."""

from __future__ import annotations

import contextlib
import errno
import importlib
import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import click

from codebatch.cli import streams
from codebatch.model.errors import (
    EXIT_BUG,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    CodeBatchError,
    MachineExhaustedError,
    StoreReadError,
    UsageError,
)
from codebatch.model.shortage import shortage_of
from codebatch.runtime.lazy import lazily

with lazily():
    import traceback

    from codebatch.cli import completion, config, help_text
    from codebatch.cli.render import output

_MISNAMED = {errno.ELOOP, errno.ENAMETOOLONG}
_REFUSALS = {errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}
_LONGEST_NAME = 200
# A hint is a command, or ends with one after a colon. `init` names a store to make.
_STORE_COMMAND = re.compile(r"(?:^|: )codebatch (?!init\b|.*--help)")
_LINE_ENDS = re.compile(r"\s*\n\s*")


class ReportingGroup(click.Group):
    """A group whose commands may raise `CodeBatchError`."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Make click's context; mistakes in the command line are reported."""
        arguments = args[1] if len(args) > 1 else kwargs.get("args", [])
        with reporting(as_json=_wants_json(arguments), store=_value_of("--store", arguments)):
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command as click does; everything that goes wrong is reported."""
        arguments = [*getattr(ctx, "_protected_args", ()), *ctx.args]
        with reporting(as_json=_wants_json(arguments), store=_value_of("--store", arguments)):
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with the first sentence of their help."""
        help_text.write_commands(formatter, "Commands", self.commands)


class SectionedGroup(ReportingGroup):
    """A group whose help lists its commands under headings."""

    def __init__(
        self, *args: Any, sections: Mapping[str, Collection[str]] | None = None, **extra: Any
    ) -> None:
        super().__init__(*args, **extra)
        self.sections = sections or {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each heading with its commands and the first sentence of their help."""
        width = max(map(len, self.commands))
        for heading, names in self.sections.items():
            found = {f"{name:<{width}}": self.commands[name] for name in names}
            help_text.write_commands(formatter, heading, found)


def root_command(ctx: click.Context) -> click.Group:
    """Our own root, which may be a command of another program, as in ``dask codebatch``."""
    contexts = [ctx]
    while contexts[-1].parent is not None:
        contexts.append(contexts[-1].parent)
    groups = (one.command for one in reversed(contexts))
    return next(group for group in groups if isinstance(group, ReportingGroup))


class CommandTable(Mapping[str, click.Command]):
    """The commands of a group by name, each with the place (``module:name``) to import it from
    when it is asked for.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self._places[name].partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), attribute))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class OnceCommand(click.Command):
    """A command that refuses an option given twice, where click would take the last."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Make click's context, with defaults of the configuration file; where a shell completes a
        line, parameters offer values.
        """
        if extra.get("resilient_parsing"):
            completion.offer_values(self)
        extra["default_map"] = config.Defaults(self, parent, info_name or "")
        return super().make_context(info_name, args, parent, **extra)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of the command, then its examples."""
        super().format_help_text(ctx, formatter)
        help_text.write_examples(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings, with defaults that hold everywhere."""
        ctx.default_map = None
        help_text.write_options(self, ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Count the options before click folds them."""
        given = Counter(word.split("=", 1)[0] for word in _options(args))
        for parameter in self.get_params(ctx):
            single = isinstance(parameter, click.Option) and not parameter.multiple
            if single and sum(given[name] for name in parameter.opts) > 1:
                raise click.UsageError(f"{parameter.opts[0]} is given twice", ctx)
        return super().parse_args(ctx, args)


class LeadingCommand(OnceCommand):
    """A command that leads others: ``snapshot DIR``, and ``snapshot rm``."""

    commands: Mapping[str, click.Command] = {}

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **extra: Any
    ) -> click.Context:
        """The context of the command that is named first, else as click's."""
        led = self.commands.get(args[0]) if args else None
        if led is None:
            return super().make_context(info_name, args, *rest, **extra)
        return led.make_context(f"{info_name} {args[0]}", args[1:], *rest, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands it leads."""
        super().format_options(ctx, formatter)
        help_text.write_commands(formatter, "Commands", self.commands)


@contextlib.contextmanager
def reporting(*, as_json: bool, store: str | None = None) -> Iterator[None]:
    """Turn an exception into a message on the right stream and an exit with the right code.

    Commands that hints name are those of ``store``, where it was given.
    """
    with streams.guarded():
        try:
            with _settled():
                yield
        except streams.ReaderGoneError:  # what the reader did not want is no error
            sys.exit(EXIT_OK)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            sys.exit(EXIT_INTERRUPTED)
        except CodeBatchError as error:
            error.hints = tuple(_in_store(hint, store) for hint in error.hints)
            _report(error, as_json=as_json)
        except click.ClickException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later
                error.show()
                sys.exit(EXIT_USAGE)
            context = getattr(error, "ctx", None)
            hints = [f"see {context.command_path} --help"] if context else []
            # Click lays choices out in lines: an error is one.
            message = _LINE_ENDS.sub(" ", error.format_message())
            _report(UsageError(message, hints=hints), as_json=as_json)
        except (click.exceptions.Exit, SystemExit):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: say that it is our mistake
            _report_unforeseen(error, as_json=as_json)


@contextlib.contextmanager
def _settled() -> Iterator[None]:
    """Run a block, and check at its end, or at its exit, that all it printed was taken."""
    try:
        yield
    except (click.exceptions.Exit, SystemExit):
        streams.settle()
        raise
    streams.settle()


def _report_unforeseen(error: Exception, *, as_json: bool) -> None:
    if isinstance(error, OSError) and error.errno in _MISNAMED:
        _report(UsageError(f"{error.strerror}: {_shortened(error.filename)}"), as_json=as_json)
    if isinstance(error, FileNotFoundError) and error.filename is None and not _is_anywhere():
        hints = ["change to one that is there"]
        _report(UsageError("the current folder was removed", hints=hints), as_json=as_json)
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        where = _shortened(error.filename or "a file")
        hints = ["restore the permission, or see to the device"]
        refused = StoreReadError(f"cannot use {where}: {error.strerror}", hints=hints)
        _report(refused, as_json=as_json)
    lacking = shortage_of(error, memory_is_limited=False)
    if lacking is not None:
        _report(MachineExhaustedError(str(lacking)), as_json=as_json)
    traceback.print_exception(error)
    message = f"this is a bug in codebatch: {type(error).__name__}: {error}"
    output.write_error(message, ["please report it with the lines above"])
    sys.exit(EXIT_BUG)


def _is_anywhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _shortened(name: object) -> str:
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def _options(args: Sequence[str]) -> list[str]:
    end = args.index("--") if "--" in args else len(args)
    return [word for word in args[:end] if word.startswith("-")]


def _wants_json(args: Sequence[str]) -> bool:
    """Return True if stdout is to hold one JSON document."""
    return "--json" in args or ("--format", "json") in _pairs(args)


def _in_store(hint: str, store: str | None) -> str:
    """The hint; a command on what is in a store, with which it ends, is for the same store."""
    return hint + output.store_option(store) if _STORE_COMMAND.search(hint) else hint


def _value_of(option: str, args: Sequence[str]) -> str | None:
    """The value of an option, if it is given one."""
    return dict(_pairs(args)).get(option)


def _pairs(args: Sequence[str]) -> list[tuple[str, str]]:
    """Every word with the one after it, and what stands on both sides of an equals sign."""
    split = (word.partition("=") for word in args if "=" in word)
    return [*itertools.pairwise(args), *((name, value) for name, _, value in split)]


def _report(error: CodeBatchError, *, as_json: bool) -> None:
    as_text = not as_json or isinstance(error, streams.StdoutError)
    if not as_text:
        try:
            output.write_document(error.as_document())
        except (streams.ReaderGoneError, streams.StdoutError):
            as_text = True
    if as_text:
        output.write_error(error.message, error.hints)
    sys.exit(error.exit_code)
