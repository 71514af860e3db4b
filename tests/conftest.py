from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def collect_garbage() -> Callable[[], None]:
    """Collects once memory has grown by a gigabyte since the last time (on Linux)."""
    kept = 0.0

    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e9

    def collect() -> None:
        nonlocal kept
        if sys.platform == "linux" and resident() > kept + 1:
            gc.collect()
            kept = resident()

    return collect


@pytest.fixture(autouse=True)
def bounded_memory(collect_garbage) -> Iterator[None]:
    """Lets go of the graphs that tests leave behind before they fill the machine.

    They are cycles of few objects and many bytes, and Python's collector counts objects.
    """
    yield
    collect_garbage()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real driving frames; they are not part of the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ASAP_TF_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real frames: set ASAP_TF_DATA to a folder with camvid/, not {folder}")
    return folder


@pytest.fixture(scope="session")
def streets_root(tmp_path_factory) -> Path:
    """Streets, 64 x 128: 8 to train on and 20 to validate on."""
    from asap_tf.streets import write_streets

    root = tmp_path_factory.mktemp("data") / "streets"
    write_streets(root, train=8, val=20, size=(64, 128))
    return root


@pytest.fixture(scope="session")
def trained_model(streets_root, tmp_path_factory) -> Path:
    """A `.keras` file of a narrow ASAP, 64 x 128, that has learned `streets_root` by heart."""
    import keras
    import numpy as np

    from asap_tf import ASAPNet, OhemCrossEntropy, open_dataset
    from asap_tf.data.images import read_pair
    from asap_tf.saving import save_model
    from support.fitting import learn_by_heart

    dataset = open_dataset(streets_root)
    pairs = [read_pair(p, dataset.encoding) for s in ("train", "val") for p in dataset.pairs(s)]
    frames, labels = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    keras.utils.set_random_seed(0)
    model = ASAPNet(19, (64, 128, 3), width=0.25)
    frames = frames.astype("float32")
    learn_by_heart(model, frames, labels, OhemCrossEntropy(min_kept=1.0), 64, 0.003, batch=7)
    path = tmp_path_factory.mktemp("trained") / "model.keras"
    save_model(model, path, dataset.classes, (64, 128))
    return path


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


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def asap(monkeypatch, capsys):
    """Runs the command line in this process, as a shell would see it."""

    def run(*args) -> Result:
        from asap_tf.cli import main

        monkeypatch.setattr(sys, "argv", ["asap-tf", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
