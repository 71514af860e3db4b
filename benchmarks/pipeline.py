"""The input pipeline alone against the training step alone, images a second.

python benchmarks/pipeline.py camvid_resnet18 --data CamVid
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

from asap_tf.data.augment import Augmentation
from asap_tf.data.pipeline import training_batches
from asap_tf.recipe import load_recipe
from asap_tf.training import check_data
from asap_tf.training.run_folder import RunFolder
from asap_tf.training.trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, [f"data.root={args.data}"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(RunFolder(Path(folder)), recipe, check_data(recipe))
    batches = training_batches(
        trainer.pairs,
        trainer.read,
        Augmentation(**recipe.augment.model_dump()),
        recipe.train.batch_size,
        recipe.train.seed,
        0,
        trainer.total_steps,
    )
    images = args.steps * recipe.train.batch_size

    start = time.perf_counter()
    for _ in islice(batches, args.steps):
        pass
    pipeline = images / (time.perf_counter() - start)

    frames, labels = next(iter(batches))
    targets = dict.fromkeys(trainer.model.output, labels)
    trainer.model.train_on_batch(frames, targets)
    start = time.perf_counter()
    for _ in range(args.steps):
        trainer.model.train_on_batch(frames, targets)
    step = images / (time.perf_counter() - start)
    print(
        f"pipeline {pipeline:.1f}, training step {step:.1f} images/s, ratio {pipeline / step:.1f}"
    )


if __name__ == "__main__":
    main()
