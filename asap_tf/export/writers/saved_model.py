"""SavedModel: for TensorFlow Serving, and any program that has TensorFlow but not asap-tf."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.system import stderr_silenced
from asap_tf.export.graph import EVERYWHERE, Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.saving import METADATA_NAME


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] = EVERYWHERE,
) -> None:
    """Writes a SavedModel whose signature `serving_default` maps `frames` to the output.

    Its metadata is the file `asap_tf.json` in the folder. Arguments as of all writers.
    """
    import tensorflow as tf

    function = deployment.graph(rewrites).function

    def serve(frames: Any) -> dict[str, Any]:
        return {deployment.output: function(frames)[0]}

    frames = tf.TensorSpec((deployment.batch, *deployment.size, 3), tf.uint8, name="frames")
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[frames], autograph=False)
    try:
        with stderr_silenced():
            tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    except tf.errors.OpError as error:
        raise AsapError(f"cannot be written ({first_line(error)})") from error
    (path / METADATA_NAME).write_text(json.dumps(metadata, indent=1), encoding="utf-8")
