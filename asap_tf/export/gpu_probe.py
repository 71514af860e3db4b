"""What this machine has for TensorRT, found out in a process of its own: libraries may abort it.

python -m asap_tf.export.gpu_probe
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asap_tf.core.children import run_module
from asap_tf.core.errors import AsapError, UsageError, first_line, nearest
from asap_tf.runtime.engine import Cuda, Failure

LIMIT = 120.0
"""Seconds that TensorFlow and TensorRT may take to load."""

NAMES = {"tf-trt": "TF-TRT", "tensorrt": "TensorRT"}

_CRASHED = "looking for it ended the process"


@dataclass(frozen=True)
class Choice:
    """What builds the engines here.

    Attributes:
        engine: `"tf-trt"` or `"tensorrt"`.
        reason: Which and why, for people.
    """

    engine: str
    reason: str


def tensorrt_choice(required: str | None = None) -> Choice:
    """TF-TRT where this TensorFlow has it, otherwise TensorRT itself.

    Args:
        required: `"tf-trt"` or `"tensorrt"` to have that and no other.

    Raises:
        UsageError: for another word.
        AsapError: if it cannot be had, with everything that is missing and how to get it.

    Example:
        >>> tensorrt_choice().reason
        'TF-TRT: TensorFlow 2.17.1 with TensorRT 8.6.1 on NVIDIA GeForce RTX 3090'
    """
    if required is not None and required not in NAMES:
        raise UsageError(f"no such TensorRT engine '{required}'; {nearest(required, NAMES)}")
    return choose(found(), required)


def choose(facts: dict[str, Any], required: str | None = None) -> Choice:
    """The decision of `tensorrt_choice`, on the facts of `found`."""
    missing = {"tf-trt": _tf_trt_missing(facts), "tensorrt": _tensorrt_missing(facts)}
    wanted = [required] if required else list(NAMES)
    if "gpu" in facts:
        for engine in wanted:
            if not missing[engine]:
                why_not = None if required else missing["tf-trt"]
                return Choice(engine, _reason(engine, facts, why_not))
    lines = [f"TensorRT engines need an NVIDIA GPU and {' or '.join(NAMES[e] for e in wanted)}"]
    if "gpu" not in facts:
        lines += [f"no GPU: {facts.get('gpu_error', _CRASHED)}; export on a machine with one, or:"]
        lines += ["    `bundle`    (writes a folder that builds and times the engines there)"]
    for engine in wanted:
        if missing[engine]:
            reason, *commands = missing[engine]
            lines += [f"no {NAMES[engine]}: {reason}; get it by:", *(f"    {c}" for c in commands)]
    raise AsapError(lines[0], *(f"  {line}" for line in lines[1:]))


def _reason(engine: str, facts: dict[str, Any], why_not: list[str] | None) -> str:
    if engine == "tf-trt":
        tools = f"TensorFlow {facts['tensorflow']} with TensorRT {facts['tf_trt_loaded']}"
        return f"TF-TRT: {tools} on {facts['gpu']}"
    reason = f"TensorRT {facts['tensorrt']} on {facts['gpu']}"
    return f"{reason}; not TF-TRT: {why_not[0]}" if why_not else reason


def _tf_trt_missing(facts: dict[str, Any]) -> list[str]:
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
        return [
            f"TensorFlow {version} sees no GPU, or CUDA's libraries are missing",
            f"pip install 'tensorflow[and-cuda]=={version}'",
        ]
    return []


def _tensorrt_missing(facts: dict[str, Any]) -> list[str]:
    """Why TensorRT cannot be had and the commands to get it; empty if it can."""
    if "tensorrt" in facts:
        return []
    return [
        f"the package tensorrt cannot be imported ({facts.get('tensorrt_error', _CRASHED)})",
        "pip install tensorrt-cu12    (for a GTX 10xx, Python up to 3.11: tensorrt==8.6.1)",
    ]


def found() -> dict[str, Any]:
    """What a child process finds; what it did not live to tell is left out.

    Keys: `gpu` (a name) or `gpu_error`; `tensorflow` (a version) or `tensorflow_error`,
    `tf_trt_built` (the TensorRT it is built for, or None), `tf_trt_loaded` (the TensorRT it finds),
    `tensorflow_gpus` (a number); `tensorrt` (a version) or `tensorrt_error`.
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
    try:
        import tensorrt

        yield {"tensorrt": tensorrt.__version__}
    except Exception as error:
        yield {"tensorrt_error": first_line(error)}


def _version(numbers: tuple[int, ...]) -> str | None:
    return ".".join(map(str, numbers)) if any(numbers) else None


if __name__ == "__main__":
    for fact in _look():
        print(json.dumps(fact), flush=True)
