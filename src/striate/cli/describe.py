"""`striate describe`: what a network is made of, and what convolution saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import console
from striate.cli.options import AllowLarge, JsonOption, NetworkArgument
from striate.report.numbers import count

if TYPE_CHECKING:
    from striate.summary import Row


def describe(
    network: NetworkArgument,
    input: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="Input shape, where the text has no input line.")
    ] = None,
    json: JsonOption = False,
    allow_large: AllowLarge = False,
) -> None:
    """Show every layer of a network: shape, parameters, receptive field, work.

    The column "if dense" counts the parameters of a fully connected layer with the same outputs.

    Examples: striate describe vanilla | striate describe 'conv 20 5x5, relu, dense 10' --input 1x28x28
    """
    from striate.network import Network

    found = Network.load(network, allow_large=allow_large)
    if input is not None:
        found = Network.parse(f"input {input}\n" + "\n".join(map(str, found.layers)), allow_large=allow_large)
    description = found.describe()
    if json:
        console.show_json(description.as_json())
        return
    headings = ("layer", "text", "output", "parameters", "if dense", "sees", "stride", "multiply-adds")
    total = ("", "", "", count(description.parameters), "", "", "", count(description.multiply_adds))
    console.show(f"input {console.shape(description.input)}")
    console.table(headings, map(_cells, description.rows), left=2, total=total, spare=(1, 6, 4, 7))
    console.padded((row.field.size for row in description.rows if row.field), description.input)


def _cells(row: Row) -> tuple[str, ...]:
    indent = "  " * row.depth
    return (
        indent + row.name,
        row.text,
        console.shape(row.output),
        count(row.parameters) if row.parameters else "",
        count(row.dense_parameters) if row.dense_parameters is not None else "",
        console.shape(row.field.size) if row.field else "",
        console.shape(row.field.stride) if row.field and any(row.field.stride) else "",
        count(row.multiply_adds) if row.multiply_adds else "",
    )
