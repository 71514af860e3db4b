"""What a labeled frame costs, stage by stage, and what follows for 10^6 and 10^9 of them.

    python benchmarks/label_costs.py

One core, Streets of 512 x 1024, an int8 LiteRT artifact of ASAP (random weights cost the same; the
label maps written are the truth of the streets). The manifest is that of 200,000 frames in blocks
of 1024. Times are processor time, so that a busy machine does not spoil them. The forecast assumes
workers of one such core each, and that neither store nor network holds them up; what the command
does alone, before and after, is listed apart.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from label import write_model
from PIL import Image

import asap_tf
from asap_tf.data.cityscapes import LABEL_ID_ENCODING
from asap_tf.data.images import read_image
from asap_tf.labelling.folder import LabelFolder, LabelJob
from asap_tf.labelling.source import Input
from asap_tf.streets import render

LARGE = (512, 1024)
FRAME_BYTES = 250_000
"""Of a JPEG from a camera at 512 x 1024: an assumption, as rendered streets are smoother."""


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes a frame; seconds of a start."""

    decode: float
    predict: float
    encode: float
    labels: float
    row: float
    start: float
    listing: float
    merge: float

    @property
    def frame(self) -> float:
        """Seconds of one core for a frame."""
        return self.decode + self.predict + self.encode


def stages(place: Path) -> Costs:
    """Measures one core at 512 x 1024."""
    cv2.setNumThreads(1)
    model = place / "large.tflite"
    write_model(model, LARGE)
    start = time.process_time()
    segmenter = asap_tf.load(model, threads=1)
    opening = time.process_time() - start
    files, truths = [], []
    for i in range(20):
        street = render(i, *LARGE)
        files.append(place / f"{i}.jpg")
        Image.fromarray(street.image).save(files[-1], quality=90)
        truths.append(LABEL_ID_ENCODING.decode(street.label_ids))

    def each(function: Callable[[Any], object], items: Sequence[Any]) -> float:
        function(items[0])
        times = []
        for item in items:
            start = time.process_time()
            function(item)
            times.append(time.process_time() - start)
        return float(np.median(times))

    frames = [read_image(file)[None] for file in files]

    def write(labels: np.ndarray) -> None:
        (place / "label.png").write_bytes(cv2.imencode(".png", labels)[1].tobytes())

    count, block = 200_000, 1024
    folder = LabelFolder(place / "labels")
    folder.path.mkdir()
    start = time.process_time()
    names = (Input(f"/frames/day/camera/{i:012d}.jpg") for i in range(count))
    job = LabelJob("frames", None, "0" * 64, "png", block, classes=("c",) * 19)
    job = folder.start(job, names)
    listing = (time.process_time() - start) / count
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(19, 0.2), 1000)
    for number in range(job.blocks):
        rows = [
            {
                "number": number * block + i,
                "path": wanted.path,
                "state": "labelled",
                "height": LARGE[0],
                "width": LARGE[1],
                "share": shares[rng.integers(1000)],
                "file": f"labels/{number:09d}/{i:09d}-x.png",
                "model": job.model,
            }
            for i, wanted in enumerate(folder.inputs(number))
        ]
        folder.commit(job, number, rows, "me")
    start = time.process_time()
    folder.merge(job)
    merge = (time.process_time() - start) / count
    return Costs(
        decode=each(read_image, files),
        predict=each(segmenter.predict, frames),
        encode=each(write, truths),
        labels=float(np.mean([len(cv2.imencode(".png", t)[1]) for t in truths])),
        row=folder.manifest.stat().st_size / count,
        start=opening,
        listing=listing,
        merge=merge,
    )


def forecast(costs: Costs, frames: int, workers: int, block: int) -> dict[str, str]:
    """What many frames take, with workers of one core each."""
    hours = frames * costs.frame / workers / 3600
    read = workers / costs.frame * FRAME_BYTES
    return {
        "frames": f"10^{len(str(frames)) - 1}",
        "workers": f"{workers}",
        "labeling": f"{hours:.1f} h",
        "frames read": f"{frames * FRAME_BYTES / 1e12:.2f} TB at {read / 1e9:.2f} GB/s",
        "label maps": f"{frames * costs.labels / 1e12:.3f} TB",
        "manifest": f"{frames * costs.row / 1e9:.2f} GB",
        "PNG files": f"{frames:,}",
        f"shards of {block}": f"{-(-frames // block):,}",
        "listing, alone": f"{frames * costs.listing / 3600:.2f} h",
        "manifest, alone": f"{frames * costs.merge / 3600:.2f} h",
        "lost with a worker": f"{block * costs.frame:.0f} s",
    }


def print_forecast(costs: Costs) -> None:
    print("| at 512 x 1024, of one core | |\n|---|---|")
    print(f"| decode a JPEG | {1000 * costs.decode:.1f} ms |")
    print(f"| network, int8 LiteRT | {1000 * costs.predict:.1f} ms |")
    print(f"| encode and write the label map | {1000 * costs.encode:.1f} ms |")
    print(f"| label map | {costs.labels / 1000:.1f} kB |")
    print(f"| open the model | {costs.start:.2f} s |")
    print(f"| list an input | {1e6 * costs.listing:.1f} us |")
    print(f"| its row in the manifest | {costs.row:.0f} bytes, {1e6 * costs.merge:.1f} us |\n")
    cases = [(10**6, 16, 64), (10**6, 64, 64), (10**9, 1024, 1024), (10**9, 8192, 1024)]
    tables = [forecast(costs, *case) for case in cases]
    print("| " + " | ".join(["", *(t["frames"] + " frames" for t in tables)]) + " |")
    print("|---|" + "---|" * len(tables))
    for row in range(1, len(tables[0])):
        names = [list(t)[row] for t in tables]
        name = names[0] if len(set(names)) == 1 else "shards, of 64 and 1024 frames"
        print("| " + " | ".join([name, *(list(t.values())[row] for t in tables)]) + " |")
    print(f"\nFrames taken as {FRAME_BYTES / 1000:.0f} kB each.")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print_forecast(stages(Path(folder)))


if __name__ == "__main__":
    main()
