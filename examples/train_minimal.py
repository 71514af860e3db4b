"""ASAP trained by Keras's own `fit`, without recipes, checkpoints or validation.

    python examples/train_minimal.py DATASET --out model.keras

DATASET is a folder of Cityscapes, CamVid, BDD100K or your own frames. asap-tf opens the model.
"""

import argparse
from pathlib import Path

import keras

from asap_tf import ASAPNet, OhemCrossEntropy, open_dataset
from asap_tf.data.augment import Augmentation
from asap_tf.data.pipeline import Source, pair_reader, steps_per_epoch, training_batches
from asap_tf.saving import save_model


def main() -> None:
    """Trains by the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Trains ASAP on the frames of a dataset.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, default=Path("model.keras"))
    parser.add_argument("--weights", help="imagenet, a .keras file, a preset, ...")
    parser.add_argument("--crop", type=int, nargs=2, default=(512, 1024), metavar=("H", "W"))
    parser.add_argument("--width", type=float, default=1.0, help="of the backbone")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=4)
    args = parser.parse_args()

    dataset = open_dataset(args.dataset)
    sources = [Source(dataset.pairs("train"), pair_reader(dataset.encoding))]
    steps = steps_per_epoch(sources, args.batch_size)
    batches = training_batches(
        sources,
        Augmentation(crop=tuple(args.crop), brightness=0.3, contrast=0.3, saturation=0.3),
        args.batch_size,
        seed=0,
        start_step=0,
        stop_step=steps * args.epochs,
    )

    options = {"weights": args.weights, "width": args.width, "aux_heads": True}
    model = ASAPNet(len(dataset.classes), (None, None, 3), **options)
    outputs = list(model.output)
    rate = keras.optimizers.schedules.PolynomialDecay(0.01, steps * args.epochs, 0.0, power=0.9)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, weight_decay=1e-4),
        loss={name: OhemCrossEntropy() for name in outputs},
    )
    labeled = batches.map(lambda frames, labels: (frames, dict.fromkeys(outputs, labels)))
    model.fit(labeled, epochs=args.epochs, steps_per_epoch=steps)
    save_model(model.inference_model(), args.out, dataset.classes, size=None)


if __name__ == "__main__":
    main()
