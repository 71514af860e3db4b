from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real driving frames; they are not part of the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ASAP_TF_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real frames: set ASAP_TF_DATA to a folder with camvid/, not {folder}")
    return folder


@pytest.fixture
def round_trip(tmp_path):
    """Saves a model of one layer, loads it with Keras alone, and returns both outputs."""
    import keras
    import numpy as np

    def run(layer, *shapes):
        inputs = [keras.Input(shape) for shape in shapes]
        model = keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))
        rng = np.random.default_rng(0)
        for variable in model.variables:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        model.save(tmp_path / "layer.keras")
        loaded = keras.models.load_model(tmp_path / "layer.keras")
        frames = [rng.normal(size=(2, *shape)).astype("float32") for shape in shapes]
        return model(frames), loaded(frames)

    return run
