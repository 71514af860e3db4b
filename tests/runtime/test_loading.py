from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import keras
import numpy as np
import pytest

import asap_tf
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.runtime import format_of
from asap_tf.saving import sidecar

FORMATS = {".tflite": "litert", ".onnx": "onnx", ".xml": "openvino", "": "saved_model"}
SUFFIXES = list(FORMATS)


def frames(count, height=64, width=96):
    noise = np.random.default_rng(0).integers(0, 256, (count, 9, 11, 3), np.uint8)
    return np.stack([cv2.resize(frame, (width, height)) for frame in noise])


def keras_logits(model, x):
    return np.asarray(model(x.astype("float32"), training=False))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_are_those_of_keras(tiny, exported, suffix):
    x = frames(3)
    expected = keras_logits(tiny, x).argmax(-1)
    assert np.bincount(expected.ravel()).min() > 100, "each of the five classes matters"
    for output in ("labels", "logits"):
        segmenter = asap_tf.load(exported / f"{output}{suffix}")
        assert segmenter.format == FORMATS[suffix]
        assert segmenter.precision == "fp32"
        assert segmenter.size == (64, 96)
        assert [c.name for c in segmenter.classes] == ["c0", "c1", "c2", "c3", "c4"]
        labels = segmenter.predict(x)
        assert labels.dtype == np.uint8 and (labels == expected).mean() >= 0.999


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_of_another_size_come_back_at_their_own(tiny, exported, suffix):
    x = frames(3, 128, 192)
    resized = np.stack([cv2.resize(frame, (96, 64)) for frame in x])
    logits = keras_logits(tiny, resized)
    expected = np.stack([cv2.resize(y, (192, 128)) for y in logits]).argmax(-1)
    nearest = logits.argmax(-1).repeat(2, axis=1).repeat(2, axis=2)
    assert (asap_tf.load(exported / f"logits{suffix}").predict(x) == expected).mean() >= 0.999
    assert (asap_tf.load(exported / f"labels{suffix}").predict(x) == nearest).mean() >= 0.999


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_probabilities(tiny, exported, suffix):
    x = frames(3)
    probabilities = asap_tf.load(exported / f"logits{suffix}").probabilities(x)
    expected = np.asarray(keras.ops.softmax(keras_logits(tiny, x)))
    np.testing.assert_allclose(probabilities, expected, atol=0.01)
    labels_only = asap_tf.load(exported / f"labels{suffix}")
    with pytest.raises(UsageError, match="leave `scales` and `flip` out"):
        labels_only.probabilities(x)
    with pytest.raises(UsageError, match="exported for 64x96 and cannot run at 96x160"):
        labels_only.probabilities(x, (96, 160))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_results_stay_when_the_next_frame_comes(exported, suffix):
    for output in ("labels", "logits"):
        network = asap_tf.load(exported / f"{output}{suffix}").network
        x = frames(2 * network.batch)
        first = network.run(x[: network.batch])
        kept = first.copy()
        second = network.run(x[network.batch :])
        np.testing.assert_array_equal(first, kept)
        assert (first != second).any()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_this_process_has_not_written_is_tried_in_a_child(copied, suffix, monkeypatch):
    tried = []
    monkeypatch.setattr("asap_tf.runtime.loading.probe", lambda path, trust: tried.append(path))
    described, path = copied(f"labels{suffix}"), copied(f"logits{suffix}", described=False)
    assert asap_tf.load(described).metadata["parameters"] == 123
    assert tried == []
    monkeypatch.setattr("asap_tf.runtime.loading.is_own", lambda path: False)
    asap_tf.load(described)
    segmenter = asap_tf.load(path)
    assert tried == [described, path]
    assert segmenter.metadata.get("parameters") is None
    kind = "class " if suffix == "" else "c"
    assert [c.name for c in segmenter.classes] == [f"{kind}{i}" for i in range(5)]
    assert segmenter.precision == ("unknown" if suffix == "" else "fp32")


def test_labels_without_any_metadata_may_be_of_256_classes(copied, monkeypatch):
    monkeypatch.setattr("asap_tf.runtime.loading.probe", lambda path, trust: None)
    segmenter = asap_tf.load(copied("labels", described=False))
    assert len(segmenter.classes) == 256 and segmenter.palette.shape == (256, 3)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_differs_from_the_export_reaches_no_parser(copied, suffix, monkeypatch):
    path = copied(f"labels{suffix}")
    monkeypatch.setattr("asap_tf.runtime.loading.open_network", None)
    file = path / "saved_model.pb" if path.is_dir() else path
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(AsapError, match=f"{file.name}: damaged: it differs from what was exported"):
        asap_tf.load(path)


def test_exported_files_need_neither_tensorflow_nor_keras(exported, tmp_path):
    code = """
import sys, numpy, asap_tf
for path in sys.argv[1:]:
    asap_tf.load(path, threads=1).predict(numpy.zeros((1, 64, 96, 3), "uint8"))
sys.exit(bool({"tensorflow", "keras"} & set(sys.modules)))
"""
    paths = [exported / f"labels{suffix}" for suffix in SUFFIXES[:3]]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("output", ["labels", "logits"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_eight_threads_at_once_get_what_one_gets(exported, suffix, output):
    segmenter = asap_tf.load(exported / f"{output}{suffix}")
    x = frames(8)
    one_by_one = [segmenter.predict(frame[None])[0] for frame in x]
    assert len({labels.tobytes() for labels in one_by_one}) == 8
    with ThreadPoolExecutor(8) as pool:
        for _ in range(25):
            together = pool.map(lambda frame: segmenter.predict(frame[None])[0], x)
            for labels, expected in zip(together, one_by_one, strict=True):
                np.testing.assert_array_equal(labels, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_calls_of_any_size_leave_no_descriptor_and_no_thread_behind(exported):
    segmenter = asap_tf.load(exported / "labels.tflite")
    rng = np.random.default_rng(0)
    held = []
    for i in range(60):
        size = rng.integers(1, 300, 2)
        assert segmenter.predict(frames(1 + i % 3, *size)).shape == (1 + i % 3, *size)
        held.append([len(os.listdir(f"/proc/self/{what}")) for what in ("fd", "task")])
    assert held[10] == held[-1]


@pytest.mark.parametrize("suffix", SUFFIXES[:3])
def test_threads(exported, suffix):
    path = exported / f"labels{suffix}"
    assert asap_tf.load(path, threads=1).network.runtime.endswith(", 1 thread")
    assert asap_tf.load(path, threads=3).network.runtime.endswith(", 3 threads")
    for threads in (0, -1):
        with pytest.raises(UsageError, match=f"threads={threads}: at least 1"):
            asap_tf.load(path, threads)


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [
        (".tflite", "ai_edge_litert", "litert"),
        (".onnx", "onnxruntime", "onnx"),
        (".xml", "openvino", "openvino"),
    ],
)
def test_runtime_that_is_not_installed(exported, suffix, module, extra, monkeypatch):
    for name in [module, *(name for name in sys.modules if name.startswith(f"{module}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(AsapError, match=rf"pip install 'asap-tf\[{extra}\]'"):
        asap_tf.load(exported / f"labels{suffix}")


def test_format_is_told_by_name(exported, tmp_path):
    for suffix, kind in FORMATS.items():
        assert format_of(exported / f"labels{suffix}") == kind
    (tmp_path / "a.keras").touch()
    (tmp_path / "a.engine").touch()
    (tmp_path / "a.h5").touch()
    assert format_of(tmp_path) == format_of(tmp_path / "a.keras") == "keras"
    assert format_of(tmp_path / "a.engine") == "tensorrt"
    with pytest.raises(UsageError, match="a.h5: not a model; give a run folder"):
        format_of(tmp_path / "a.h5")
    with pytest.raises(UsageError, match="b.tflite: no such model; give a run folder"):
        format_of(tmp_path / "b.tflite")


def test_labels_beyond_the_classes_are_an_error(copied):
    path = copied("labels.tflite")
    metadata = json.loads(sidecar(path).read_text())
    assert metadata["classes"].pop()["name"] == "c4"
    sidecar(path).write_text(json.dumps(metadata))
    with pytest.raises(AsapError, match="gave label 4, but 4 classes are named"):
        asap_tf.load(path).predict(frames(1))
