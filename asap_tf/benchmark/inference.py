"""Times artifacts side by side; the protocol is in the package's docstring."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asap_tf.benchmark.artifact import ROWS, ArtifactInfo, ArtifactSpec, size_text, write_source
from asap_tf.benchmark.machine import Machine, this_machine
from asap_tf.benchmark.rounds import MIN_ROUNDS, Rounds, WarmUp, measure, warm_up
from asap_tf.benchmark.worker import Worker
from asap_tf.core.errors import Interrupted, UsageError
from asap_tf.core.progress import ProgressBar
from asap_tf.core.sizes import require_size
from asap_tf.data.dataset import Dataset
from asap_tf.inference.evaluate import evaluate, require_same_classes
from asap_tf.runtime import format_of, load
from asap_tf.saving import classes_of, model_file, read_metadata, read_sidecar

SOURCE_SIDES = (32, 8000)
"""Smallest and largest side of a source frame, pixels."""


@dataclass(frozen=True)
class Result:
    """Measurements of one artifact.

    Attributes:
        name: Short name, which no other artifact has.
        path: Path as it was given.
        info: The artifact's properties.
        warm_up: Length and success of its warm-up.
        peak_memory: Largest memory of its process, bytes; 0 if the system does not say.
        seconds: By row, the seconds of every round.
        miou: mIoU of the artifact itself on a dataset, 0..1; None if it was not scored.
    """

    name: str
    path: str
    info: ArtifactInfo
    warm_up: WarmUp
    peak_memory: int
    seconds: dict[str, list[float]]
    miou: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Artifacts, timed in the same rounds.

    Attributes:
        machine: The machine that they ran on.
        source: `(H, W)` of the source frame.
        source_bytes: Size of its files, by `"jpeg"` and `"png"`.
        threads: Processor threads of each; None for all cores.
        results: Measurements of the artifacts, in the order in which they were given.
    """

    machine: Machine
    source: tuple[int, int]
    source_bytes: dict[str, int]
    threads: int | None
    results: tuple[Result, ...]

    @property
    def rounds(self) -> int:
        """Number of finished rounds."""
        return len(self.results[0].seconds[ROWS[0]])

    @property
    def complete(self) -> bool:
        """Whether there are as many rounds as the protocol wants."""
        return self.rounds >= MIN_ROUNDS


def compare(
    paths: Sequence[Path],
    size: tuple[int, int] | None = None,
    source: tuple[int, int] = (1024, 2048),
    threads: int | None = None,
    seconds: float = 30.0,
    trust: bool = False,
) -> Comparison:
    """Times artifacts, with progress on stderr.

    Args:
        paths: Artifacts; the others are compared with the first.
        size: `(H, W)` for artifacts that run at any size; None for their own.
        source: `(H, W)` of the frame that they label.
        threads: Processor threads of each; None for all cores.
        seconds: Least duration of the measurement; 100 rounds are taken in any case.
        trust: As of `asap_tf.load`.

    Returns:
        The comparison, of fewer than 100 rounds if Ctrl-C was pressed.

    Raises:
        UsageError: if an artifact does not exist or fit the size, or a size is out of range.
        AsapError: if an artifact cannot be opened or run.
        Interrupted: on Ctrl-C before the first round was finished.
    """
    if size:
        require_size(size)
    low, high = SOURCE_SIDES
    if not all(low <= side <= high for side in source):
        raise UsageError(
            f"`source` {size_text(source)}: sides have to be {low} to {high} pixels long"
        )
    for path in paths:
        format_of(path)
    machine = this_machine()
    rounds: Rounds = []
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bar = stack.enter_context(
            ProgressBar(total=MIN_ROUNDS, unit="round", desc="rendering", leave=False)
        )
        source_bytes = write_source(folder, source)
        workers: list[Worker[ArtifactSpec]] = []
        for path in paths:
            bar.set_description(f"opening {path.name}")
            spec = ArtifactSpec(path, folder, size, threads, trust=trust)
            worker = stack.enter_context(Worker(spec))
            workers.append(worker)
            if worker.info.format == "keras" and ", GPU, " in worker.info.runtime:
                twin = Worker(dataclasses.replace(spec, xla=True))
                workers.append(stack.enter_context(twin))
        warm_ups = []
        for worker in workers:
            bar.set_description(f"warming up {worker.spec.path.name}")
            warm_ups.append(warm_up(worker))

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        bar.set_description("measuring")
        bar.reset()
        rounds = measure(workers, seconds, show, least=MIN_ROUNDS)
    if not rounds:
        raise Interrupted("stopped before the first round was finished; nothing was measured")
    names = short_names([worker.spec for worker in workers])
    results = tuple(
        Result(
            name=name,
            path=str(worker.spec.path),
            info=worker.info,
            warm_up=warmth,
            peak_memory=worker.peak_memory,
            seconds={row: [turns[index][row] for turns in rounds] for row in ROWS},
        )
        for index, (name, worker, warmth) in enumerate(zip(names, workers, warm_ups, strict=True))
    )
    return Comparison(machine, source, source_bytes, threads, results)


def check_classes(paths: Sequence[Path], dataset: Dataset) -> None:
    """Refuses, before anything is measured, an artifact that says it has other classes.

    Raises:
        UsageError: naming what differs.
        AsapError: if an artifact or its metadata is damaged.
    """
    for path in paths:
        keras = format_of(path) == "keras"
        metadata = read_metadata(model_file(path)) if keras else read_sidecar(path)[0]
        if classes := classes_of(metadata):
            require_same_classes(classes, dataset)


def scored(comparison: Comparison, dataset: Dataset, trust: bool = False) -> Comparison:
    """Adds to every result the mIoU that `asap_tf.inference.evaluate.evaluate` finds on `val`.

    Args:
        comparison: Of artifacts, which are opened again.
        dataset: Dataset with the artifacts' classes.
        trust: As of `asap_tf.load`.

    Raises:
        UsageError: if an artifact's classes are not the dataset's, or it has no such split.
        AsapError: if a frame cannot be read.
    """
    # One pass for an artifact and its XLA twin.
    scores = {
        path: evaluate(load(path, trust=trust), dataset).scores.miou
        for path in dict.fromkeys(result.path for result in comparison.results)
    }
    results = (dataclasses.replace(r, miou=scores[r.path]) for r in comparison.results)
    return dataclasses.replace(comparison, results=tuple(results))


def short_names(specs: Sequence[ArtifactSpec]) -> list[str]:
    """A name for each artifact: its file's, its path's where that is not enough, else a number.

    Examples:
        >>> short_names([ArtifactSpec(Path(name), folder) for name in ("a/x.onnx", "b/x.onnx")])
        ['a/x.onnx', 'b/x.onnx']
    """
    paths_by_name = Counter(path.name for path in {spec.path for spec in specs})
    seen: Counter[str] = Counter()
    names = []
    for spec in specs:
        name = spec.path.name
        if not name or paths_by_name[name] > 1:
            name = str(spec.path)
        name += ", XLA" if spec.xla else ""
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names
