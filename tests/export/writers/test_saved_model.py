from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from asap_tf.export.graph import Deployment
from asap_tf.export.writers import saved_model


@pytest.mark.parametrize("output", ["labels", "logits"])
def test_serves_what_the_model_says(model, frames, logits, tmp_path, output):
    deployment = Deployment(model, (64, 128), batch=2, output=output)
    saved_model.write(deployment, "fp32", tmp_path / "served", [], {"classes": []})
    signature = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    result = signature(frames=tf.constant(frames[:2]))[output].numpy()
    if output == "labels":
        np.testing.assert_array_equal(result, logits[:2].argmax(-1))
    else:
        np.testing.assert_allclose(result, logits[:2], atol=1e-4)
    assert json.loads((tmp_path / "served" / "asap_tf.json").read_text()) == {"classes": []}
