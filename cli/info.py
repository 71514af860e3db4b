"""`asap-tf info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asap_tf.cli.output import echo
from asap_tf.cli.trust import trust_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@trust_option
def command(model: Path, trust: bool) -> None:
    """Say what MODEL, trained or exported, is: size, classes, scores, recipe."""
    import yaml

    from asap_tf.core.errors import shown
    from asap_tf.saving import artifact_bytes

    path, info = describe(model, trust)
    lines = {
        "file": f"{path} ({artifact_bytes(path) / 1e6:.1f} MB)",
        "format": info["format"],
        "precision": info.get("precision", "unknown"),
        "parameters": f"{info['parameters']:,}" if "parameters" in info else "unknown",
        "frame size": size_line(info.get("size")),
        "batch": info.get("batch") or "any",
        "output": info.get("output", "unknown"),
        "classes": ", ".join(c["name"] for c in info.get("classes", [])) or "not named",
        "input": info.get("input", "unknown: saved without asap-tf's metadata"),
    }
    if "multiply_accumulates" in info:
        lines["multiply-adds"] = f"{info['multiply_accumulates'] / 1e9:.2f} G"
    if "operations" in info:
        modules = ", ".join(f"{k} {v / 1e9:.2f}" for k, v in info["operations"].items())
        lines["operations"] = f"{modules} G (the rule of the paper's Table III)"
    if "parity" in info:
        lines["parity"] = parity_line(info["parity"])
    if "compute_capability" in info:
        lines["for GPUs of"] = f"compute capability {', '.join(info['compute_capability'])}"
    if "on_gpu" in info:
        lines["on a GPU"] = info["on_gpu"]
    if "scores" in info:
        miou = info["scores"]["miou"]
        lines["validation mIoU"] = "undefined" if miou is None else f"{miou:.1%}"
    if "step" in info:
        lines["step"] = f"{info['step']:,}"
    lines |= info.get("versions", {})
    for name, value in lines.items():
        echo(f"{name:<16} {shown(value)}")
    if "recipe" in info:
        echo("recipe")
        text = yaml.safe_dump(info["recipe"], sort_keys=False)
        echo("\n".join(f"  {line}" for line in text.splitlines()))


def describe(model: Path, trust: bool) -> tuple[Path, dict[str, Any]]:
    """Where a model is and what it is.

    Metadata beside an artifact that is as its checksums say is enough; else the model is opened.
    """
    from asap_tf.runtime import format_of, load
    from asap_tf.saving import locate, model_file, read_sidecar

    path = locate(model)
    if format_of(path) == "keras":
        path = model_file(path)
    else:
        metadata, intact = read_sidecar(path)
        if intact:
            return path, {"format": format_of(path), **metadata}
    segmenter = load(path, trust=trust)
    found = {
        "format": segmenter.format,
        "size": segmenter.size,
        "batch": segmenter.network.batch,
        "output": segmenter.network.output,
        **segmenter.operations(),
    }
    return path, segmenter.metadata | found


def size_line(size: Any) -> str:
    """The size that a model brings frames to, for people."""
    if isinstance(size, int):
        return f"longer side {size}, aspect kept"
    return "x".join(map(str, size)) if size else "any"


def parity_line(parity: dict[str, Any]) -> str:
    """How equal an export is to its Keras model, for people."""
    line = f"{parity['agreement']:.3%} of labels are the Keras model's, on {parity['source']}"
    if parity.get("miou_difference") is not None:
        line += f", mIoU {100 * parity['miou_difference']:+.2f}"
    return line
