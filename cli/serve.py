"""`asap-tf serve`."""

from __future__ import annotations

from pathlib import Path

import click

from asap_tf.cli.output import echo
from asap_tf.cli.trust import trust_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "--size", help="Of frames for the network: longer side or HEIGHTxWIDTH. [the model's own]"
)
@click.option("--threads", type=int, help="Of the network. [all cores]")
@click.option(
    "--token",
    envvar="ASAP_TF_TOKEN",
    show_envvar=True,
    help="What clients have to send, as Authorization: Bearer TOKEN; needed where others than this "
    "machine can reach the service. Options are seen by all users of a machine: better set the "
    "variable.",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path),
    help="Folder of `asap-tf export --web` to show at /. [a page that asks the service]",
)
@trust_option
def command(
    model: Path,
    host: str,
    port: int,
    size: str | None,
    threads: int | None,
    token: str | None,
    page: Path | None,
    trust: bool,
) -> None:
    """Answer requests for labels over HTTP: a page, POST /predict, and KServe's V2 protocol.

    MODEL is trained, exported, or a preset. SIGTERM and Ctrl-C end the service once what was asked
    is answered.

    \b
    asap-tf serve asap_lite0_street
    curl --data-binary @photo.jpg 'http://127.0.0.1:8000/predict?format=overlay' -o overlay.png
    ASAP_TF_TOKEN=... asap-tf serve export/asap_int8.tflite --host 0.0.0.0 --threads 4
    """
    from asap_tf.cli.checks import parse_frame_size
    from asap_tf.core.optional import require

    for module in ("fastapi", "uvicorn", "prometheus_client", "python_multipart"):
        require(module, "serve")
    from asap_tf.runtime import load
    from asap_tf.serving.server import serve

    segmenter = load(model, threads, trust)
    if size is not None:
        segmenter.size = parse_frame_size(size)
    name = model.name if model.is_dir() else model.stem

    def on_ready(address: str) -> None:
        echo(f"{address}  {name}, {segmenter.network.runtime}; Ctrl-C ends it")

    serve(segmenter, name, host, port, token, page, on_ready=on_ready)
