from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A tiny untrained network that knows CamVid's classes, as a run folder."""
    from asap_tf.data.camvid import CLASSES
    from asap_tf.saving import save_model
    from support.tiny import Tiny

    run = tmp_path_factory.mktemp("run")
    scores = {"miou": 0.5}
    save_model(
        Tiny(11, (None, None, 3)),
        run / "model.keras",
        CLASSES,
        (32, 64),
        scores=scores,
        step=7,
        recipe={"name": "x"},
    )
    return run


@pytest.fixture
def camvid(tmp_path):
    """Three frames to train on and two to validate on, in CamVid's layout."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    root = tmp_path / "camvid"
    for split, count in (("train", 3), ("val", 2)):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for i in range(count):
            frame = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
            mask = rng.integers(0, 12, (40, 60), dtype=np.uint8)
            Image.fromarray(frame).save(root / split / f"{i}.png")
            Image.fromarray(mask).save(root / f"{split}annot" / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def artifact(model, tmp_path_factory):
    """`model` as a `.tflite` file that gives labels, with its metadata beside it."""
    import dataclasses

    from asap_tf import load
    from asap_tf.export.graph import Deployment
    from asap_tf.export.writers import litert
    from asap_tf.saving import write_sidecar

    segmenter = load(model)
    metadata = {
        "format": "litert",
        "precision": "fp32",
        "size": segmenter.size,
        "batch": 1,
        "output": "labels",
        "classes": [dataclasses.asdict(c) for c in segmenter.classes],
        "parameters": 12345678,
    }
    path = tmp_path_factory.mktemp("export") / "asap_fp32.tflite"
    litert.write(Deployment(segmenter.network.model, (32, 64)), "fp32", path, [], metadata)
    parity = {"agreement": 0.99987, "miou_difference": -0.001, "frames": 20, "source": "20 streets"}
    write_sidecar(path, {**metadata, "parity": parity})
    return path
