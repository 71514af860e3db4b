from __future__ import annotations

import json
import logging
import os
import sys

import numpy as np
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FORMATS
from asap_tf.export.writers import openvino
from asap_tf.runtime.openvino_network import core

METADATA = {"format": "openvino", "classes": ["ä", '"<&>']}
FLOORS = {"fp32": 0.999, "fp16": 0.995, "int8": 0.97}


@pytest.fixture(scope="module")
def written(to_logits, frames, tmp_path_factory):
    """The files by precision, logits of two frames a call."""
    folder = tmp_path_factory.mktemp("openvino")
    paths = {precision: folder / f"{precision}.xml" for precision in FORMATS["openvino"].precisions}
    for precision, path in paths.items():
        openvino.write(to_logits, precision, path, list(frames), METADATA)
    return paths


def opened(path):
    """A network that computes in float32 what is not integers."""
    return core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def types_of_weights(path):
    """Types in which the kernels of convolutions are stored."""
    types = set()
    for node in core().read_model(path).get_ops():
        if node.get_type_name() in ("Convolution", "GroupConvolution"):
            kernel = node.input_value(1).get_node()
            while kernel.get_type_name() != "Constant":
                kernel = kernel.input_value(0).get_node()
            types.add(kernel.get_element_type().to_string())
    return types


@pytest.mark.parametrize("precision", FORMATS["openvino"].precisions)
def test_logits_are_the_models(written, frames, logits, precision):
    network = opened(written[precision])
    assert [port.get_names() for port in (*network.inputs, *network.outputs)] == [
        {"frames"},
        {"logits"},
    ]
    pairs = frames.reshape(-1, 2, *frames.shape[1:])
    found = np.concatenate([network([pair])[0] for pair in pairs])
    assert (found.dtype, found.shape) == (np.float32, logits.shape)
    assert np.mean(found.argmax(-1) == logits.argmax(-1)) >= FLOORS[precision]
    if precision == "fp32":
        np.testing.assert_allclose(found, logits, atol=1e-3)


@pytest.mark.parametrize("precision", FORMATS["openvino"].precisions)
def test_the_two_files_are_whole_and_may_be_renamed(written, frames, tmp_path, precision):
    for suffix in (".xml", ".bin"):
        content = written[precision].with_suffix(suffix).read_bytes()
        (tmp_path / f"renamed{suffix}").write_bytes(content)
    model = core().read_model(tmp_path / "renamed.xml")
    assert json.loads(model.get_rt_info("asap_tf").value) == METADATA
    expected = opened(written[precision])([frames[:2]])[0]
    np.testing.assert_array_equal(opened(tmp_path / "renamed.xml")([frames[:2]])[0], expected)


@pytest.mark.parametrize(("precision", "kind"), [("fp32", "f32"), ("fp16", "f16"), ("int8", "i8")])
def test_types_of_the_weights(written, precision, kind):
    assert types_of_weights(written[precision]) == {kind}


def test_nncf_is_quiet_and_nobody_else(written, caplog):
    for name in ("nncf", "asap_tf"):
        logging.getLogger(name).warning("from %s", name)
    assert caplog.messages == ["from asap_tf"]


def test_int8_runs_in_integers(written):
    in_floats = []
    for node in opened(written["int8"]).get_runtime_model().get_ops():
        info = node.get_rt_info()
        integers = info["runtimePrecision"].astype(str) in ("i8", "u8")
        if info["layerType"].astype(str) == "Convolution" and not integers:
            in_floats.append(node.get_friendly_name())
    # One of nine numbers a channel, behind slices that OpenVINO does not quantize.
    (blur,) = in_floats
    assert blur.endswith("pyramid_1/depthwise")


def test_int8_keeps_statistics_and_products_as_they_are(written):
    model = core().read_model(written["int8"])
    for kind in ("Sqrt", "Softmax", "MatMul"):
        nodes = [node for node in model.get_ops() if node.get_type_name() == kind]
        assert nodes
        for node in nodes:
            before = {value.get_node().get_type_name() for value in node.input_values()}
            assert "FakeQuantize" not in before


def test_nothing_is_printed(to_logits, frames, tmp_path, capfd):
    openvino.write(to_logits, "int8", tmp_path / "a.xml", list(frames[:2]), {})
    assert capfd.readouterr() == ("", "")


def test_nothing_is_reported_to_anybody():
    assert os.environ["NNCF_CI"]  # what NNCF asks, at its import


def test_a_missing_package_is_named(to_logits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(AsapError, match=r"nncf .*pip install 'asap-tf\[openvino\]'"):
        openvino.write(to_logits, "int8", tmp_path / "a.xml", [], {})
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(AsapError, match=r"openvino .*pip install 'asap-tf\[openvino\]'"):
        openvino.write(to_logits, "fp32", tmp_path / "a.xml", [], {})
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_converted(to_logits, tmp_path):
    with pytest.raises(AsapError, match=r"OpenVINO .* cannot make a graph in int8 of the network"):
        openvino.write(to_logits, "int8", tmp_path / "a.xml", [], {})
    assert not list(tmp_path.iterdir())
