"""An artifact, opened with everything that is timed of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from asap_tf.core.errors import UsageError
from asap_tf.core.resize import resize_frame
from asap_tf.core.sizes import size_without_frame
from asap_tf.core.system import available_cores
from asap_tf.data.images import read_image
from asap_tf.runtime import Segmenter, load
from asap_tf.saving import artifact_bytes, model_file

ROWS = ("network", "resize", "jpeg", "png")
LEAD_IN = 0.1
"""Seconds of untimed runs at the start of a turn."""

JPEG_QUALITY = 90


@dataclass(frozen=True)
class ArtifactSpec:
    """An artifact to run, and the settings to run it with.

    Attributes:
        path: The artifact.
        folder: Folder with the source frame; see `write_source`.
        size: `(H, W)` for artifacts that run at any size; None for their own.
        threads: Processor threads; None for all cores.
        xla: Whether to compile the network, a Keras model, by XLA.
        rows: Names of what to time.
        trust: As of `asap_tf.load`.
    """

    path: Path
    folder: Path
    size: tuple[int, int] | None = None
    threads: int | None = None
    xla: bool = False
    rows: tuple[str, ...] = ROWS
    trust: bool = False

    def open(self) -> ArtifactRunner:
        """Opens the artifact in this process."""
        return ArtifactRunner(self)


@dataclass(frozen=True)
class ArtifactInfo:
    """Properties of an artifact.

    Attributes:
        format: Name of the format, as of `Segmenter.format`.
        precision: `"fp32"`, `"fp16"`, `"int8"`, ...
        runtime: The runtime's version, device and threads.
        size: `(H, W)` of the network.
        file_bytes: Size of all its files together.
        parameters: Number of parameters; None where the artifact does not say, as with the
            following.
        multiply_accumulates: Multiply-accumulate operations for one frame.
        agreement: Share of labels equal to the Keras model's, 0..1, measured at its export.
    """

    format: str
    precision: str
    runtime: str
    size: tuple[int, int]
    file_bytes: int
    parameters: int | None
    multiply_accumulates: int | None
    agreement: float | None


class ArtifactRunner:
    """An artifact, open in this process; a `Runner`.

    Args:
        spec: The artifact and its settings.

    Attributes:
        info: The artifact's properties.
        rows: By name, the functions that are timed.

    Raises:
        UsageError: if it does not run at the size asked for, or one frame at a time.
        AsapError: if it cannot be opened.
    """

    def __init__(self, spec: ArtifactSpec):
        cv2.setNumThreads(spec.threads or available_cores())
        segmenter = load(spec.path, spec.threads, spec.trust)
        if spec.xla:
            from asap_tf.benchmark.xla import XLANetwork

            segmenter.network = XLANetwork(segmenter.network)  # type: ignore[arg-type]
        size = segmenter.size = network_size(spec, segmenter)
        metadata = segmenter.metadata
        self.info = ArtifactInfo(
            format=segmenter.format,
            precision=segmenter.precision,
            runtime=segmenter.network.runtime,
            size=size,
            file_bytes=file_bytes(spec.path, segmenter.format),
            parameters=metadata.get("parameters"),
            multiply_accumulates=segmenter.operations().get("multiply_accumulates"),
            agreement=metadata.get("parity", {}).get("agreement"),
        )
        jpeg, png = spec.folder / "source.jpg", spec.folder / "source.png"
        source = read_image(png)
        frame = resize_frame(source, size)
        rows: dict[str, Callable[[], np.ndarray]] = {
            "network": lambda: segmenter.network.labels(frame[np.newaxis], size),
            "resize": lambda: segmenter.predict(source[np.newaxis]),
            "jpeg": lambda: segmenter.predict(read_image(jpeg)[np.newaxis]),
            "png": lambda: segmenter.predict(read_image(png)[np.newaxis]),
        }
        self.rows = {row: rows[row] for row in spec.rows}

    def turn(self) -> dict[str, float]:
        """Runs the network untimed, then every row once; seconds by row."""
        lead_in(self.rows[ROWS[0]])
        return {row: timed(run) for row, run in self.rows.items()}


def lead_in(run: Callable[[], object]) -> None:
    """Runs something untimed, at least once and for `LEAD_IN` seconds, to fill the caches."""
    start = time.perf_counter()
    run()
    while time.perf_counter() - start < LEAD_IN:
        run()


def timed(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def network_size(spec: ArtifactSpec, segmenter: Segmenter) -> tuple[int, int]:
    """The size `(H, W)` to run a network at.

    Raises:
        UsageError: if it cannot run at the one asked for, has none, or takes several frames.
    """
    fixed = segmenter.network.size
    if fixed and spec.size and fixed != spec.size:
        raise UsageError(
            f"{spec.path}: runs at {size_text(fixed)} only, not at {size_text(spec.size)}; export "
            "it at that size, or omit `size`"
        )
    if segmenter.network.batch not in (None, 1):
        raise UsageError(f"{spec.path}: made for batches of several frames; export it for one")
    size = fixed or spec.size or size_without_frame(segmenter.size)
    if size is None:
        raise UsageError(
            f"{spec.path}: runs at any size and prefers none; give `size`, as in 512x1024"
        )
    return size


def file_bytes(path: Path, kind: str) -> int:
    """Bytes of an artifact on disk, without the metadata beside it."""
    return artifact_bytes(model_file(path) if kind == "keras" else path)


def write_source(folder: Path, size: tuple[int, int]) -> dict[str, int]:
    """Renders the street that every artifact labels, as a JPEG and a PNG.

    Args:
        folder: Folder for `source.jpg` and `source.png`.
        size: `(H, W)` of the frame.

    Returns:
        Size of the files in bytes, by `"jpeg"` and `"png"`.
    """
    from asap_tf.streets import render

    picture = Image.fromarray(render(0, *size).image)
    jpeg, png = folder / "source.jpg", folder / "source.png"
    picture.save(jpeg, quality=JPEG_QUALITY)
    picture.save(png)
    return {"jpeg": jpeg.stat().st_size, "png": png.stat().st_size}


def peak_memory() -> int:
    """The largest memory of this process so far, bytes; 0 if the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    # Not on Linux, where it would include what the parent had when it started this process.
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def size_text(size: tuple[int, int]) -> str:
    """`(512, 1024)` as `"512x1024"`."""
    return f"{size[0]}x{size[1]}"
