"""`asap-tf info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
def command(model: Path) -> None:
    """Say what MODEL, trained or exported, is: size, classes, scores, recipe."""
    import yaml

    from asap_tf.saving.metadata import artifact_bytes

    path, facts = describe(model)
    lines = {
        "file": f"{path} ({artifact_bytes(path) / 1e6:.1f} MB)",
        "format": facts["format"],
        "precision": facts.get("precision", "unknown"),
        "parameters": f"{facts['parameters']:,}" if "parameters" in facts else "unknown",
        "frame size": "x".join(map(str, facts["size"])) if facts.get("size") else "any",
        "batch": facts.get("batch", "any"),
        "output": facts.get("output", "logits"),
        "classes": ", ".join(c["name"] for c in facts.get("classes", [])) or "not named",
        "input": facts.get("input", "unknown: saved without asap-tf's metadata"),
    }
    if "multiply_accumulates" in facts:
        lines["multiply-adds"] = f"{facts['multiply_accumulates'] / 1e9:.2f} G"
    if "operations" in facts:
        modules = ", ".join(f"{k} {v / 1e9:.2f}" for k, v in facts["operations"].items())
        lines["operations"] = f"{modules} G (the rule of the paper's Table III)"
    if "parity" in facts:
        lines["parity"] = parity_line(facts["parity"])
    if "scores" in facts:
        lines["validation mIoU"] = f"{facts['scores']['miou']:.1%}"
        lines["step"] = f"{facts['step']:,}"
    lines |= facts.get("versions", {})
    for name, value in lines.items():
        click.echo(f"{name:<16} {value}")
    if "recipe" in facts:
        click.echo("recipe")
        text = yaml.safe_dump(facts["recipe"], sort_keys=False)
        click.echo("".join(f"  {line}\n" for line in text.splitlines()), nl=False)


def describe(model: Path) -> tuple[Path, dict[str, Any]]:
    """Where a model is and what it is.

    Metadata that checksums vouch for is enough; otherwise the model is opened.
    """
    from asap_tf.runtime import FixedNetwork, format_of, load
    from asap_tf.saving.keras_file import model_file
    from asap_tf.saving.metadata import read_sidecar

    if format_of(model) == "keras":
        path = model_file(model)
    else:
        path = model
        metadata, vouched_for = read_sidecar(path)
        if vouched_for:
            return path, metadata
    segmenter = load(path)
    network = segmenter.network
    found = {
        "format": segmenter.format,
        "size": segmenter.size,
        **segmenter.operations(),
    }
    if isinstance(network, FixedNetwork):
        found |= {"batch": network.batch, "output": network.output}
    return path, segmenter.metadata | found


def parity_line(parity: dict[str, Any]) -> str:
    """How equal an export is to its Keras model, for people."""
    line = f"{parity['agreement']:.3%} of labels are the Keras model's, on {parity['source']}"
    if parity.get("miou_difference") is not None:
        line += f", mIoU {100 * parity['miou_difference']:+.2f}"
    return line
