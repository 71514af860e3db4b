"""The command line, `asap-tf`: one thin file per verb, imported when it is asked for."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from asap_tf import __version__
from asap_tf.cli.output import echo
from asap_tf.core.errors import AsapError, Interrupted, UsageError, nearest, shown
from asap_tf.core.keras_backend import leave_out_optional_modules

VERBS = {
    "train": "Train a network by a recipe.",
    "eval": "Score a model on a dataset.",
    "predict": "Label images, folders and videos.",
    "label": "Label large collections of frames, by many workers.",
    "serve": "Answer requests for labels over HTTP.",
    "gallery": "Show the frames that models label best and worst.",
    "info": "Say what a model is.",
    "card": "Write the model card of a model.",
    "export": "Write a model for other runtimes, proven equal.",
    "bench": "Time models, or a training.",
    "reproduce": "Print a table of the paper beside our results.",
    "data": "Make, check and look at datasets.",
    "doctor": "Say what is installed, and what this machine is good at.",
    "demo": "Render streets, train on them, and look at the result.",
}


class Verbs(click.Group):
    """A group that imports a verb's file only when that verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of one verb."""
        if name not in VERBS:
            return None
        return importlib.import_module(f"asap_tf.cli.{name}").command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Finds the verb; a mistyped one is answered with the nearest."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"no such command '{args[0]}'; {nearest(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a verb; an error of the library ends it with one line and an exit code."""
        try:
            return super().invoke(ctx)
        except AsapError as error:
            verb = self.get_command(ctx, ctx.invoked_subcommand or "")
            echo(f"Error: {with_flags(str(error), verb)}", err=True)
            end(exit_code(error))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def group() -> None:
    """Real-time semantic segmentation of street scenes (ASAP)."""


def exit_code(error: AsapError) -> int:
    """128 + the signal's number for an interruption, 2 for a wrong argument, else 1."""
    if isinstance(error, Interrupted):
        return 128 + error.signal_number
    return 2 if isinstance(error, UsageError) else 1


def with_flags(message: str, command: click.Command | None) -> str:
    """A message of the library with a command's flags in place of its arguments.

    Args:
        message: Names arguments as Python does, in backticks: ``"leave `scales` out"``.
        command: Of which they may be parameters; other names in backticks stay as they are.

    Examples:
        >>> with_flags("leave `scales` out", command)
        'leave --scales out'
    """
    flags = dict(parameters(command)) if command else {}
    return re.sub(r"`(\w+)`", lambda name: flags.get(name[1], name[0]), message)


def parameters(command: click.Command) -> Iterator[tuple[str, str]]:
    """Names of a command's parameters, its subcommands' included, each with what a user types."""
    for parameter in command.params:
        is_option = isinstance(parameter, click.Option)
        flag = max(parameter.opts, key=len) if is_option else parameter.human_readable_name
        yield str(parameter.name), flag
    for subcommand in getattr(command, "commands", {}).values():
        yield from parameters(subcommand)


def main() -> None:
    """Runs the command line; mistakes end in one line and exit code 1 or 2, never a traceback."""
    # Of all processes that follow, whoever starts them, none imports from the current folder.
    os.environ["PYTHONSAFEPATH"] = "1"
    leave_out_optional_modules()
    try:
        sys.exit(group.main(prog_name="asap-tf", standalone_mode=False))
    except click.exceptions.Abort:
        end(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        # A file that cannot be read or written is the user's to fix; any other is ours.
        if error.filename is None:
            raise
        echo(f"Error: {shown(error.filename)}: {error.strerror}", err=True)
        end(1)


def end(code: int) -> NoReturn:
    """Ends the process; on several hosts without waiting for the others."""
    from asap_tf.core.distributed import leave

    leave(code)
