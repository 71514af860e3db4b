from __future__ import annotations

import subprocess
import sys

import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.formats import TRT_ENGINES
from asap_tf.export import gpu_probe
from asap_tf.export.gpu_probe import choose, found, tensorrt_choice

BARE = {
    "gpu_error": "no NVIDIA driver",
    "tensorflow": "2.21.0",
    "tf_trt_built": None,
    "tensorrt_error": "No module named 'tensorrt'",
    "tensorrt_rtx_error": "No module named 'tensorrt_rtx'",
}
TF_217 = {"tensorflow": "2.17.1", "tf_trt_built": "8.6.1"}
LOADED = {"tf_trt_loaded": "8.6.1", "tensorflow_gpus": 1}
GPU = {"gpu": "GTX 1080 Ti"}
ALL = {**BARE, **GPU, **TF_217, **LOADED, "tensorrt": "10.0", "tensorrt_rtx": "1.7.1"}


def test_tf_trt_is_taken_where_tensorflow_has_it():
    choice = choose(ALL)
    assert choice.format == "tf_trt"
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
    assert choice.format == "tensorrt"
    assert choice.reason.startswith("TensorRT 10.0 on GTX 1080 Ti; not TF-TRT: ")
    assert why in choice.reason


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"tensorrt": "10.0"}, "not TensorRT: it needs a GPU (no NVIDIA driver)"),
        ({**TF_217, **LOADED, "tensorflow_gpus": 0}, "not TF-TRT: it needs a GPU"),
        ({**GPU, "tensorrt": "8.6.1"}, "not TensorRT: TensorRT 8.6.1 is used by TF-TRT alone"),
        (GPU, "not TensorRT: the package tensorrt cannot be imported"),
    ],
)
def test_otherwise_tensorrt_for_rtx_ahead_of_time(facts, why):
    choice = choose({**BARE, "tensorrt_rtx": "1.7.1", **facts})
    assert choice.format == "tensorrt_rtx"
    assert choice.reason.startswith("TensorRT for RTX 1.7.1, ahead of time; not TF-TRT: ")
    assert why in choice.reason


def test_insisting():
    for engine, kind in TRT_ENGINES.items():
        assert choose(ALL, engine).format == kind
    with pytest.raises(AsapError, match="built without it") as error:
        choose({**BARE, **GPU, "tensorrt": "10.0"}, "tf-trt")
    assert "no TensorRT" not in str(error.value).partition("\n")[2]
    with pytest.raises(UsageError, match="`trt_engine` 'tftrt': did you mean 'tf-trt'"):
        tensorrt_choice("tftrt")


def test_all_that_is_missing_is_said_with_the_commands():
    with pytest.raises(AsapError) as error:
        choose({**BARE, **TF_217, "tensorrt": "10.0"})
    for wanted in (
        "no TF-TRT: TensorFlow 2.17.1 finds no libnvinfer.so.8.6.1 and libnvinfer_plugin.so.8.6.1",
        "pip install tensorrt-libs==8.6.1 --extra-index-url https://pypi.nvidia.com",
        "export LD_LIBRARY_PATH=",
        "no TensorRT: it needs a GPU (no NVIDIA driver)",
        "`bundle`",
        "no TensorRT for RTX: the package tensorrt_rtx cannot be imported (No module named ",
        "pip install 'asap-tf[trt]'",
    ):
        assert wanted in str(error.value)


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
    for module in ("tensorrt", "tensorrt_rtx"):
        assert (module in facts) != (f"{module}_error" in facts)
