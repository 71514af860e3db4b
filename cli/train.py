"""`asap-tf train`."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asap_tf.cli.hosts import host_options
from asap_tf.cli.output import echo

if TYPE_CHECKING:
    from asap_tf.training.recipe import Recipe
    from asap_tf.training.run_folder import RunFolder


@click.command()
@click.argument("recipe", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the dataset, or of all.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a field.")
@click.option("--skip-bad", is_flag=True, help="Skip damaged files, and list them.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. [runs/NAME-TIME]")
@click.option("--resume", type=click.Path(path_type=Path), help="Run folder to resume.")
@host_options
def command(
    recipe: str | None,
    data: Path | None,
    overrides: tuple[str, ...],
    skip_bad: bool,
    out: Path | None,
    resume: Path | None,
    hosts: str,
    host_id: int | None,
    coordinator: str | None,
) -> None:
    """Train a network by RECIPE, a YAML file or the name of one that ships with asap-tf.

    Writes a run folder: model.keras, report.html, metrics.json, log.jsonl and checkpoints.

    \b
    asap-tf train camvid_resnet18 --data CamVid
    asap-tf train recipes/cityscapes_resnet18.yaml --data Cityscapes --set train.batch_size=8
    asap-tf train --resume runs/camvid_resnet18-20260101-120000
    asap-tf train --resume copied/run --data where/the/data/is/now
    KERAS_BACKEND=jax asap-tf train RECIPE --hosts 2 --host-id 0 --coordinator node0:7000
    """
    from asap_tf.core.distributed import connect
    from asap_tf.core.errors import UsageError
    from asap_tf.core.keras_backend import import_keras
    from asap_tf.training import check_data
    from asap_tf.training.recipe import validate
    from asap_tf.training.run_folder import RunElsewhere

    if skip_bad:
        overrides = (*overrides, "data.skip_bad=true")
    if hosts != "1" and os.environ.get("KERAS_BACKEND") != "jax":
        raise UsageError("training on several hosts runs on JAX: put KERAS_BACKEND=jax before it")
    with connect(hosts, host_id, coordinator) as distributed:
        run = opened(recipe, data, overrides, out, resume) if distributed.is_main else None
        # Host 0's command counts; the others need not see its files.
        values, path = distributed.broadcast(
            run and (run[1].model_dump(mode="json"), str(run[0].path))
        )
        settings = validate(values, "host 0")
        folder = run[0] if run else RunElsewhere(Path(path))
        reports = check_data(settings, distributed)

        import_keras()
        from asap_tf.training.results import write_results
        from asap_tf.training.trainer import Trainer

        with messages_shown() if distributed.is_main else contextlib.nullcontext():
            trainer = Trainer(folder, settings, reports, distributed)
        if distributed.is_main:
            size = f"{trainer.task.eval_model.count_params() / 1e6:.1f} M parameters"
            weights = settings.model.weights or "random weights"
            echo(f"run folder: {path}")
            echo(f"network: {settings.model.name}, {size}, from {weights}")
        trainer.train()
    if not distributed.is_main:
        return
    evaluations = write_results(folder, [report.dataset for report in reports])
    for name, evaluation in zip(settings.dataset_names, evaluations, strict=True):
        if len(evaluations) > 1:
            echo(f"\n{name}")
        echo(evaluation.summary())
    echo(f"model: {folder.model}\nreport: {folder.report}")


def opened(
    recipe: str | None,
    data: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
) -> tuple[RunFolder, Recipe]:
    """The run folder and the recipe that the options stand for."""
    from asap_tf.core.errors import UsageError
    from asap_tf.training.recipe import load_recipe
    from asap_tf.training.run_folder import RunFolder

    if resume is not None and not (recipe or overrides or out):
        run = RunFolder(resume)
        return run, run.recipe_for(data)
    if recipe is None or resume is not None:
        raise UsageError(
            "give a RECIPE, or --resume RUN with nothing but --data, where the data has moved: a "
            "run keeps the recipe it has"
        )
    settings = load_recipe(recipe, overrides, data)
    run = RunFolder(out or Path("runs", f"{settings.name}-{time.strftime('%Y%m%d-%H%M%S')}"))
    run.require_free()
    return run, settings


@contextlib.contextmanager
def messages_shown() -> Iterator[None]:
    """Prints what the library logs, such as which layers got their weights from a file."""
    logger, handler = logging.getLogger("asap_tf"), logging.Handler(logging.INFO)
    handler.emit = lambda record: echo(record.getMessage())  # type: ignore[method-assign]
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
