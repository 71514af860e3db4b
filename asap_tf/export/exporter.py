"""From a trained model to proven artifacts in a folder."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.formats import FORMATS
from asap_tf.core.keras_backend import uses_tensorflow
from asap_tf.core.sizes import STRIDE
from asap_tf.export.frames import Frames, export_frames
from asap_tf.export.parity import Parity, compare
from asap_tf.export.plan import Job, plan
from asap_tf.export.xnnpack_report import delegation
from asap_tf.models.operations import Operations, count_operations
from asap_tf.runtime import load
from asap_tf.saving.keras_file import model_file
from asap_tf.saving.metadata import (
    artifact_bytes,
    artifact_files,
    checksums,
    sidecar,
    versions,
)

if TYPE_CHECKING:
    from asap_tf.core.labels import LabelClass
    from asap_tf.export.graph import DeployedGraph
    from asap_tf.runtime import Segmenter

BUNDLE = "tensorrt_bundle"
"""Name of the folder for a machine with a GPU."""


@dataclass(frozen=True)
class Artifact:
    """An exported network that has passed its proof.

    Attributes:
        path: The file, or the SavedModel's folder.
        megabytes: 10**6 bytes, the metadata beside it not counted.
        parity: The proof.
        note: What else there is to know; may be empty.
    """

    path: Path
    megabytes: float
    parity: Parity
    note: str = ""


def export(
    model: Path,
    out: Path,
    formats: Sequence[str],
    precisions: Sequence[str] = ("fp32",),
    size: tuple[int, int] | None = None,
    batch: int = 1,
    output: str = "labels",
    label_stride: int = 1,
    calibration: Path | None = None,
    calibration_frames: int = 100,
    bundle: bool = False,
    tell: Callable[[Artifact], None] | None = None,
) -> list[Artifact]:
    """Exports a trained model, each artifact proven against it on real frames.

    Args:
        model: A run folder or `.keras` file.
        out: A folder that does not exist yet.
        formats: Keys of `asap_tf.core.formats.FORMATS`.
        precisions: `"fp32"`, `"fp16"`, `"int8"`, `"dynamic"`; each format is written in those of
            them that it has.
        size: `(H, W)`, multiples of 32; None takes the model's own.
        batch: Frames to a call.
        output: `"labels"` or `"logits"`.
        label_stride: See `asap_tf.export.graph.deployed_graph`; the price of more than 1 is in
            every artifact's parity.
        calibration: A dataset or a folder of images; int8 needs it, and the proof is then made
            on frames from it (see `asap_tf.export.frames.export_frames`).
        calibration_frames: Most frames to calibrate int8 on.
        bundle: Adds `out/tensorrt_bundle`, a folder that builds and times TensorRT engines on
            another machine: in fp32, fp16, and int8 if there is `calibration`.
        tell: Called with each artifact as soon as it has its name.

    Returns:
        What was written, `out/asap_<precision><ending>` each, with its metadata beside it.

    Raises:
        UsageError: for what cannot be done as asked; nothing is written.
        AsapError: if a converter fails or an artifact is not proven; those that were are kept.

    Example:
        >>> export(Path("runs/camvid"), Path("export"), ["litert"], ["int8"], calibration=camvid)
    """
    if not uses_tensorflow():
        raise UsageError("TensorFlow makes the exports: leave KERAS_BACKEND out")
    if out.exists():
        raise UsageError(f"{out}: already exists; remove it or choose another folder")
    for option, value in (("--batch", batch), ("--calibration-frames", calibration_frames)):
        if value < 1:
            raise UsageError(f"{option} {value}: at least 1 is needed")
    if output == "logits" and label_stride != 1:
        raise UsageError(f"--label-stride {label_stride}: labels have one, logits do not")
    jobs = plan(formats, precisions) if formats or not bundle else []
    if bundle:
        jobs += plan(["tensorrt_onnx"], ["fp32", "fp16", *(["int8"] if calibration else [])])
    int8 = any(job.precision == "int8" for job in jobs)
    if int8 and calibration is None:
        raise UsageError(
            "int8 needs frames to calibrate on: give --calibration, a dataset or folder of images"
        )
    with _workshop(out) as workshop:
        segmenter = load(model_file(model))
        size = _network_size(size, segmenter)
        calibrating, proving = export_frames(
            calibration, segmenter.classes, size, calibration_frames if int8 else 0
        )

        from asap_tf.export.graph import deployed_graph

        keras_model = segmenter.network.model
        graph = deployed_graph(keras_model, size, batch, output, label_stride)
        operations = count_operations(graph.model, size)
        reference, exact = _labels(segmenter, proving.images, "Keras"), None
        if label_stride != 1:
            trained = deployed_graph(keras_model, size, 1, output, label_stride, rewrites=())
            exact = reference
            reference = np.stack([trained.labels(frame[None])[0] for frame in proving.images])
        artifacts, graphs, failures = [], {}, []
        progress = tqdm(jobs, "exporting", unit="artifact", disable=None)
        for job in progress:
            progress.set_postfix_str(job.name)
            # A graph is a cycle of few objects that hold all weights, and Python's collector, which
            # counts objects and not bytes, would let those of all artifacts pile up.
            gc.collect()
            path = workshop / job.name
            metadata = _metadata(segmenter, graph, operations, job)
            try:
                job.writer.write(graph, job.precision, path, calibrating, metadata)
                parity = _proven(path, metadata, proving, reference, exact, segmenter.classes)
            except AsapError as error:
                failures.append(f"{job.name}: {error}")
                continue
            except OSError as error:
                failures.append(f"{job.name}: cannot be written ({error.strerror})")
                continue
            if job.kind == "tensorrt_onnx":
                graphs[job.precision] = path
                within = out / BUNDLE / f"asap_{job.precision}.onnx"
                artifact = Artifact(within, artifact_bytes(path) / 1e6, parity)
            else:
                artifact = _published(path, out, job, graph, parity)
            artifacts.append(artifact)
            if tell:
                tell(artifact)
        if failures:
            raise AsapError("\n".join(failures))
        if bundle:
            _bundle(workshop / BUNDLE, graph, graphs, proving, reference, metadata)
            out.mkdir(exist_ok=True)
            os.replace(workshop / BUNDLE, out / BUNDLE)
    return artifacts


@contextlib.contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """A folder beside `out` to work in, removed at the end."""
    folder = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror})") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _network_size(size: tuple[int, int] | None, segmenter: Segmenter) -> tuple[int, int]:
    chosen = size or segmenter.size
    if chosen is None:
        raise UsageError("the model takes frames of any size: give --size, such as 512x1024")
    if any(side < STRIDE or side % STRIDE for side in chosen):
        raise UsageError(
            f"--size {chosen[0]}x{chosen[1]}: height and width must be multiples of {STRIDE}"
        )
    return chosen


def _labels(segmenter: Segmenter, frames: np.ndarray, name: str) -> np.ndarray:
    """Labels of frames at the network's size, one batch of it in memory at a time."""
    batch = segmenter.network.batch or 1
    starts = range(0, len(frames), batch)
    labels = np.empty(frames.shape[:3], np.uint8)
    for i in tqdm(starts, f"labeling by {name}", unit="batch", disable=None, leave=False):
        labels[i : i + batch] = segmenter.network.labels(frames[i : i + batch], labels.shape[1:])
    return labels


def _metadata(
    segmenter: Segmenter, graph: DeployedGraph, operations: Operations, job: Job
) -> dict[str, Any]:
    known = segmenter.metadata
    return {
        "format": job.kind,
        "precision": job.precision,
        "size": graph.size,
        "batch": graph.batch,
        "output": graph.output,
        "label_stride": graph.label_stride,
        "input": "RGB frames 0..255, uint8, NHWC; normalized inside",
        "classes": [asdict(c) for c in segmenter.classes],
        "parameters": graph.model.count_params(),
        **operations.to_dict(),
        **{entry: known[entry] for entry in ("recipe", "scores", "step") if entry in known},
        "versions": versions("asap_tf", "keras", "tensorflow", *sorted(FORMATS[job.kind].modules)),
    }


def _proven(
    path: Path,
    metadata: dict[str, Any],
    proving: Frames,
    reference: np.ndarray,
    exact: np.ndarray | None,
    classes: Sequence[LabelClass],
) -> Parity:
    """Holds an artifact against the Keras model's labels, and notes the result beside it."""
    _describe(path, metadata)
    labels = _labels(load(path), proving.images, path.name)
    parity = compare(labels, reference, proving, classes, metadata["precision"], exact)
    if not parity.holds:
        raise AsapError(
            f"not written: {parity}, on {parity.source}; {parity.floor:.1%} are needed for "
            f"{metadata['precision']}"
        )
    _describe(path, {**metadata, "parity": parity.to_dict()})
    return parity


def _describe(path: Path, metadata: dict[str, Any]) -> None:
    """Writes the metadata beside an artifact, or into its folder, with its checksums."""
    entries = {**metadata, "files": checksums(path)}
    sidecar(path).write_text(json.dumps(entries, indent=1), encoding="utf-8")


def _published(path: Path, out: Path, job: Job, graph: DeployedGraph, parity: Parity) -> Artifact:
    """Moves an artifact to where it was asked for."""
    note = ""
    if job.kind == "litert":
        note = str(delegation(path))
    elif job.kind == "tf_trt":
        from asap_tf.export.tensorrt_report import report

        note = report(graph)
    megabytes = artifact_bytes(path) / 1e6
    out.mkdir(exist_ok=True)
    belongings = [path] if path.is_dir() else [sidecar(path), *artifact_files(path)]
    for file in belongings:
        os.replace(file, out / file.name)
    return Artifact(out / path.name, megabytes, parity, note)


def _bundle(
    folder: Path,
    graph: DeployedGraph,
    graphs: dict[str, Path],
    proving: Frames,
    reference: np.ndarray,
    metadata: dict[str, Any],
) -> None:
    """Writes the bundle, with the report on the graph's operators in it."""
    from asap_tf.export.bundle import write_bundle
    from asap_tf.export.tensorrt_report import report

    shared = {k: v for k, v in metadata.items() if k not in ("format", "precision")}
    write_bundle(folder, graphs, proving.images, reference, shared)
    text = report(graph, graphs["fp32"])
    (folder / "operators.md").write_text(text, encoding="utf-8")
