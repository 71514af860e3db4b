from __future__ import annotations

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from asap_tf.core.errors import AsapError
from asap_tf.runtime.saved_model_network import SavedModelNetwork

SPEC = tf.TensorSpec((1, 32, 64, 3), tf.uint8, "frames")


def save(function, path, signature="serving_default"):
    module = tf.Module()
    module.serve = tf.function(function, [SPEC])
    tf.saved_model.save(module, path, signatures={signature: module.serve})
    return path


def test_names_of_input_and_output_do_not_matter(tmp_path):
    path = save(lambda frames: {"anything": frames[..., 1]}, tmp_path / "green")
    network = SavedModelNetwork.open(path)
    assert (network.size, network.batch, network.output) == ((32, 64), 1, "labels")
    assert network.runtime.startswith(f"TensorFlow {tf.__version__}, ")
    frames = tf.random.uniform((1, 32, 64, 3), 0, 255, tf.int32).numpy().astype("uint8")
    assert (network.labels(frames, (32, 64)) == frames[..., 1]).all()


def test_foreign_models(tmp_path):
    path = save(lambda frames: {"mean": tf.reduce_mean(frames)}, tmp_path / "mean")
    with pytest.raises(AsapError, match=r"takes frames uint8 .* and gives mean uint8 \(\);"):
        SavedModelNetwork.open(path)
    path = save(lambda frames: {"labels": frames[..., 1]}, tmp_path / "other", "other")
    with pytest.raises(AsapError, match="other: a SavedModel without the signature 'serving_def"):
        SavedModelNetwork.open(path)


def test_tf_trt_is_refused_before_tensorflow_tries(tmp_path):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("may be able to run it")
    path = save(lambda x: {"labels": tf.identity(x[..., 1], name="named")}, tmp_path / "trt")
    file = path / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = "TRTEngineOp" if node.name == "named" else node.op
    file.write_bytes(model.SerializeToString())
    with pytest.raises(AsapError, match="trt: converted by TF-TRT"):
        SavedModelNetwork.open(path)
