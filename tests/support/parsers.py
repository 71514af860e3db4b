"""Every parser of files that strangers may write, each with a file that it reads."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image

from asap_tf.saving import checksums, load_keras_model, read_sidecar, sidecar
from asap_tf.saving.torch_file import read_torch_file

TORCH_FILES = Path(__file__).parents[1] / "saving" / "torch_files"

CLASS = {"name": "road", "color": [128, 64, 128], "category": "flat", "label_id": 0}
METADATA = {
    "format": "onnx",
    "precision": "int8",
    "size": [32, 64],
    "batch": 1,
    "output": "labels",
    "input": "RGB",
    "classes": [CLASS, {**CLASS, "name": "sky"}],
    "parameters": 36,
    "multiply_accumulates": 9e6,
    "operations": {"convolutions": 1},
    "scores": {"miou": 0.5, "iou": {"road": 0.5, "sky": None}},
    "step": 100,
    "versions": {"keras": "3.15"},
    "parity": {"agreement": 0.99, "source": "20 streets"},
    "recipe": {"name": "x", "augment": {"crop": [32, 64]}},
}
RECIPE = {
    "name": "x",
    "data": {"root": "camvid"},
    "model": {"name": "asap", "weights": None},
    "augment": {"crop": [64, 96], "scales": [0.5, 1.0]},
    "optimizer": {"name": "adamw", "learning_rate": 0.001},
    "train": {"epochs": 3, "batch_size": 4},
}
TABLE = {"sky": "sky", "vehicle": ["car", "truck"]}
DATASET = {
    "masks": "color",
    "splits": {"train": {"images": "images/train", "masks": "masks/train"}},
    "classes": [{"name": "road", "color": [128, 64, 128]}, {"name": "sky", "color": [1, 2, 3]}],
}

NAMES = [
    *("metadata", "recipe", "dataset", "label table", "zip.pth", "legacy.pth", "pickle in a .pth"),
    *(".safetensors", "configuration in a .keras", "weights in a .keras", ".keras", ".onnx"),
    *("SavedModel", "log.jsonl", "checkpoint", "job.json", "inputs.arrow", "shard"),
    *("list", "table"),
]


def to_yaml(tree: Any) -> bytes:
    return yaml.safe_dump(tree, allow_unicode=True).encode(errors="replace")


def to_json(tree: Any) -> bytes:
    return json.dumps(tree).encode()


class Parser(NamedTuple):
    """What is changed, and what reads it; `dump` for what is a tree of plain values."""

    seed: Any
    read: Callable[[bytes], object]
    dump: Callable[[Any], bytes] | None = None


def of_file(file: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    file.parent.mkdir(parents=True, exist_ok=True)

    def write_and_read(content: bytes) -> object:
        file.write_bytes(content)
        return read(file)

    return write_and_read


def all_parsers(home: Path, artifact: Path) -> dict[str, Parser]:
    """By name; each writes what it is given into a file of `home` and reads that.

    Args:
        home: A folder.
        artifact: An `.onnx` file in it.
    """
    return {
        **descriptions(home, artifact),
        **torch_weights(home),
        **models(home, artifact),
        **runs(home),
        **labels(home),
    }


def descriptions(home: Path, artifact: Path) -> dict[str, Parser]:
    from asap_tf.data import open_dataset
    from asap_tf.data.label_tables import load_table
    from asap_tf.training.recipe import load_recipe

    for kind in ("images", "masks"):
        (home / "data" / kind / "train").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(home / "data" / kind / "train" / "a.png")
    metadata = {**METADATA, "files": checksums(artifact)}
    read = of_file(sidecar(artifact), lambda _: read_sidecar(artifact))
    dataset = of_file(home / "data" / "dataset.yaml", lambda file: open_dataset(file.parent))
    return {
        "metadata": Parser(metadata, read, to_json),
        "recipe": Parser(RECIPE, of_file(home / "recipe.yaml", load_recipe), to_yaml),
        "dataset": Parser(DATASET, dataset, to_yaml),
        "label table": Parser(TABLE, of_file(home / "table.yaml", load_table), to_yaml),
    }


def torch_weights(home: Path) -> dict[str, Parser]:
    from safetensors.numpy import save

    with zipfile.ZipFile(TORCH_FILES / "zip.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (pickled,) = (name for name in members if name.endswith("data.pkl"))

    def read_pickled(content: bytes) -> object:
        with zipfile.ZipFile(home / "pickle.pth", "w") as archive:
            for name, member in {**members, pickled: content}.items():
                archive.writestr(name, member)
        return read_torch_file(home / "pickle.pth")

    found = {"pickle in a .pth": Parser(members[pickled], read_pickled)}
    tensors = save({"a": np.zeros((2, 3), "float32"), "b": np.ones(4, "int64")})
    seeds = {name: (TORCH_FILES / name).read_bytes() for name in ("zip.pth", "legacy.pth")}
    for name, seed in {**seeds, ".safetensors": tensors}.items():
        found[name] = Parser(seed, of_file(home / f"weights{name}", read_torch_file))
    return found


def models(home: Path, artifact: Path) -> dict[str, Parser]:
    import keras
    import tensorflow as tf

    from asap_tf.saving.onnx_file import read_onnx
    from asap_tf.saving.saved_model import checked_copy, read_graph

    frames = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(2, 1, activation="relu")(frames)
    x = keras.layers.Add()([x, keras.layers.BatchNormalization()(x)])
    keras.Model(frames, keras.layers.Resizing(64, 64)(x)).save(home / "model.keras")
    with zipfile.ZipFile(home / "model.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    def of_member(name: str) -> Callable[[bytes], object]:
        def write_and_read(content: bytes) -> object:
            with zipfile.ZipFile(home / "changed.keras", "w") as archive:
                for part, data in {**parts, name: content}.items():
                    archive.writestr(part, data)
            return load_keras_model(home / "changed.keras")

        return write_and_read

    module = tf.Module()
    module.serve = tf.function(lambda x: x[..., 0], [tf.TensorSpec((1, 32, 64, 3), tf.uint8)])
    tf.saved_model.save(module, home / "saved", signatures=module.serve)

    def read_saved_model(file: Path) -> None:
        with checked_copy(file.parent, read_graph(file.parent)):
            pass

    config, weights = "config.json", "model.weights.h5"
    whole = (home / "model.keras").read_bytes()
    graph = home / "saved" / "saved_model.pb"
    return {
        "configuration in a .keras": Parser(json.loads(parts[config]), of_member(config), to_json),
        "weights in a .keras": Parser(parts[weights], of_member(weights)),
        ".keras": Parser(whole, of_file(home / "whole.keras", load_keras_model)),
        ".onnx": Parser(artifact.read_bytes(), of_file(home / "a.onnx", read_onnx)),
        "SavedModel": Parser(graph.read_bytes(), of_file(graph, read_saved_model)),
    }


def runs(home: Path) -> dict[str, Parser]:
    from asap_tf.training.recipe import load_recipe
    from asap_tf.training.run_folder import Checkpoint, RunFolder

    run = RunFolder(home / "run")
    with run.started(load_recipe("camvid_resnet18")):
        run.save(Checkpoint(1, 0.5, {"a": np.zeros(3, "float32")}))
    log = b'{"step": 1, "loss": 0.5, "miou": null}\n{"step": 2, "loss": 0.25, "miou": 0.5}\n'
    (file,) = (run.path / "checkpoints").glob("*.npz")
    return {
        "log.jsonl": Parser(log, of_file(run.path / "log.jsonl", lambda _: run.read_log())),
        "checkpoint": Parser(file.read_bytes(), of_file(file, lambda _: run.latest())),
    }


def labels(home: Path) -> dict[str, Parser]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from asap_tf.labelling.folder import LabelFolder, LabelJob
    from asap_tf.labelling.source import Input, Source

    (home / "labels").mkdir()
    folder = LabelFolder(home / "labels")
    job = LabelJob("a.txt", "d", "m", "png", 2, classes=("road", "sky"))
    job = folder.start(job, iter([Input("a.png"), Input("b.png"), Input("c.png", 7)]))
    states = [[("a.png", "labelled"), ("b.png", "failed")], [("c.png", "labelled")]]
    for block, rows in enumerate(states):
        table = [{"number": 2 * block + i, "path": p, "state": s} for i, (p, s) in enumerate(rows)]
        folder.commit(job, block, table, "me")

    def read_job() -> None:
        reopened = LabelFolder(folder.path)
        if started := reopened.job():
            reopened.pending(started)
            for block in range(min(started.blocks, 3)):
                reopened.inputs(block)

    def of_part(file: Path) -> Callable[[bytes], object]:
        whole = file.read_bytes()

        def write_and_read(content: bytes) -> None:
            file.write_bytes(content)
            try:
                read_job()
            finally:
                file.write_bytes(whole)

        return write_and_read

    sink = io.BytesIO()
    pq.write_table(pa.table({"path": ["a.png", "s3://b/c.png", None]}), sink)
    listed = b"a.png\ns3://bucket/b.png\nfile:///c.png\n"
    description, inputs, shard = (
        folder.path / "job.json",
        folder.path / "inputs.arrow",
        folder.shard(0),
    )
    return {
        "job.json": Parser(json.loads(description.read_bytes()), of_part(description), to_json),
        "inputs.arrow": Parser(inputs.read_bytes(), of_part(inputs)),
        "shard": Parser(shard.read_bytes(), of_file(shard, lambda _: folder.merge(job))),
        "list": Parser(listed, of_file(home / "list.txt", lambda f: list(Source(str(f)).inputs()))),
        "table": Parser(
            sink.getvalue(),
            of_file(home / "t.parquet", lambda f: list(Source(f"{f}:path").inputs())),
        ),
    }
