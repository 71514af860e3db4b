"""SavedModels in TensorFlow, those that TF-TRT has converted among them."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError, shown
from asap_tf.core.keras_backend import import_tensorflow, set_tensorflow_threads
from asap_tf.runtime.network import FixedNetwork, Signature, TensorSpec, signature_of
from asap_tf.saving.saved_model import checked_copy, has_trt, read_graph

_LOGGER = logging.getLogger("asap_tf")

SIGNATURE = "serving_default"


class SavedModelNetwork(FixedNetwork):
    """An exported network in TensorFlow itself."""

    format = "saved_model"

    def __init__(self, model: Any, signature: Signature, runtime: str, trt: bool):
        super().__init__(signature, runtime)
        # The model owns what its function refers to.
        self._model, self._function = model, model.signatures[SIGNATURE]
        (self._input,) = self._function.structured_input_signature[1]
        (self._output,) = self._function.structured_outputs
        if trt:
            self.format = "tf_trt"

    @classmethod
    def open(cls, path: Path, threads: int | None = None, trust: bool = False) -> SavedModelNetwork:
        """Opens a SavedModel's folder by its signature `serving_default`.

        Args:
            path: The folder.
            threads: For TensorFlow, and for the whole process; None for all cores.
            trust: Whether to open it whatever operators it has, with a warning that says what these
                may do.

        Raises:
            AsapError: if it holds no segmentation network, or operators that none needs and
                `trust` is not set; or if it was converted by TF-TRT and this TensorFlow or machine
                cannot run that.
        """
        import_tensorflow()
        import tensorflow as tf

        graph = read_graph(path)
        trt = has_trt(graph)
        if trt:
            _require_trt(path)
        runtime = set_tensorflow_threads(threads)
        if trust:
            _LOGGER.warning(
                "%s: trusted: a program, which runs as it is: it could read, write and send your "
                "files",
                shown(path),
            )
        with contextlib.nullcontext(path) if trust else checked_copy(path, graph) as folder:
            model = tf.saved_model.load(folder)
        if SIGNATURE not in getattr(model, "signatures", {}):
            raise AsapError(f"{path}: a SavedModel without the signature '{SIGNATURE}'")
        function = model.signatures[SIGNATURE]
        signature = signature_of(
            path,
            [_tensor(name, spec) for name, spec in function.structured_input_signature[1].items()],
            [_tensor(name, spec) for name, spec in function.structured_outputs.items()],
        )
        return cls(model, signature, runtime, trt)

    def run(self, frames: np.ndarray) -> np.ndarray:
        return self._function(**{self._input: frames})[self._output].numpy()


def _tensor(name: str, spec: Any) -> TensorSpec:
    shape = [] if spec.shape.rank is None else spec.shape.as_list()
    return TensorSpec(name, spec.dtype.name, shape)


def _require_trt(path: Path) -> None:
    """Refuses where loading would fail, or end the process."""
    import tensorflow as tf
    from tensorflow.compiler.tf2tensorrt import _pywrap_py_utils as tf_trt

    if not tf_trt.is_tensorrt_enabled():
        raise AsapError(
            f"{path}: converted by TF-TRT, and TensorFlow {tf.__version__} finds no TensorRT; open "
            "it with TensorFlow 2.17 and TensorRT 8.6, or in NVIDIA's TensorFlow container"
        )
    if not tf.config.list_physical_devices("GPU"):
        raise AsapError(f"{path}: converted by TF-TRT; it needs an NVIDIA GPU, and none is found")
