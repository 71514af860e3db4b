"""Files that nobody would write, for every parser: each is read, or refused in one line.

`ASAP_TF_FUZZ=1800 pytest -s tests/security/test_fuzz.py` takes that many seconds, shared among the
parsers, and prints a row for each: inputs, those read and those refused, processor seconds of the
slowest, and the most memory above the start.
"""

from __future__ import annotations

import copy
import faulthandler
import io
import json
import os
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asap_tf.benchmark.artifact import peak_memory
from asap_tf.core.errors import AsapError
from asap_tf.saving import checksums, load_keras_model, read_sidecar, sidecar
from asap_tf.saving.torch_file import read_torch_file

SECONDS = float(os.environ.get("ASAP_TF_FUZZ", 0))
EXAMPLES = 100 if SECONDS else 25

LIMIT = 60
"""Seconds for one input."""
MEMORY = 1.5e9
"""Bytes above those at the start."""

TORCH_FILES = Path(__file__).parents[1] / "saving" / "torch_files"

ESCAPE = "\x1b]0;x\x07"
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

tokens = st.sampled_from(
    [
        *(b"", b"[", b"{", b'"', b"0", b"-", b"1e999", b"NaN", b"null", b"*a", b"&a ", b"<<: "),
        *(b"!!python/object/apply:os.system [id]", ESCAPE.encode(), b"\n", b"\0", b"\xff" * 8),
        *(b"\xff\xff\xff\x7f", b"\0\0\0\x40", b"9" * 5000, b"[" * 5000, b"../", b"/dev/zero"),
        *(b"s3://a/b", b"zip://a::b", b"cos\nsystem\n", b"R", b"\x93", b"Q", b"\x80\x02", b"."),
    ]
)
edits = st.lists(
    st.tuples(
        st.floats(0, 1), st.one_of(st.none(), st.integers(0, 64)), tokens | st.binary(max_size=16)
    ),
    min_size=1,
    max_size=4,
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([-1, 0, 1, 256, 2**31, 2**63, 10**30, 1e308, "", "../x", "/dev/zero"]),
    st.sampled_from([ESCAPE, "a\nb", "x" * 5000, "\0", "1e3", "null", "asap_tf>FFDN", "Lambda"]),
    st.sampled_from(["Functional", "Dense", "builtins", "keras.layers", "function", "__lambda__"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8) | st.just("class_name"), inner, max_size=3),
    ),
    max_leaves=8,
)
changes = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["put", "drop", "rename", "repeat"]), values),
    min_size=1,
    max_size=3,
)


def edited(content: bytes, edits: list[tuple[float, int | None, bytes]]) -> bytes:
    """Bytes with others in some places, put in or written over as many as are named."""
    for where, dropped, new in edits:
        at = int(where * len(content))
        content = content[:at] + new + content[at + (len(new) if dropped is None else dropped) :]
    return content


def changed(tree: Any, changes: list[tuple[float, str, Any]]) -> Any:
    """Plain values with others in some places, which may be anywhere in them."""
    tree = copy.deepcopy(tree)
    for where, how, value in changes:
        places, waiting = [], [tree]
        while waiting:
            found = waiting.pop()
            items = found.items() if isinstance(found, dict) else enumerate(found)
            for key, child in list(items):
                places.append((found, key))
                if isinstance(child, (dict, list)):
                    waiting.append(child)
        if not places:
            return value
        parent, key = places[int(where * (len(places) - 1))]
        if how == "drop":
            del parent[key]
        elif how == "rename" and isinstance(parent, dict):
            parent[str(value)[:100]] = parent.pop(key)
        elif how == "repeat" and isinstance(parent, list):
            parent *= 50
        else:
            parent[key] = value
    return tree


def to_yaml(tree: Any) -> bytes:
    return yaml.safe_dump(tree, allow_unicode=True).encode(errors="replace")


def to_json(tree: Any) -> bytes:
    return json.dumps(tree).encode()


class Parser(NamedTuple):
    """What is changed, and what reads it; `dump` for what is a tree of plain values."""

    seed: Any
    read: Callable[[bytes], object]
    dump: Callable[[Any], bytes] | None = None


@pytest.fixture(scope="module")
def parsers(artifact, tmp_path_factory) -> dict[str, Parser]:
    """By name; each writes what it is given into a file and reads that."""
    import keras
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorflow as tf
    from PIL import Image
    from safetensors.numpy import save

    from asap_tf.data import open_dataset
    from asap_tf.data.label_tables import load_table
    from asap_tf.labelling.folder import LabelFolder, LabelJob
    from asap_tf.labelling.source import Input, Source
    from asap_tf.saving.onnx_file import read_onnx
    from asap_tf.saving.saved_model import checked_copy, read_graph
    from asap_tf.training.recipe import load_recipe
    from asap_tf.training.run_folder import Checkpoint, RunFolder

    home = tmp_path_factory.mktemp("fuzz")
    # Others use it too, and nothing lies beside it.
    artifact = Path(shutil.copy(artifact, home))

    def of_file(file: Path, read: Callable[[], object]) -> Callable[[bytes], object]:
        file.parent.mkdir(parents=True, exist_ok=True)

        def write_and_read(content: bytes) -> object:
            file.write_bytes(content)
            return read()

        return write_and_read

    found: dict[str, Parser] = {}
    tree = {**METADATA, "files": checksums(artifact)}
    read = of_file(sidecar(artifact), lambda: read_sidecar(artifact))
    found["metadata"] = Parser(tree, read, to_json)

    file = home / "recipe.yaml"
    found["recipe"] = Parser(RECIPE, of_file(file, lambda f=file: load_recipe(f)), to_yaml)

    for kind in ("images", "masks"):
        (home / "data" / kind / "train").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(home / "data" / kind / "train" / "a.png")
    read = of_file(home / "data" / "dataset.yaml", lambda: open_dataset(home / "data"))
    found["dataset"] = Parser(DATASET, read, to_yaml)

    file = home / "table.yaml"
    found["label table"] = Parser(TABLE, of_file(file, lambda f=file: load_table(f)), to_yaml)

    for name in ("zip.pth", "legacy.pth"):
        file = home / name
        seed = (TORCH_FILES / name).read_bytes()
        found[name] = Parser(seed, of_file(file, lambda f=file: read_torch_file(f)))
    with zipfile.ZipFile(TORCH_FILES / "zip.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (pickled,) = (name for name in members if name.endswith("data.pkl"))

    def read_pickled(content: bytes) -> object:
        with zipfile.ZipFile(home / "pickle.pth", "w") as archive:
            for name, member in {**members, pickled: content}.items():
                archive.writestr(name, member)
        return read_torch_file(home / "pickle.pth")

    found["pickle in a .pth"] = Parser(members[pickled], read_pickled)
    file = home / "a.safetensors"
    seed = save({"a": np.zeros((2, 3), "float32"), "b": np.ones(4, "int64")})
    found[".safetensors"] = Parser(seed, of_file(file, lambda f=file: read_torch_file(f)))

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

    tree = json.loads(parts["config.json"])
    found["configuration in a .keras"] = Parser(tree, of_member("config.json"), to_json)
    weights = parts["model.weights.h5"]
    found["weights in a .keras"] = Parser(weights, of_member("model.weights.h5"))
    file = home / "whole.keras"
    seed = (home / "model.keras").read_bytes()
    found[".keras"] = Parser(seed, of_file(file, lambda f=file: load_keras_model(f)))

    found[".onnx"] = Parser(
        artifact.read_bytes(), of_file(home / "a.onnx", lambda: read_onnx(home / "a.onnx"))
    )
    module = tf.Module()
    module.serve = tf.function(lambda x: x[..., 0], [tf.TensorSpec((1, 32, 64, 3), tf.uint8)])
    tf.saved_model.save(module, home / "saved", signatures=module.serve)

    def read_saved_model() -> None:
        with checked_copy(home / "saved", read_graph(home / "saved")):
            pass

    file = home / "saved" / "saved_model.pb"
    found["SavedModel"] = Parser(file.read_bytes(), of_file(file, read_saved_model))

    run = RunFolder(home / "run")
    with run.started(load_recipe("camvid_resnet18")):
        run.save(Checkpoint(1, 0.5, {"a": np.zeros(3, "float32")}))
    seed = b'{"step": 1, "loss": 0.5, "miou": null}\n{"step": 2, "loss": 0.25, "miou": 0.5}\n'
    found["log.jsonl"] = Parser(seed, of_file(run.path / "log.jsonl", run.read_log))
    (file,) = (run.path / "checkpoints").glob("*.npz")
    found["checkpoint"] = Parser(file.read_bytes(), of_file(file, run.latest))

    (home / "labels").mkdir()
    labels = LabelFolder(home / "labels")
    job = LabelJob("a.txt", "d", "m", "png", 2, classes=("road", "sky"))
    job = labels.start(job, iter([Input("a.png"), Input("b.png"), Input("c.png", 7)]))
    states = [[("a.png", "labelled"), ("b.png", "failed")], [("c.png", "labelled")]]
    for block, rows in enumerate(states):
        table = [{"number": 2 * block + i, "path": p, "state": s} for i, (p, s) in enumerate(rows)]
        labels.commit(job, block, table, "me")

    def read_job() -> None:
        folder = LabelFolder(labels.path)
        if started := folder.job():
            folder.pending(started)
            for block in range(min(started.blocks, 3)):
                folder.inputs(block)

    for name in ("job.json", "inputs.arrow"):
        file = labels.path / name
        content = file.read_bytes()
        tree = json.loads(content) if name == "job.json" else content

        def read_it(content: bytes, file=file, whole=content) -> None:
            file.write_bytes(content)
            try:
                read_job()
            finally:
                file.write_bytes(whole)

        found[name] = Parser(tree, read_it, to_json if name == "job.json" else None)
    file = labels.shard(0)
    found["shard"] = Parser(file.read_bytes(), of_file(file, lambda: labels.merge(job)))

    def read_source(name: str) -> Callable[[], object]:
        return lambda: list(Source(name).inputs())

    file = home / "list.txt"
    seed = b"a.png\ns3://bucket/b.png\nfile:///c.png\n"
    found["list"] = Parser(seed, of_file(file, read_source(str(file))))
    sink = io.BytesIO()
    pq.write_table(pa.table({"path": ["a.png", "s3://b/c.png", None]}), sink)
    file = home / "t.parquet"
    found["table"] = Parser(sink.getvalue(), of_file(file, read_source(f"{file}:path")))
    return found


NAMES = [
    *("metadata", "recipe", "dataset", "label table", "zip.pth", "legacy.pth", "pickle in a .pth"),
    *(".safetensors", "configuration in a .keras", "weights in a .keras", ".keras", ".onnx"),
    *("SavedModel", "log.jsonl", "checkpoint", "job.json", "inputs.arrow", "shard"),
    *("list", "table"),
]


@pytest.mark.parametrize("name", NAMES)
def test_any_content(parsers, name):
    seed, read, dump = parsers[name]
    content = seed if dump is None else dump(seed)
    read(content)
    contents = edits.map(lambda edits: edited(content, edits))
    if dump is not None:
        contents |= changes.map(lambda changes: dump(changed(seed, changes)))
    outcomes, slowest = Counter(), 0.0

    def check(content: bytes) -> None:
        nonlocal slowest
        started = time.process_time()
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        try:
            read(content)
            outcomes["read"] += 1
        except AsapError as error:
            outcomes["refused"] += 1
            assert str(error).isprintable() and 0 < len(str(error)) < 2000
        finally:
            faulthandler.cancel_dump_traceback_later()
        # Others may keep the processor busy.
        slowest = max(slowest, time.process_time() - started)

    # From here on the system counts the peak anew.
    Path("/proc/self/clear_refs").write_text("5")
    before, until = peak_memory(), time.monotonic() + SECONDS / len(NAMES)
    options = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    rounds = 0
    while not rounds or time.monotonic() < until:
        hypothesis.seed(rounds)(options(given(contents)(check)))()
        rounds += 1
    grown = peak_memory() - before
    print(
        f"\n| {name} | {outcomes.total():,} | {outcomes['read']:,} | {outcomes['refused']:,} "
        f"| {slowest:.1f} s | {grown / 1e6:.0f} MB |"
    )
    assert grown < MEMORY
