"""The two sides of `benchmarks/training.py`, each a `Runner` in a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.data.check import CheckReport
from asap_tf.training.recipe import Recipe

SCRIPT = Path(__file__).with_name("asap_in_pytorch.py")

PROOF = (2, 96, 128)
"""Frames, height and width, at most, on which the networks are shown to be the same."""

THRESHOLDS = (0.7, 0.001)
"""Of the loss, to show that it is the same: with enough hard pixels, and with too few."""

KERAS = {
    "Keras, float32": ("float32", False),
    "Keras, bfloat16": ("mixed_bfloat16", False),
    "Keras, float32, XLA": ("float32", True),
}
"""Precision by row, and whether XLA compiles the step."""

PYTORCH = {
    "float32": ("PyTorch, float32, contiguous", "PyTorch, float32, channels last"),
    "bfloat16": ("PyTorch, bfloat16, contiguous", "PyTorch, bfloat16, channels last"),
}
"""Rows by precision, as `asap_in_pytorch.py` calls them."""

PIPELINE = "input pipeline alone"
PIPELINE_SECONDS = 1.0


@dataclass(frozen=True)
class KerasSpec:
    """Keras's side; see `asap_tf.benchmark.worker.KerasSpec`."""

    folder: Path
    recipe: Recipe
    reports: list[CheckReport]
    threads: int
    path: Path = Path("Keras")

    def open(self) -> KerasSide:
        return KerasSide(self)


class KerasSide:
    """A `Runner` of Keras's rows and the pipeline; puts into the folder what PyTorch is to read."""

    def __init__(self, spec: KerasSpec):
        from asap_tf.core.keras_backend import import_keras, set_backend_threads

        import_keras()
        import keras
        import tensorflow as tf

        from asap_tf.training.task import SegmentationTask

        on_jax = keras.backend.backend() == "jax"
        self.info = set_backend_threads(None if on_jax else spec.threads)
        self.models = {}
        for row, (precision, xla) in KERAS.items():
            if on_jax and xla:
                # On JAX it always does.
                continue
            train = spec.recipe.train.model_copy(update={"precision": precision})
            recipe = spec.recipe.model_copy(update={"train": train})
            self.task = SegmentationTask(recipe, spec.reports)
            self.models[row] = self.task.model
            self.models[row].jit_compile = xla or on_jax
        if spec.recipe.data[0].cache:
            for pair in self.task.sources[0].pairs:
                self.task.sources[0].read(pair)
        batch = next(iter(self.task.batches(0, 1)))
        self.resident = tf.data.Dataset.from_tensors(batch).cache().repeat()
        weights = random_weights(self.task.model)
        for model in self.models.values():
            model.set_weights([*weights.values()])
        write_inputs(spec, weights, batch[0].numpy(), batch[1]["logits"].numpy())

    def turn(self) -> dict[str, float]:
        """Seconds of a step of every row, and of a batch of the pipeline."""
        from asap_tf.benchmark.training import time_pipeline

        seconds = {row: self.step(model) for row, model in self.models.items()}
        batches = time_pipeline(self.task.batches(0, 10**9), PIPELINE_SECONDS)
        return {**seconds, PIPELINE: sum(batches) / len(batches)}

    def step(self, model: Any) -> float:
        """Seconds of the second of two steps; the first brings threads and caches back to it."""
        import keras

        ends = []

        def note(batch: int, logs: dict[str, Any]) -> None:
            # Reading the loss waits for the step to be done.
            float(logs["loss"])
            ends.append(time.perf_counter())

        tick = keras.callbacks.LambdaCallback(on_train_batch_end=note)
        model.fit(self.resident.take(2), shuffle=False, verbose=0, callbacks=[tick])
        return ends[1] - ends[0]


def random_weights(model: Any) -> dict[str, Any]:
    """By path; norms get statistics and factors that an untrained one has not."""
    rng = np.random.default_rng(0)
    weights = {}
    for variable in model.weights:
        value = np.array(variable)
        if variable.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, value.shape).astype("float32")
        elif value.ndim == 1:
            value = rng.normal(0, 0.1, value.shape).astype("float32")
        weights[variable.path] = value
    return weights


def write_inputs(
    spec: KerasSpec, weights: dict[str, Any], frames: np.ndarray, labels: np.ndarray
) -> None:
    """What `asap_in_pytorch.py` reads; see there."""
    from asap_tf import ASAPNet, OhemCrossEntropy
    from asap_tf.training.precision import has_gpu

    few = tuple(map(slice, PROOF))
    proof: dict[str, Any] = {"frames": frames[few], "labels": labels[few]}
    model = ASAPNet(len(spec.reports[0].dataset.classes), proof["frames"].shape[1:], aux_heads=True)
    model.set_weights([*weights.values()])
    with exactly():
        proof |= {f"{head} output": np.array(x) for head, x in model(proof["frames"]).items()}
    loss, optimizer = spec.recipe.loss, spec.recipe.optimizer
    for threshold in THRESHOLDS:
        own = OhemCrossEntropy(threshold, loss.min_kept)(proof["labels"], proof["logits output"])
        proof[f"loss at threshold {threshold:g}"] = np.array(own)
    settings = {
        "classes": len(spec.reports[0].dataset.classes),
        "threads": spec.threads,
        "device": "cuda" if has_gpu() else "cpu",
        "rows": PYTORCH,
        "threshold": loss.threshold,
        "min_kept": loss.min_kept,
        "proof_thresholds": THRESHOLDS,
        "loss_weights": {"logits": 1.0, "aux3": loss.aux3, "aux4": loss.aux4},
        **optimizer.model_dump(include={"learning_rate", "momentum", "weight_decay"}),
    }
    (spec.folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    np.savez(spec.folder / "weights.npz", **weights)
    np.savez(spec.folder / "batch.npz", frames=frames, labels=labels)
    np.savez(spec.folder / "proof.npz", **proof)


def exactly() -> contextlib.AbstractContextManager[Any]:
    """A context without TF32, in which JAX takes float32 products on a GPU."""
    import keras

    if keras.backend.backend() != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.default_matmul_precision("highest")


class PyTorchSide:
    """A `Runner` of PyTorch's rows, by `asap_in_pytorch.py`.

    Attributes:
        info: Its version, and the differences of its outputs and losses from Keras's.

    Raises:
        AsapError: if the script does not run.
    """

    def __init__(self, python: str, folder: Path):
        self._log = folder / "pytorch.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, SCRIPT, folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # What Ctrl-C means is for this process to say.
                start_new_session=True,
            )
        self.info = self._answer()

    def turn(self) -> dict[str, float]:
        """Seconds of a step of every row."""
        print("turn", file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            words = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next(filter(None, reversed(words)), "it said nothing")
            raise AsapError(f"{SCRIPT.name}: its process ended; {last}")
        return json.loads(line)
