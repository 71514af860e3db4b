"""`asap-tf demo`."""

from __future__ import annotations

from pathlib import Path

import click

from asap_tf.cli.output import echo

FRAMES = {"train": 1000, "val": 60}
SIZE = (128, 256)
SHOWN = 8


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
def command(out: Path, overrides: tuple[str, ...]) -> None:
    """Render streets, train ASAP on them, and look at the result, in less than 10 minutes."""
    import time

    from asap_tf.core.errors import UsageError
    from asap_tf.core.keras_backend import import_keras
    from asap_tf.streets import write_streets
    from asap_tf.training import check_data
    from asap_tf.training.recipe import load_recipe
    from asap_tf.training.run_folder import RunFolder

    start = time.monotonic()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists already; remove it or give another --out")
    streets, run = out / "streets", RunFolder(out / "run")
    recipe = load_recipe("streets_demo", (f"data.root={streets.resolve()}", *overrides))

    echo(f"1/4  rendering {FRAMES['train']} + {FRAMES['val']} streets")
    write_streets(streets, **FRAMES, seed=0, size=SIZE)

    reports = check_data(recipe)
    dataset = reports[0].dataset

    echo("2/4  training ASAP on them")
    import_keras()
    from asap_tf.inference.files import predict_inputs
    from asap_tf.inference.prior import location_prior
    from asap_tf.runtime import load
    from asap_tf.training.results import write_results
    from asap_tf.training.trainer import Trainer

    Trainer(run, recipe, reports).train()

    echo("3/4  scoring")
    scores = write_results(run, [dataset])[0].scores
    prior = location_prior(dataset)
    echo(scores.table())

    echo("4/4  predicting")
    frames = [pair.image for pair in dataset.pairs("val")[:SHOWN]]
    predict_inputs(load(run.path), frames, out / "predictions", legend=True)

    echo(
        f"\nASAP {scores.miou:.1%} mIoU, the location prior {prior.miou:.1%}; "
        f"{(time.monotonic() - start) / 60:.1f} minutes"
        f"\nlook at:  {run.report}\n          {out / 'predictions'}"
        f"\nload:     keras.models.load_model('{run.model}') after import asap_tf"
    )
