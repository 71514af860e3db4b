"""`asap-tf info`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
def command(model: Path) -> None:
    """Say what MODEL, a run folder or .keras file, is: size, classes, scores, recipe."""
    import yaml

    from asap_tf.cli.quiet import import_tensorflow

    import_tensorflow()
    from asap_tf.runtime import load, model_file

    segmenter = load(model)
    file = model_file(model)
    facts = {
        "file": f"{file} ({file.stat().st_size / 1e6:.1f} MB)",
        "parameters": f"{segmenter.model.count_params():,}",
        "frame size": "x".join(map(str, segmenter.size)) if segmenter.size else "any",
        "classes": ", ".join(c.name for c in segmenter.classes),
        "input": segmenter.metadata.get("input", "unknown: saved without asap-tf's metadata"),
    }
    if "scores" in segmenter.metadata:
        facts["validation mIoU"] = f"{segmenter.metadata['scores']['miou']:.1%}"
        facts["step"] = f"{segmenter.metadata['step']:,}"
    facts |= segmenter.metadata.get("versions", {})
    for name, value in facts.items():
        click.echo(f"{name:<16} {value}")
    if "recipe" in segmenter.metadata:
        click.echo("recipe")
        text = yaml.safe_dump(segmenter.metadata["recipe"], sort_keys=False)
        click.echo("".join(f"  {line}\n" for line in text.splitlines()), nl=False)
