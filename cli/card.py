"""`asap-tf card`."""

from __future__ import annotations

from pathlib import Path

import click

from asap_tf.cli.output import echo
from asap_tf.cli.trust import trust_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="A file for it. [printed]")
@trust_option
def command(model: Path, out: Path | None, trust: bool) -> None:
    """Write the model card of MODEL, as the Hugging Face Hub wants its README.md.

    What the file does not know is left to be filled in: data and terms, and known failures.

    asap-tf card runs/camvid --out README.md
    """
    from asap_tf.cli.info import describe
    from asap_tf.core.errors import UsageError
    from asap_tf.core.files import written_whole
    from asap_tf.saving.card import model_card

    if out is not None and out.exists():
        raise UsageError(f"{out}: already exists; remove it or choose another file")
    path, info = describe(model, trust)
    name = path.parent.name if path.name == "model.keras" else path.stem
    text = model_card(info, path.name, name)
    if out is None:
        echo(text)
    else:
        with written_whole(out) as aside:
            aside.write_text(text, encoding="utf-8")
