"""``codebatch inspect``: one file of a batch, or one line of it."""

from __future__ import annotations

from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.group import OnceCommand
from codebatch.cli.options import batch_option, json_option, store_option
from codebatch.cli.render import output, page
from codebatch.cli.render.excerpt import numbered, with_caret


@click.command(cls=OnceCommand)
@click.argument("file", metavar="FILE")
@click.option("--at", type=click.IntRange(min=1), metavar="LINE", help="Only what is at this line.")
@batch_option
@store_option
@json_option
def inspect(file: str, at: int | None, batch_id: str, store: str | None, as_json: bool) -> None:
    """Show everything a batch says about one file: metrics, outline, imports, findings.

    FILE is a path in the snapshot, a path on this machine, or the end of a path that only one
    file has, such as its name.
    """
    batch = api.open_store(store).find_batch(batch_id)
    document = cast("dict[str, Any]", batch.inspect(file, at=at))
    if as_json:
        output.write_document(document)
        return
    if at is None:
        page.write_page(document, batch)
    else:
        _write_line(document)
    page.write_unfinished(document, store)


def _write_line(document: dict[str, Any]) -> None:
    at = document["at"]
    output.write_line(f"{output.printable(document['path'])}:{at['line']}")
    for depth, symbol in enumerate(at["enclosing"]):
        entry = page.find_entry(document["outline"], symbol)
        until = f"lines {symbol['line']:,}-{symbol['end_line']:,}"
        output.write_line(f"  {'  ' * depth}in {page.entry_words(entry)}  {until}")
    output.write_line()
    _write_source(at)
    page.write_section("defined here", [_symbol_words(symbol) for symbol in at["symbols"]])


def _write_source(at: dict[str, Any]) -> None:
    """The lines around, each finding of the line below it with a caret."""
    digits = len(str(at["source"][-1]["line"]))
    for row in at["source"]:
        here = row["line"] == at["line"]
        output.write_line(numbered(row["line"], row["text"], digits, ">" if here else " "))
        if here:
            for record in at["diagnostics"]:
                _, caret = with_caret(row["line"], row["text"], record["column"], digits, "  ")
                output.write_line(f"{caret} {page.finding_words(record)}")


def _symbol_words(symbol: dict[str, Any]) -> str:
    inside = "" if symbol["scope"] == "module" else f" in {output.printable(symbol['scope'])}"
    name = output.printable(symbol["name"])
    place = f"{symbol['line']}:{symbol['column']}"
    return f"{place:>8}  {symbol['symbol_type']} {name}{inside}"
