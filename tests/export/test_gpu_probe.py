from __future__ import annotations

import subprocess
import sys

import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.export import gpu_probe
from asap_tf.export.gpu_probe import choose, found, tensorrt_choice

BARE = {
    "gpu_error": "no NVIDIA driver",
    "tensorflow": "2.21.0",
    "tf_trt_built": None,
    "tensorrt_error": "No module named 'tensorrt'",
}
TF_217 = {"tensorflow": "2.17.1", "tf_trt_built": "8.6.1"}
LOADED = {"tf_trt_loaded": "8.6.1", "tensorflow_gpus": 1}
GPU = {"gpu": "GTX 1080 Ti"}


def test_tf_trt_is_taken_where_tensorflow_has_it():
    choice = choose({**BARE, **GPU, **TF_217, **LOADED, "tensorrt": "10.0"})
    assert choice.engine == "tf-trt"
    assert choice.reason == "TF-TRT: TensorFlow 2.17.1 with TensorRT 8.6.1 on GTX 1080 Ti"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, "TensorFlow 2.21.0 is built without it"),
        (TF_217, "TensorFlow 2.17.1 finds no libnvinfer.so.8.6.1"),
        ({**TF_217, **LOADED, "tensorflow_gpus": 0}, "TensorFlow 2.17.1 sees no GPU"),
        ({"tensorflow": None}, "TensorFlow cannot be imported"),
    ],
)
def test_otherwise_tensorrt_with_the_reason(facts, why):
    choice = choose({**BARE, **GPU, "tensorrt": "10.0", **facts})
    assert choice.engine == "tensorrt"
    assert choice.reason.startswith("TensorRT 10.0 on GTX 1080 Ti; not TF-TRT: ")
    assert why in choice.reason


def test_insisting():
    both = {**BARE, **GPU, **TF_217, **LOADED, "tensorrt": "10.0"}
    assert choose(both, "tensorrt").engine == "tensorrt"
    assert choose(both, "tf-trt").engine == "tf-trt"
    with pytest.raises(AsapError, match="built without it") as error:
        choose({**BARE, **GPU, "tensorrt": "10.0"}, "tf-trt")
    assert "no GPU" not in str(error.value) and "no TensorRT" not in str(error.value)
    with pytest.raises(UsageError, match="no such TensorRT engine 'tftrt'; did you mean 'tf-trt'"):
        tensorrt_choice("tftrt")


def test_all_that_is_missing_is_said_with_the_commands():
    with pytest.raises(AsapError) as error:
        choose({**BARE, **TF_217})
    text = str(error.value)
    for wanted in (
        "no GPU: no NVIDIA driver",
        "`bundle`",
        "no TF-TRT: TensorFlow 2.17.1 finds no libnvinfer.so.8.6.1 and libnvinfer_plugin.so.8.6.1",
        "pip install tensorrt-libs==8.6.1 --extra-index-url https://pypi.nvidia.com",
        "export LD_LIBRARY_PATH=",
        "no TensorRT: the package tensorrt cannot be imported (No module named 'tensorrt')",
        "pip install tensorrt-cu12",
    ):
        assert wanted in text


def test_what_is_there_is_not_called_missing():
    with pytest.raises(AsapError) as error:
        choose({**BARE, "tensorrt": "10.0"}, "tensorrt")
    assert "no TensorRT" not in str(error.value)


def test_a_library_that_ends_the_process_is_survived(monkeypatch):
    told = b"""print('{"gpu": "RTX"}', flush=True); import os; os.abort()"""
    run = subprocess.run

    def crash(command, **kwargs):
        return run([sys.executable, "-c", told], **kwargs)

    monkeypatch.setattr(gpu_probe.subprocess, "run", crash)
    assert found() == {"gpu": "RTX"}
    with pytest.raises(AsapError, match="looking for it ended the process"):
        tensorrt_choice()


def test_a_library_that_hangs_is_not_waited_for(monkeypatch):
    run = subprocess.run

    def hang(command, **kwargs):
        code = "print('noise', flush=True); import time; time.sleep(60)"
        return run([sys.executable, "-c", code], **kwargs)

    monkeypatch.setattr(gpu_probe.subprocess, "run", hang)
    monkeypatch.setattr(gpu_probe, "LIMIT", 1.0)
    assert found() == {}


def test_this_machine():
    import tensorflow as tf

    facts = found()
    assert facts["tensorflow"] == tf.__version__
    assert ("gpu" in facts) != ("gpu_error" in facts)
    assert ("tensorrt" in facts) != ("tensorrt_error" in facts)
