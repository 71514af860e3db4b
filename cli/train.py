"""`asap-tf train`."""

from __future__ import annotations

import time
from pathlib import Path

import click


@click.command()
@click.argument("recipe", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a field.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. [runs/NAME-TIME]")
@click.option("--resume", type=click.Path(path_type=Path), help="Run folder to go on with.")
def command(
    recipe: str | None,
    data: Path | None,
    overrides: tuple[str, ...],
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
    from asap_tf.data import open_dataset
    from asap_tf.data.check import check_dataset
    from asap_tf.errors import UsageError
    from asap_tf.recipe import load_recipe
    from asap_tf.training.run_folder import RunFolder

    if (recipe is None) == (resume is None):
        raise UsageError("give a RECIPE, or --resume RUN to go on with an interrupted one")
    if resume is not None:
        if overrides or out or data:
            raise UsageError("--resume goes on as recorded: no --data, --set or --out beside it")
        run = RunFolder(resume)
        settings = run.recipe
    else:
        if data is not None:
            overrides = (*overrides, f"data.root={data.resolve()}")
        settings = load_recipe(recipe, overrides)
        run = RunFolder(out or Path("runs", f"{settings.name}-{time.strftime('%Y%m%d-%H%M%S')}"))
        run.require_free()
    if settings.data.root is None:
        raise UsageError("no dataset: give --data ROOT (or set data.root in the recipe)")

    source = settings.data
    dataset = open_dataset(source.root, source.kind, source.annotations)
    report = check_dataset(dataset, (source.train_split, source.val_split))

    from asap_tf.training.results import write_results
    from asap_tf.training.trainer import Trainer

    trainer = Trainer(run, settings, dataset, report)
    click.echo(f"run folder: {run.path}")
    trainer.train()
    click.echo(write_results(run, dataset).scores.table())
    click.echo(f"model: {run.model}\nreport: {run.report}")
