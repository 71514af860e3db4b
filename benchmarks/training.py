"""Training, images a second: Keras on TensorFlow, PyTorch's same network, and the input pipeline.

    python benchmarks/training.py --data CamVid --pytorch torchenv/bin/python > training.md

PyTorch is no dependency of this project; an environment of its own for it is made by

    python3 -m venv torchenv && torchenv/bin/pip install torch==2.13.0 numpy

A step is forward with both auxiliary heads, loss, backward and update of one batch of the recipe.
Keras's is what `asap-tf train` runs, by SGD; PyTorch's is in `asap_in_pytorch.py`, and starts from
the same weights. Before anything is timed the two networks are shown to be the same. Each side has
a process of its own and as many threads as the other, and waits while the other has its turn: two
steps of each row, of which the second counts. The pipeline is `asap_tf.data.pipeline` with the
recipe's augmentation, nothing else running.

Late in a training few pixels are hard and the loss has to rank them; to time that, add
`--set loss.threshold=0.01`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm
from training_sides import PIPELINE, PYTORCH, KerasSpec, PyTorchSide

from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import figure, machine_lines, table, warning_lines
from asap_tf.benchmark.rounds import Rounds, measure
from asap_tf.benchmark.statistics import Speedup, median_interval, speedup
from asap_tf.benchmark.worker import Worker
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.system import available_cores
from asap_tf.data.check import CheckReport
from asap_tf.training.recipe import Recipe, load_recipe
from asap_tf.training.sections import Model

SAME = {
    "data.kind": "null",
    "model.weights": "null",
    "loss.class_weights": "null",
    "optimizer.name": "sgd",
    "optimizer.clip_norm": "null",
    "optimizer.ema": "null",
}
"""What both sides do without: the recipe's fields that PyTorch's step has no counterpart of."""

STREETS = 64
"""Frames to render where no dataset is given."""

OUTPUT_LIMIT, LOSS_LIMIT = 1e-3, 1e-4
"""Largest difference from Keras that passes, relative to the largest value."""


def require_pytorch(python: str) -> None:
    """Finds out that there is no PyTorch before any work is done.

    Raises:
        UsageError: with how to get it.
    """
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        subprocess.run([python, "-c", "import numpy, torch"], capture_output=True, check=True)
        return
    raise UsageError(
        f"{python}: no PyTorch with NumPy there; python3 -m venv torchenv && torchenv/bin/pip "
        "install torch==2.13.0 numpy, then --pytorch torchenv/bin/python"
    )


def require_same(differences: Mapping[str, float]) -> None:
    """Refuses to compare networks that are not the same.

    Raises:
        AsapError: naming the first output or loss that differs.
    """
    for name, difference in differences.items():
        limit = LOSS_LIMIT if name.startswith("loss") else OUTPUT_LIMIT
        if not difference <= limit:
            raise AsapError(f"not the same network: {name} is off by {difference:.1e}")


def rows_of(rounds: Rounds, batch_size: int) -> list[dict[str, Any]]:
    """What came out of each row, from the seconds of a batch.

    Returns:
        `row`; `rate`, the median in images a second; `interval` of that, None for too few rounds;
        `ratio` to PyTorch's better layout of the same precision, None for the pipeline; `over`,
        the row that `gain` is over, and that: of bfloat16 the row's own float32, of the pipeline
        Keras's float32, None of others.
    """
    turns = [{row: t for side in sides for row, t in side.items()} for sides in rounds]
    seconds = {row: [turn[row] for turn in turns] for row in turns[0]}
    best = {p: min(rows, key=lambda r: np.median(seconds[r])) for p, rows in PYTORCH.items()}
    found = []
    for row, own in seconds.items():
        rates = [batch_size / t for t in own]
        precision = next((p for p in PYTORCH if p in row), None)
        over = "Keras, float32" if row == PIPELINE else row.replace("bfloat16", "float32")
        found.append(
            {
                "row": row,
                "rate": float(np.median(rates)),
                "interval": median_interval(rates),
                "ratio": speedup(seconds[best[precision]], own) if precision else None,
                "over": None if over == row else over,
                "gain": None if over == row else speedup(seconds[over], own),
            }
        )
    return found


def compare(
    recipe: Recipe, reports: list[CheckReport], python: str, threads: int, rounds: int
) -> tuple[list[str], list[dict[str, Any]]]:
    """Times both sides in turn.

    Args:
        recipe: With `SAME`, `data.root` and the network of the paper.
        reports: From `check_data`.
        python: An interpreter that has PyTorch.
        threads: Of either side.
        rounds: To measure, after one that does not count.

    Returns:
        What ran and how far the networks are apart, a line each; and the rows, see `rows_of`.

    Raises:
        AsapError: if the networks are not the same, or a side does not run.
    """
    bar = tqdm(total=rounds, desc="building Keras's side", disable=None, leave=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(bar)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keras = stack.enter_context(Worker(KerasSpec(folder, recipe, reports, threads)))
        bar.set_description("building PyTorch's side")
        pytorch = stack.enter_context(contextlib.closing(PyTorchSide(python, folder)))
        differences = pytorch.info["differences"]
        require_same(differences)
        sides = (keras, pytorch)
        bar.set_description("warming up")
        for side in sides:
            side.turn()
        bar.set_description("measuring")
        found = measure(sides, 0, lambda done, _: bar.update(done - bar.n), least=rounds)
    if not found:
        raise click.Abort
    apart = ", ".join(f"{name} {value:.0e}" for name, value in differences.items())
    lines = [
        f"- {keras.info}; PyTorch {pytorch.info['version']}, {pytorch.info['device']}, "
        "as many threads",
        f"- the same network: largest differences from Keras's values, relative: {apart}",
    ]
    return lines, rows_of(found, recipe.train.batch_size)


def spread(value: float, interval: tuple[float, float] | None, text: Callable = figure) -> str:
    """`"5.21 [5.10, 5.33]"`."""
    ends = "" if interval is None else f" [{', '.join(map(text, interval))}]"
    return f"{text(value)}{ends}"


def ratio_text(ratio: Speedup | None) -> str:
    """`"1.25 [1.22, 1.28]"`, `"-"` for None."""
    return "-" if ratio is None else spread(ratio.median, ratio.interval, "{:.2f}".format)


def streets(folder: Path) -> Path:
    """A rendered dataset."""
    from asap_tf.streets import write_streets

    write_streets(folder / "streets", train=STREETS, val=1)
    return folder / "streets"


def settled(recipe: str, data: Path, overrides: Sequence[str]) -> Recipe:
    """The recipe as both sides can train it.

    Raises:
        UsageError: if it is wrong, or of another network than PyTorch's.
    """
    fixed = [f"{field}={value}" for field, value in SAME.items()]
    settings = load_recipe(recipe, [*fixed, *overrides, f"data.root={data.resolve()}"])
    if settings.model != Model():
        raise UsageError(
            f"{recipe}: PyTorch's network is ASAP as in the paper; leave model as it is"
        )
    return settings


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Dataset. [rendered streets]")
@click.option("--recipe", default="camvid_resnet18", show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option(
    "--pytorch",
    metavar="PYTHON",
    default=sys.executable,
    help="Interpreter that has PyTorch. [this]",
)
@click.option("--threads", type=int, default=available_cores, help="Of either side. [all cores]")
@click.option("--rounds", default=6, show_default=True, help="The fewest that have intervals.")
def main(
    data: Path | None,
    recipe: str,
    overrides: tuple[str, ...],
    pytorch: str,
    threads: int,
    rounds: int,
) -> None:
    """Prints the table."""
    from asap_tf.training import check_data

    try:
        require_pytorch(pytorch)
        machine = this_machine()
        with tempfile.TemporaryDirectory() as folder:
            settings = settled(recipe, data or streets(Path(folder)), overrides)
            lines, rows = compare(settings, check_data(settings), pytorch, threads, rounds)
    except AsapError as error:
        raise click.ClickException(str(error)) from error
    crop = "x".join(map(str, settings.augment.crop))
    lines += [f"- {settings.name}, crops of {crop}, batches of {settings.train.batch_size}, SGD"]
    print(*machine_lines(machine), *lines, *warning_lines(machine), "", sep="\n")
    cells = [
        [
            row["row"],
            spread(row["rate"], row["interval"]),
            ratio_text(row["ratio"]),
            ratio_text(row["gain"]),
            row["over"] or "-",
        ]
        for row in rows
    ]
    header = ["row", "images/s", "over PyTorch's best, same precision", "times the rate of", "row"]
    print(*table(header, cells, "lrrrl"), sep="\n")


if __name__ == "__main__":
    main()
