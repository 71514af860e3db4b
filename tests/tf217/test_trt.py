"""TF-TRT of TensorFlow 2.17, as far as it goes without a GPU.

What decides which operators go into engines is part of TensorFlow. It only wants to have loaded
TensorRT's libraries: empty ones, compiled here, will do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asap_tf import ASAPNet
from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FORMATS
from asap_tf.export.gpu_probe import found, tensorrt_choice
from asap_tf.export.graph import Deployment
from asap_tf.export.writers import tf_trt

LIBRARY = """
int getInferLibVersion(void) { return 8601; }
void* createInferBuilder_INTERNAL(void* logger, int version) { return 0; }
void* createInferRuntime_INTERNAL(void* logger, int version) { return 0; }
void* createInferRefitter_INTERNAL(void* engine, void* logger, int version) { return 0; }
void* getBuilderPluginRegistry(int capability) { return 0; }
void* getPluginRegistry(void) { return 0; }
_Bool initLibNvInferPlugins(void* logger, const char* namespace) { return 1; }
"""

PROGRAM = """
import json, sys
from pathlib import Path
from tensorflow.python.compiler.tensorrt import trt_convert
from asap_tf import ASAPNet
from asap_tf.core.errors import AsapError
from asap_tf.export.graph import Deployment
from asap_tf.export.writers import saved_model, tf_trt

class Zeros:
    device = "GPU:0"

trt_convert.array_ops = type("Ops", (), {"zeros": lambda shape: Zeros})
folder = Path(sys.argv[1])
deployment = Deployment(ASAPNet(19, (64, 128, 3)), (64, 128))
saved_model.write(deployment, "fp32", folder / "plain", [], {}, tf_trt.REWRITES)
converter = trt_convert.TrtGraphConverterV2(str(folder / "plain"), use_dynamic_shape=True)
nodes = converter.convert().graph.as_graph_def().node
said = {"graph": sorted(node.op for node in nodes if node.op != "Const")}
for precision in ("fp32", "fp16", "int8"):
    try:
        tf_trt.write(deployment, precision, folder / precision, [], {})
    except AsapError as error:
        said[precision] = str(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="session")
def libraries(tmp_path_factory) -> Path:
    """A folder with what TensorFlow takes for TensorRT 8.6.1."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("libraries")
    (folder / "library.c").write_text(LIBRARY)
    for name in ("libnvinfer.so.8.6.1", "libnvinfer_plugin.so.8.6.1"):
        command = [compiler, "-shared", "-fPIC", "-o", folder / name, folder / "library.c"]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="session")
def said(libraries, tmp_path_factory) -> dict:
    """What TF-TRT made of the network: kinds of operators left, and errors."""
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path_factory.mktemp("trt")],
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(child.stdout.splitlines()[-1])


def test_tensorflows_own_segmenter_makes_one_engine(said):
    assert said["graph"] == ["Cast", "Cast", "Identity", "Placeholder", "TRTEngineOp"]


@pytest.mark.parametrize("precision", FORMATS["tf_trt"].precisions)
def test_conversion_goes_as_far_as_the_gpu(said, precision):
    # The engine's own kernel is for GPUs only.
    assert "No OpKernel was registered to support Op 'TRTEngineOp'" in said[precision]
    assert f'precision_mode="{precision.upper()}"' in said[precision]


def test_libraries_that_are_missing():
    facts = found()
    assert facts["tensorflow"].startswith("2.17.") and facts["tf_trt_built"] == "8.6.1"
    assert "tf_trt_loaded" not in facts
    with pytest.raises(AsapError, match=r"no TF-TRT: TensorFlow 2\.17\.\d finds no libnvinfer"):
        tensorrt_choice("tf-trt")


def test_libraries_that_are_there(libraries, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries))
    assert found()["tf_trt_loaded"] == "8.6.1"
    with pytest.raises(AsapError, match="no TF-TRT: it needs a GPU"):
        tensorrt_choice("tf-trt")


def test_without_libraries_the_writer_says_so(tmp_path):
    deployment = Deployment(ASAPNet(19, (64, 128, 3)), (64, 128))
    with pytest.raises(AsapError, match="TensorRT support"):
        tf_trt.write(deployment, "fp16", tmp_path / "trt", [], {})
    assert not list(tmp_path.iterdir())
