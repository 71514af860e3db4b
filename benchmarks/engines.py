"""What NVIDIA's builder makes of every network, precision, output and size, without a GPU.

    python benchmarks/engines.py docs/tensorrt.md

writes its table between the marks in the page. Networks have random weights, and are calibrated on
one rendered frame: engines do not depend on either.
"""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from tqdm import tqdm

from asap_tf.cli.checks import parse_size
from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.formats import FORMATS
from asap_tf.core.keras_backend import import_keras
from asap_tf.saving.metadata import versions

if TYPE_CHECKING:
    from asap_tf.export.graph import Deployment

BEGIN, END = "<!-- table: benchmarks/engines.py -->", "<!-- end of table -->"
OUTPUTS = {"labels": 1, "labels, stride 2": 2, "labels, stride 4": 4, "logits": 1}
PRECISIONS = FORMATS["tensorrt_rtx"].precisions


def cell(deployment: Deployment, precision: str, frame: np.ndarray, folder: Path) -> str:
    """An engine in a few words, or why there is none."""
    from asap_tf.export.writers import tensorrt_rtx
    from asap_tf.runtime.engine import CAPABILITIES

    path, metadata = folder / "asap_rtx.engine", dict[str, Any](compute_capability=())
    try:
        tensorrt_rtx.write(deployment, precision, path, [frame], metadata)
    except AsapError as error:
        return f"refused: {first_line(error)}"
    said = metadata["engine"]
    text = f"{path.stat().st_size / 1e6:.1f} MB, {said['layers']}"
    if said["blocks"] != 1:
        text += f" in {said['blocks']}"
    text += f", {said['activation_bytes'] / 1e6:.0f} MB"
    missing = [name for name in CAPABILITIES if name not in metadata["compute_capability"]]
    return f"{text}; not {', '.join(missing)}" if missing else text


@click.command()
@click.argument("page", type=click.Path(path_type=Path), required=False)
@click.option("--network", "networks", multiple=True, help="Repeat for more. [all]")
@click.option("--size", "sizes", multiple=True, default=("512x1024", "1024x2048"))
def main(page: Path | None, networks: tuple[str, ...], sizes: tuple[str, ...]) -> None:
    """Write the table into PAGE, or print it."""
    import_keras()
    from asap_tf.export.graph import Deployment
    from asap_tf.models import create_model, list_models
    from asap_tf.streets import render

    version = versions("tensorrt_rtx")["tensorrt_rtx"]
    lines = [
        f"TensorRT for RTX {version}. Of each engine: size, layers that the parser made (in one "
        "block, if nothing else is said), memory on the GPU for activations.",
        "",
        f"| network | size | output | {' | '.join(PRECISIONS)} |",
        "|---|---|---|" + "---|" * len(PRECISIONS),
    ]
    rows = [(n, s, o) for n in networks or list_models() for s in sizes for o in OUTPUTS]
    for name, size, output in tqdm(rows, unit="graph"):
        # A graph is a cycle of few objects that hold all weights.
        gc.collect()
        frame = render(0, *parse_size(size)).image
        with tempfile.TemporaryDirectory() as folder:
            deployment = Deployment(
                create_model(name, num_classes=19),
                parse_size(size),
                output=output.partition(",")[0],
                label_stride=OUTPUTS[output],
            )
            cells = [cell(deployment, precision, frame, Path(folder)) for precision in PRECISIONS]
        lines.append(f"| {name} | {size} | {output} | {' | '.join(cells)} |")
        tqdm.write(lines[-1])
    if page:
        before, _, rest = page.read_text().partition(BEGIN)
        table = "\n".join(["", *lines, ""])
        page.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
