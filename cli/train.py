"""`asap-tf train`."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import click


@click.command()
@click.argument("recipe", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a field.")
@click.option("--skip-bad", is_flag=True, help="Go on without damaged files, and list them.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. [runs/NAME-TIME]")
@click.option("--resume", type=click.Path(path_type=Path), help="Run folder to go on with.")
def command(
    recipe: str | None,
    data: Path | None,
    overrides: tuple[str, ...],
    skip_bad: bool,
    out: Path | None,
    resume: Path | None,
) -> None:
    """Train a network by RECIPE, a YAML file or the name of one that ships with asap-tf.

    Writes a run folder: model.keras, report.html, metrics.json, log.jsonl and checkpoints.

    \b
    asap-tf train camvid_resnet18 --data CamVid
    asap-tf train recipes/cityscapes_resnet18.yaml --data Cityscapes --set train.batch_size=8
    asap-tf train --resume runs/camvid_resnet18-20260101-120000
    """
    from asap_tf.errors import UsageError
    from asap_tf.recipe import load_recipe
    from asap_tf.runtime.tensorflow import import_keras
    from asap_tf.training import check_data
    from asap_tf.training.run_folder import RunFolder

    if skip_bad:
        overrides = (*overrides, "data.skip_bad=true")
    if resume is not None and not (recipe or overrides or out or data):
        run = RunFolder(resume)
        settings = run.recipe
    elif recipe is not None and resume is None:
        if data is not None:
            overrides = (*overrides, f"data.root={data.resolve()}")
        settings = load_recipe(recipe, overrides)
        run = RunFolder(out or Path("runs", f"{settings.name}-{time.strftime('%Y%m%d-%H%M%S')}"))
        run.require_free()
    else:
        raise UsageError("give a RECIPE, or --resume RUN alone: a run goes on as it was recorded")
    report = check_data(settings)

    import_keras()
    from asap_tf.training.results import write_results
    from asap_tf.training.trainer import Trainer

    with told("asap_tf"):
        trainer = Trainer(run, settings, report)
    network = f"{settings.model.name}, {trainer.deployed.count_params() / 1e6:.1f} M parameters"
    click.echo(f"run folder: {run.path}")
    click.echo(f"network: {network}, from {settings.model.weights or 'random weights'}")
    trainer.train()
    click.echo(write_results(run, report.dataset).scores.table())
    click.echo(f"model: {run.model}\nreport: {run.report}")


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Prints what a logger has to say, such as which layers got their weights from a file."""
    logger, handler = logging.getLogger(name), logging.Handler(logging.INFO)
    handler.emit = lambda record: click.echo(record.getMessage())  # type: ignore[method-assign]
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
