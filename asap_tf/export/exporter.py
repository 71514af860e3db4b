"""From a trained model to proven artifacts in a folder."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asap_tf.core.errors import AsapError, UsageError, nearest
from asap_tf.core.files import hidden
from asap_tf.core.formats import FLAGS, FORMATS, Format
from asap_tf.core.keras_backend import uses_tensorflow
from asap_tf.core.locks import locked
from asap_tf.core.progress import ProgressBar
from asap_tf.core.sizes import padded, require_size, size_without_frame
from asap_tf.export.frames import Frames, export_frames
from asap_tf.export.package import Contents, Package
from asap_tf.export.parity import CONFIDENCE_LIMIT, Answers, Parity, Reference
from asap_tf.export.rtx import checked_capabilities
from asap_tf.models.operations import count_operations
from asap_tf.runtime import Segmenter, load
from asap_tf.saving import (
    artifact_bytes,
    artifact_files,
    model_file,
    sidecar,
    versions,
    write_sidecar,
)

if TYPE_CHECKING:
    from asap_tf.export.graph import Deployment

PACKAGE = "package"
"""Folder in the staging directory that a package is made in."""


@dataclass(frozen=True)
class Artifact:
    """An exported network that has passed its proof.

    Attributes:
        path: File, or folder of a SavedModel.
        megabytes: Size in 10**6 bytes, without the metadata beside it.
        parity: Comparison with the Keras model.
        note: How the runtime takes it, for people; may be empty.
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
    compute_capability: Sequence[str] = (),
    package: Package | None = None,
    on_artifact: Callable[[Artifact], None] | None = None,
) -> list[Artifact]:
    """Exports a trained model, each artifact proven against it on real frames.

    Args:
        model: Run folder or `.keras` file.
        out: Folder that does not exist yet.
        formats: Names of formats, see `asap_tf.core.formats`; may be empty with `package`.
        precisions: `"fp32"`, `"fp16"`, `"int8"`, `"dynamic"`; each format is written in those of
            them that it has.
        size: `(H, W)` of the frames, padded in the graph where it is no multiple of 32; None takes
            the model's own.
        batch: Frames to a call.
        output: `"labels"`, `"labels+confidence"` or `"logits"`.
        label_stride: Pixels along either axis that share a label, see
            `asap_tf.export.graph.Deployment`; the price of more than 1 is in every parity.
        calibration: Dataset or folder of images; int8 needs it, and the proof is then made on
            frames from it (see `asap_tf.export.frames.export_frames`).
        calibration_frames: Most frames to calibrate int8 on.
        compute_capability: Compute capabilities of the GPUs that engines of TensorRT for RTX are to
            run on, such as `["8.6", "8.9"]`; none takes all for which they can be built.
        package: Folder to add, with artifacts of its own in it, such as
            `asap_tf.export.bundle.tensorrt_bundle`.
        on_artifact: Function called with each artifact as soon as it is in its place.

    Returns:
        What was written, `out/asap_<precision><ending>` each, with its metadata beside it.

    Raises:
        UsageError: for what cannot be done as requested; nothing is written.
        AsapError: if a converter fails or an artifact is not proven; those that were are kept.

    Examples:
        >>> export(Path("runs/camvid"), Path("export"), ["litert"], ["int8"], calibration=camvid)
    """
    if not uses_tensorflow():
        raise UsageError("TensorFlow makes the exports: leave KERAS_BACKEND out")
    _require_new(out)
    for name, value in (("batch", batch), ("calibration_frames", calibration_frames)):
        if value < 1:
            raise UsageError(f"`{name}` {value}: at least 1 is needed")
    if output == "logits" and label_stride != 1:
        raise UsageError(f"`label_stride` {label_stride}: labels have one, logits do not")
    capabilities = tuple(checked_capabilities(compute_capability))
    if package and formats and not package.folder:
        raise UsageError("`formats`: this package has the whole folder; export others to another")
    packaged = _requests([package.format], package.precisions) if package else []
    requests = _requests(formats, precisions) if formats or not package else []
    requests = [*(request for request in requests if request not in packaged), *packaged]
    calibrates = any(precision == "int8" for _, precision in requests)
    if calibrates and calibration is None:
        raise UsageError(
            "int8 needs frames to calibrate on: give `calibration`, a dataset or folder of images"
        )
    with _staging_directory(out) as staging:
        segmenter = load(model_file(model))
        size = _network_size(size, segmenter)
        calibrating, proving = export_frames(
            calibration, segmenter.classes, size, calibration_frames if calibrates else 0
        )

        from asap_tf.export.graph import Deployment

        deployment = Deployment(
            segmenter.network.model,
            size,
            batch,
            output,
            label_stride,
            capabilities,
            segmenter.temperature,
        )
        reference = _reference(segmenter, deployment, proving)
        common = _metadata(segmenter, deployment)
        (staging / PACKAGE).mkdir()
        artifacts, paths, failures = [], {}, []
        progress = ProgressBar(requests, "exporting", unit="artifact")
        for row, precision in progress:
            in_package = (row, precision) in packaged
            named = package.file_name if package and in_package else Format.file_name
            name = named(row, precision)
            progress.set_postfix_str(name)
            # A graph is a cycle of few objects that hold all weights, and Python's collector, which
            # counts objects and not bytes, would let those of all artifacts pile up.
            gc.collect()
            path = staging / PACKAGE / name if in_package else staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            metadata = {"format": row.name, "precision": precision, **common}
            metadata["versions"] = common["versions"] | versions(*sorted(row.modules))
            try:
                write = row.load_writer().write
                write(deployment, precision, path, calibrating, metadata)
                parity = _prove(path, metadata, reference)
            except AsapError as error:
                failures.append(f"{name}: {error}")
                continue
            except OSError as error:
                failures.append(f"{name}: cannot be written ({error.strerror})")
                continue
            home = out / package.folder if package and in_package else out
            megabytes = artifact_bytes(path) / 1e6
            artifact = Artifact(home / name, megabytes, parity, metadata.get("note", ""))
            if in_package:
                paths[precision] = path
            else:
                _publish(path, out)
            artifacts.append(artifact)
            if on_artifact:
                on_artifact(artifact)
        if failures:
            raise AsapError(*failures)
        if package:
            package.complete(Contents(staging / PACKAGE, paths, reference, common))
            (out / package.folder).parent.mkdir(exist_ok=True)
            os.replace(staging / PACKAGE, out / package.folder)
    return artifacts


def _requests(formats: Sequence[str], precisions: Sequence[str]) -> list[tuple[Format, str]]:
    """Every format in those of the precisions that it has."""
    if not formats:
        names = [row.name for rows in FLAGS.values() for row in rows]
        raise UsageError(f"`formats` is empty: give one or more of {', '.join(names)}")
    requests = []
    for name in dict.fromkeys(formats):
        row = FORMATS.get(name)
        if row is None or not row.writer:
            exported = [row.name for row in FORMATS.values() if row.writer]
            raise UsageError(f"`formats`: no export named '{name}'; {nearest(name, exported)}")
        chosen = [(row, p) for p in dict.fromkeys(precisions) if p in row.precisions]
        if not chosen:
            raise UsageError(
                f"{name} comes in {', '.join(row.precisions)}, not in {', '.join(precisions)}"
            )
        requests += chosen
        row.load_writer()
    return requests


@contextlib.contextmanager
def _staging_directory(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write in, removed at the end; only one export at a time has it."""
    with contextlib.ExitStack() as stack:
        try:
            folder = hidden(out, "export")
            stack.enter_context(locked(folder, "exporting"))
            _require_new(out)
            # One that was killed may have left it.
            shutil.rmtree(folder / "staging", ignore_errors=True)
            (folder / "staging").mkdir()
            stack.callback(shutil.rmtree, folder / "staging", ignore_errors=True)
        except OSError as error:
            raise UsageError(f"{out}: cannot be written ({error.strerror})") from error
        yield folder / "staging"


def _require_new(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out}: already exists; remove it or choose another folder")


def _network_size(size: tuple[int, int] | None, segmenter: Segmenter) -> tuple[int, int]:
    chosen = size or size_without_frame(segmenter.size)
    if chosen is None:
        raise UsageError("the model takes frames of any size: give `size`, such as 512x1024")
    require_size(chosen)
    own = segmenter.network.size
    if own and padded(chosen) != own:
        raise UsageError(
            f"`size` {chosen[0]}x{chosen[1]}: this model was built for {own[0]}x{own[1]}; leave it "
            "out, or build one for any size"
        )
    return chosen


def _reference(segmenter: Segmenter, deployment: Deployment, frames: Frames) -> Reference:
    """The answers that artifacts are compared with."""
    at_size = Segmenter(
        segmenter.network, segmenter.classes, deployment.size, metadata=segmenter.metadata
    )
    exact = _answers(at_size, frames.images, "Keras", deployment.output)
    if deployment.label_stride == 1:
        return Reference(frames, segmenter.classes, exact)
    graph = replace(deployment, batch=1).graph(rewrites=())
    of_stride = np.concatenate([graph.run(frame[None]) for frame in frames.images])
    answers = Answers(of_stride)
    if deployment.output == "labels+confidence":
        answers = Answers(of_stride[:, 0], of_stride[:, 1] / np.float32(255))
    return Reference(frames, segmenter.classes, answers, exact)


def _answers(segmenter: Segmenter, frames: np.ndarray, name: str, output: str) -> Answers:
    """Answers to frames at the network's size, one batch of it in memory at a time."""
    batch = segmenter.network.batch or 1
    starts = range(0, len(frames), batch)
    labels = np.empty(frames.shape[:3], np.uint8)
    confidence = np.empty(labels.shape, np.float32) if output == "labels+confidence" else None
    for i in ProgressBar(starts, f"labeling by {name}", unit="batch", leave=False):
        part = slice(i, i + batch)
        segmenter.network.labels(frames[part], labels.shape[1:], labels[part])
        if confidence is not None:
            confidence[part] = segmenter.confidence(frames[part])
    return Answers(labels, confidence)


def _metadata(segmenter: Segmenter, deployment: Deployment) -> dict[str, Any]:
    """What the metadata of all artifacts has in common."""
    known = segmenter.metadata
    return {
        "size": deployment.size,
        "batch": deployment.batch,
        "output": deployment.output,
        "label_stride": deployment.label_stride,
        "input": "RGB frames 0..255, uint8, NHWC; normalized inside",
        "classes": [asdict(c) for c in segmenter.classes],
        "parameters": deployment.model.count_params(),
        **count_operations(deployment.model, deployment.network_size).to_dict(),
        **{
            entry: known[entry]
            for entry in ("recipe", "scores", "step", "temperature")
            if entry in known
        },
        "versions": versions("asap_tf", "keras", "tensorflow"),
    }


def _prove(path: Path, metadata: dict[str, Any], reference: Reference) -> Parity:
    """Compares an artifact with the Keras model, and writes the result into its metadata."""
    write_sidecar(path, metadata)
    # An engine that no GPU is here for is represented by the ONNX graph that it was built from.
    compared = path.with_suffix(".onnx") if "on_gpu" in metadata else path
    images = reference.frames.images
    answers = _answers(load(compared), images, path.name, metadata["output"])
    parity = reference.compare(answers, metadata["precision"])
    if not parity.holds:
        raise AsapError(
            f"not written: {parity}, on {parity.source}; {parity.floor:.1%} are needed for "
            f"{metadata['precision']}, and confidence within {CONFIDENCE_LIMIT}"
        )
    write_sidecar(path, {**metadata, "parity": parity.to_dict()})
    return parity


def _publish(path: Path, out: Path) -> None:
    """Moves an artifact from the staging directory to where it was requested."""
    out.mkdir(exist_ok=True)
    files = [path] if path.is_dir() else [sidecar(path), *artifact_files(path)]
    for file in files:
        os.replace(file, out / file.name)
