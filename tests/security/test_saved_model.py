"""SavedModels whose graphs read, write, run Python or claim memory, wherever they do it."""

from __future__ import annotations

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.core.protobuf import saved_model_pb2

import asap_tf
from asap_tf.core.errors import AsapError
from asap_tf.runtime.saved_model_network import SavedModelNetwork

SHAPE = (1, 32, 64, 3)
SPEC = tf.TensorSpec(SHAPE, tf.uint8, "frames")
FRAMES = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


def saved(path, function, **members):
    """A SavedModel of a function from frames to labels."""
    module = tf.Module()
    for name, member in members.items():
        setattr(module, name, member)
    module.serve = tf.function(lambda frames: {"labels": function(frames)}, [SPEC])
    tf.saved_model.save(module, path, signatures={"serving_default": module.serve})
    return path


def green(frames):
    return frames[..., 1]


def edited(path, change):
    """Changes the graph of a SavedModel in its file."""
    file = path / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(model.meta_graphs[0])
    file.write_bytes(model.SerializeToString())
    return path


def write(mark):
    return tf.io.write_file(mark, "here")


def with_write(mark):
    """Labels, and a file."""

    def function(frames):
        with tf.control_dependencies([write(mark)]):
            return tf.identity(green(frames))

    return function


class Resource(tf.saved_model.experimental.TrackableResource):
    """Is made and initialized as soon as it is loaded."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=(), shared_name="x")

    def _initialize(self):
        write(self.mark)


def of_function(path, mark):
    saved(path, with_write(mark))


def of_nested_function(path, mark):
    saved(path, tf.function(with_write(mark)))


def of_branch(path, mark):
    saved(path, lambda x: tf.cond(tf.size(x) > 0, lambda: with_write(mark)(x), lambda: green(x)))


def of_initializer(path, mark):
    resource = Resource(mark)
    resource.resource_handle  # noqa: B018  (made in time to be saved)
    saved(path, green, resource=resource)


def of_python(path, mark):
    def function(frames):
        return tf.ensure_shape(tf.py_function(with_write(mark), [frames], tf.uint8), SHAPE[:3])

    saved(path, function)


def of_main_op(path, mark):
    """Of TensorFlow 1: an operation that is run as it is loaded."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        frames = tf.compat.v1.placeholder(tf.uint8, SHAPE)
        signature = tf.compat.v1.saved_model.predict_signature_def(
            {"frames": frames}, {"labels": green(frames)}
        )
        builder = tf.compat.v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=write(mark)
        )
        builder.save()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (of_function, "operators that no network needs: WriteFile"),
        (of_nested_function, "operators that no network needs: WriteFile"),
        (of_branch, "operators that no network needs: If, WriteFile"),
        (of_initializer, "operators that no network needs: .*WriteFile"),
        (of_python, "operators that no network needs: EagerPyFunc"),
        (of_main_op, "not a SavedModel of TensorFlow 2"),
    ],
)
def test_graphs_that_write_files(make, named, tmp_path):
    mark = tmp_path / "mark"
    make(tmp_path / "model", str(mark))
    mark.unlink(missing_ok=True)
    with pytest.raises(AsapError, match=named):
        network = SavedModelNetwork.open(tmp_path / "model")
        network.labels(FRAMES, SHAPE[1:3])
    assert not mark.exists()


def test_a_graph_that_reads_a_file(tmp_path):
    def function(frames):
        content = tf.io.decode_raw(tf.io.read_file("/etc/passwd"), tf.uint8, fixed_length=2048)
        return tf.reshape(content, SHAPE[:3])

    with pytest.raises(AsapError, match="model: .*: .*ReadFile.* `trust`"):
        asap_tf.load(saved(tmp_path / "model", function))


def test_a_graph_that_is_trusted(tmp_path, asap, caplog):
    mark = tmp_path / "mark"
    path = saved(tmp_path / "model", with_write(str(mark)))
    mark.unlink(missing_ok=True)
    found = asap("info", path)
    assert found.code == 1 and "WriteFile" in found.err and "--trust" in found.err
    assert not mark.exists()
    found = asap("info", path, "--trust")
    assert found.code == 0 and mark.exists()
    assert "could read, write and send your files" in caplog.text


def test_a_table_of_an_asset(tmp_path):
    (tmp_path / "words").write_text("a\nb\n")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(tmp_path / "words"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        1,
    )
    with pytest.raises(AsapError, match="no network needs: "):
        SavedModelNetwork.open(saved(tmp_path / "model", green, table=table))


def test_a_function_that_takes_the_place_of_another(tmp_path):
    """TensorFlow's optimizer swaps functions that say that they implement the same."""
    mark = tmp_path / "mark"
    writing = saved(tmp_path / "writing", tf.function(with_write(str(mark))))
    mark.unlink(missing_ok=True)
    found = saved_model_pb2.SavedModel.FromString((writing / "saved_model.pb").read_bytes())
    (writer,) = (
        function
        for function in found.meta_graphs[0].graph_def.library.function
        if any(node.op == "WriteFile" for node in function.node_def)
    )

    def change(graph):
        library = graph.graph_def.library
        (called,) = (f for f in library.function if "green" in f.signature.name)
        writer.signature.name = "unreached"
        library.function.append(writer)
        for function, device in ((called, b"GPU"), (library.function[-1], b"CPU")):
            function.attr["api_implements"].s = b"the same"
            function.attr["api_preferred_device"].s = device

    path = edited(saved(tmp_path / "model", tf.function(green)), change)
    SavedModelNetwork.open(path).labels(FRAMES, SHAPE[1:3])
    assert not mark.exists()


def test_values_that_lie_elsewhere(tmp_path):
    """A link to a secret in the place of the variables' values: labels would tell its bytes."""
    variable = tf.Variable(tf.zeros(SHAPE[:3], tf.uint8))
    path = saved(tmp_path / "model", lambda frames: green(frames) + variable, variable=variable)
    assert SavedModelNetwork.open(path).labels(FRAMES, SHAPE[1:3]).shape == SHAPE[:3]
    (values,) = path.glob("variables/*.data*")
    os.replace(values, tmp_path / "secret")
    values.symlink_to(tmp_path / "secret")
    with pytest.raises(AsapError, match="a link out of its folder"):
        SavedModelNetwork.open(path)


def test_variables_and_constants_of_gigabytes(tmp_path):
    variable = tf.Variable(tf.zeros((8,)))
    path = saved(tmp_path / "variable", green, variable=variable)

    def grow(graph):
        (item,) = (item for item in graph.object_graph_def.nodes if item.HasField("variable"))
        item.variable.shape.dim[0].size = 2**40

    with pytest.raises(AsapError, match="of variables, its files have"):
        SavedModelNetwork.open(edited(path, grow))

    def repeat(frames):
        return green(frames) + tf.cast(tf.reduce_sum(tf.constant(1.0, shape=(64, 64))), tf.uint8)

    def repeat_more(graph):
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "Const" and len(node.attr["value"].tensor.tensor_shape.dim) == 2:
                    node.attr["value"].tensor.tensor_shape.dim[0].size = 2**40

    path = edited(saved(tmp_path / "constant", repeat), repeat_more)
    with pytest.raises(AsapError, match="its constants would take"):
        SavedModelNetwork.open(path)


@pytest.mark.parametrize("content", [b"", b"\x0a" * 1000, b"\x12\x02\x0a\x00", bytes(1000)])
def test_graphs_that_are_none(tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(AsapError, match="damaged|not a SavedModel"):
        SavedModelNetwork.open(tmp_path)


def test_what_keras_exports_itself_opens(tmp_path):
    frames = keras.Input(SHAPE[1:], batch_size=1, dtype="uint8")
    x = layers.Rescaling(1 / 255)(frames)
    x = layers.Conv2D(8, 3, 2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(8, 3, padding="same", dilation_rate=2, activation="silu")(x)
    mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(mean)
    x = layers.GroupNormalization(4)(layers.Multiply()([x, gate]))
    x = layers.Concatenate()([x, layers.UpSampling2D(2)(layers.MaxPooling2D()(x))])
    x = layers.Dropout(0.1)(layers.LayerNormalization()(x))
    x = layers.Conv2DTranspose(8, 3, 2, padding="same", activation="gelu")(x)
    pixels = layers.Reshape((-1, 8))(x)
    x = layers.Reshape((*SHAPE[1:3], 8))(layers.MultiHeadAttention(2, 4)(pixels, pixels))
    x = layers.Resizing(*SHAPE[1:3])(layers.AveragePooling2D(2)(layers.ZeroPadding2D(2)(x)))
    model = keras.Model(frames, layers.Softmax()(layers.Dense(5)(x)))
    signature = [keras.InputSpec("uint8", SHAPE)]
    model.export(tmp_path / "model", input_signature=signature, verbose=False)
    network = SavedModelNetwork.open(tmp_path / "model")
    expected = model(FRAMES).numpy().argmax(-1)
    np.testing.assert_array_equal(network.labels(FRAMES, SHAPE[1:3]), expected)
