"""What `benchmarks/serving.py` runs in processes of their own, which import no more than they use.

    python benchmarks/serving_process.py resident|allocations WAY ARTIFACT THREADS FRAMES
    python benchmarks/serving_process.py command VERB ARGUMENT...

Prints JSON: resident memory in bytes after each frame and its peak; or for one frame the bytes that
Python and NumPy take for it at most, and the pages of memory that are touched for the first time;
or the peak of `asap-tf VERB ARGUMENT...`.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from asap_tf.runtime import Segmenter

Label = Callable[[], np.ndarray]


def bare(artifact: str, threads: int) -> Label:
    """Labels the same frame again and again by LiteRT alone."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(artifact, num_threads=threads)
    interpreter.allocate_tensors()
    takes, gives = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    frame = noise(takes["shape"])

    def label() -> np.ndarray:
        interpreter.set_tensor(takes["index"], frame)
        interpreter.invoke()
        return interpreter.get_tensor(gives["index"])

    return label


def through_asap_tf(artifact: str, threads: int, into: bool = False, taller: bool = False) -> Label:
    """The same by `predict`.

    Args:
        artifact: The file.
        threads: Of the network.
        into: Whether to have the labels written into an array that is there already.
        taller: Whether frames are twice as high as the network, so that they must be resized.
    """
    import asap_tf

    segmenter = asap_tf.load(artifact, threads)
    height, width = size_of(segmenter)
    frame = noise((1, height * (1 + taller), width, 3))
    out = np.empty(frame.shape[:3], np.uint8) if into else None
    return lambda: segmenter.predict(frame, out)


WAYS: dict[str, Callable[[str, int], Label]] = {
    "bare": bare,
    "predict": through_asap_tf,
    "predict_into": partial(through_asap_tf, into=True),
    "predict_resized_into": partial(through_asap_tf, into=True, taller=True),
}


def size_of(segmenter: Segmenter) -> tuple[int, int]:
    """That an exported model has."""
    assert segmenter.network.size is not None
    return segmenter.network.size


def noise(shape: Any) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def resident(label: Label, frames: int) -> dict[str, Any]:
    after = []
    for _ in range(frames):
        label()
        after.append(status("VmRSS"))
    return {"resident": after, "peak": status("VmHWM")}


def allocations(label: Label, frames: int) -> dict[str, float]:
    for _ in range(20):
        label()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(frames):
        label()
    pages = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / frames
    tracemalloc.start()
    used = []
    for _ in range(20):
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        label()
        used.append(tracemalloc.get_traced_memory()[1] - start)
    return {"bytes": sorted(used)[len(used) // 2], "pages": pages}


def status(field: str) -> int:
    """A field of Linux's account of this process, bytes."""
    with open("/proc/self/status") as lines:
        (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def peak_of_command(arguments: Sequence[str]) -> int:
    """Runs `asap-tf` here: what `wait4` tells of a child counts its parent's memory as well."""
    from asap_tf.cli import group

    with contextlib.redirect_stdout(sys.stderr):
        group.main(list(arguments), standalone_mode=False)
    return status("VmHWM")


def main(task: str, *arguments: str) -> Any:
    if task == "command":
        return peak_of_command(arguments)
    way, artifact, threads, frames = arguments
    run = {"resident": resident, "allocations": allocations}[task]
    return run(WAYS[way](artifact, int(threads)), int(frames))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
