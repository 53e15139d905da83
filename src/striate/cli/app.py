"""Which commands there are, in the order in which a newcomer meets them."""

from __future__ import annotations

from typing import Annotated

import typer

from striate.cli.atlas import atlas
from striate.cli.claims import app as claims
from striate.cli.compare import compare
from striate.cli.data import data
from striate.cli.demo import demo
from striate.cli.describe import describe
from striate.cli.evaluate import evaluate
from striate.cli.evolution import evolution
from striate.cli.explain import explain
from striate.cli.export import export
from striate.cli.fields import fields
from striate.cli.filters import filters
from striate.cli.helped import helped
from striate.cli.look import look
from striate.cli.predict import predict
from striate.cli.train import train

app = typer.Typer(
    name="striate",
    help="Trains convolutional networks on images and shows what they see.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    demo, describe, data, train, evaluate, predict, look, explain, atlas, filters, fields, evolution, compare, export,
):  # fmt: skip
    app.command(help=helped(command))(command)
app.add_typer(claims, name="claims")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a fault; may stand anywhere.")] = False,
) -> None:
    """Trains convolutional networks on images and shows what they see."""
    del debug  # read by `main` before anything is parsed, so that it holds for every command
    if version:
        from striate import __version__

        typer.echo(__version__)
        raise typer.Exit
