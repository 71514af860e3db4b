"""What this machine has for TensorRT, found out in a process of its own: libraries may abort it.

python -m asap_tf.export.gpu_probe
"""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asap_tf.core.children import run_module
from asap_tf.core.errors import AsapError, UsageError, first_line, nearest
from asap_tf.core.formats import FORMATS, TRT_ENGINES
from asap_tf.runtime.engine import Cuda, Failure

LIMIT = 120.0
"""Seconds that TensorFlow and TensorRT may take to load."""

_CRASHED = "looking for it ended the process"


@dataclass(frozen=True)
class Choice:
    """What builds the engines here.

    Attributes:
        format: Key of `asap_tf.core.formats.FORMATS`.
        reason: Which and why, for people.
    """

    format: str
    reason: str


def tensorrt_choice(trt_engine: str | None = None) -> Choice:
    """Chooses TF-TRT where this TensorFlow has it, else TensorRT, else TensorRT for RTX.

    The first two need a GPU. TensorRT for RTX builds ahead of time.

    Args:
        trt_engine: Key of `TRT_ENGINES`, to have that and no other.

    Raises:
        UsageError: for another word.
        AsapError: if none can be had, with everything that is missing and how to get it.

    Examples:
        >>> tensorrt_choice().reason
        'TF-TRT: TensorFlow 2.17.1 with TensorRT 8.6.1 on NVIDIA GeForce RTX 3090'
    """
    if trt_engine is not None and trt_engine not in TRT_ENGINES:
        raise UsageError(f"`trt_engine` '{trt_engine}': {nearest(trt_engine, TRT_ENGINES)}")
    return choose(found(), trt_engine)


def choose(facts: dict[str, Any], trt_engine: str | None = None) -> Choice:
    """The decision of `tensorrt_choice`, on the facts of `found`."""
    missing = {
        "tf-trt": _missing_for_tf_trt(facts),
        "tensorrt": _missing_for_tensorrt(facts),
        "rtx": _missing_for_rtx(facts),
    }
    labels = {engine: FORMATS[kind].label for engine, kind in TRT_ENGINES.items()}
    refused: list[str] = []
    for engine in [trt_engine] if trt_engine else TRT_ENGINES:
        if not missing[engine]:
            name = {
                "tf-trt": f"TF-TRT: TensorFlow {facts.get('tensorflow')} with TensorRT "
                f"{facts.get('tf_trt_loaded')} on {facts.get('gpu')}",
                "tensorrt": f"TensorRT {facts.get('tensorrt')} on {facts.get('gpu')}",
                "rtx": f"TensorRT for RTX {facts.get('tensorrt_rtx')}, ahead of time",
            }[engine]
            return Choice(TRT_ENGINES[engine], name + "".join(refused))
        refused.append(f"; not {labels[engine]}: {missing[engine][0]}")
    lines = []
    for engine in [trt_engine] if trt_engine else TRT_ENGINES:
        reason, *commands = missing[engine]
        lines += [f"  no {labels[engine]}: {reason}", *(f"      {c}" for c in commands)]
    raise AsapError("no TensorRT engine can be built here", *lines)


def _missing_for_tf_trt(facts: dict[str, Any]) -> list[str]:
    """Why TF-TRT cannot be had and the commands to get it; empty if it can."""
    version, built_for = facts.get("tensorflow"), facts.get("tf_trt_built")
    if version is None:
        reason = f"TensorFlow cannot be imported ({facts.get('tensorflow_error', _CRASHED)})"
        return [reason, "pip install 'tensorflow[and-cuda]==2.17.1'"]
    if not built_for:
        return [
            f"TensorFlow {version} is built without it, 2.17 was the last with it",
            "docker run --gpus all -it nvcr.io/nvidia/tensorflow:25.02-tf2-py3    (or:)",
            "pip install 'tensorflow[and-cuda]==2.17.1'",
        ]
    if "tf_trt_loaded" not in facts:
        return [
            f"TensorFlow {version} finds no libnvinfer.so.{built_for} and "
            f"libnvinfer_plugin.so.{built_for}",
            f"pip install tensorrt-libs=={built_for} --extra-index-url https://pypi.nvidia.com",
            "cd \"$(python -c 'import tensorrt_libs; print(*tensorrt_libs.__path__)')\"",
            f"for l in libnvinfer libnvinfer_plugin; do ln -s $l.so.8 $l.so.{built_for}; done",
            'export LD_LIBRARY_PATH="$PWD:$LD_LIBRARY_PATH"',
        ]
    if not facts.get("tensorflow_gpus"):
        return _missing_gpu(facts) or [
            f"TensorFlow {version} sees no GPU, or lacks CUDA's libraries",
            f"pip install 'tensorflow[and-cuda]=={version}'",
        ]
    return []


def _missing_for_tensorrt(facts: dict[str, Any]) -> list[str]:
    version = facts.get("tensorrt")
    if version is None:
        reason = facts.get("tensorrt_error", _CRASHED)
        return [f"the package tensorrt cannot be imported ({reason})", "pip install tensorrt-cu12"]
    if int(version.split(".")[0]) < 10:
        return [f"TensorRT {version} is used by TF-TRT alone", "pip install tensorrt-cu12"]
    return _missing_gpu(facts)


def _missing_for_rtx(facts: dict[str, Any]) -> list[str]:
    if "tensorrt_rtx" in facts:
        return []
    reason = facts.get("tensorrt_rtx_error", _CRASHED)
    return [
        f"the package tensorrt_rtx cannot be imported ({reason})",
        "pip install 'asap-tf[trt]'    (Python 3.11 or 3.12; it needs no GPU)",
    ]


def _missing_gpu(facts: dict[str, Any]) -> list[str]:
    if "gpu" in facts:
        return []
    return [
        f"it needs a GPU ({facts.get('gpu_error', _CRASHED)})",
        "or `bundle`: a folder that builds and times the engines on a machine with one",
    ]


def found() -> dict[str, Any]:
    """What a child process finds; what it did not live to tell is left out.

    Keys: `gpu` (a name) or `gpu_error`; `tensorflow` (a version) or `tensorflow_error`,
    `tf_trt_built` (the TensorRT it is built for, or None), `tf_trt_loaded` (the TensorRT it finds),
    `tensorflow_gpus` (a number); `tensorrt` and `tensorrt_rtx` (versions) or `tensorrt_error` and
    `tensorrt_rtx_error`.
    """
    try:
        output = run_module("asap_tf.export.gpu_probe", timeout=LIMIT).stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    facts: dict[str, Any] = {}
    for line in output.splitlines():
        if line.startswith(b"{"):
            facts |= json.loads(line)
    return facts


def _look() -> Iterator[dict[str, Any]]:
    try:
        yield {"gpu": Cuda().name}
    except Failure as failure:
        yield {"gpu_error": str(failure)}
    try:
        import tensorflow as tf
        from tensorflow.compiler.tf2tensorrt import _pywrap_py_utils as tf_trt
    except Exception as error:
        yield {"tensorflow_error": first_line(error)}
    else:
        built_for = _version(tf_trt.get_linked_tensorrt_version())
        yield {"tensorflow": tf.__version__, "tf_trt_built": built_for}
        # TensorFlow aborts if it is asked for the loaded version where this says no.
        if tf_trt.is_tensorrt_enabled():
            yield {"tf_trt_loaded": _version(tf_trt.get_loaded_tensorrt_version())}
        yield {"tensorflow_gpus": len(tf.config.list_physical_devices("GPU"))}
    for module in ("tensorrt", "tensorrt_rtx"):
        try:
            yield {module: importlib.import_module(module).__version__}
        except Exception as error:
            yield {f"{module}_error": first_line(error)}


def _version(numbers: tuple[int, ...]) -> str | None:
    return ".".join(map(str, numbers)) if any(numbers) else None


if __name__ == "__main__":
    for fact in _look():
        print(json.dumps(fact), flush=True)
