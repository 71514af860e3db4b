"""Cases of `bad_input.py` about `export`, `bench` and exported models.

Every generator yields its cases in the folder that `bad_input.prepare` and `prepare` have filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from bad_input_cases import SIZE, Case, halve
from damaged_artifacts import copy
from PIL import Image

from asap_tf.data.camvid import CLASSES
from asap_tf.saving import sidecar, write_sidecar

NAMES = {
    "litert": "asap.tflite",
    "onnx": "asap.onnx",
    "openvino": "asap.xml",
    "saved_model": "asap_saved_model",
}
PARTS = {
    "asap.tflite": "asap.tflite",
    "asap.onnx": "asap.onnx",
    "asap.xml": "asap.xml",
    "asap.bin": "asap.xml",
    "asap_saved_model/saved_model.pb": "asap_saved_model",
}
"""By file, the artifact that it belongs to."""

FOREIGN = ("foreign.tflite", "foreign.onnx", "foreign.xml", "foreign_saved_model")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def artifact_cases() -> Iterator[Case]:
    """Exported models that are damaged, incomplete, or of other programs."""
    for part, name in PARTS.items():
        for what, kind, described, damage in (
            ("a truncated export", "truncated", True, halve),
            ("a truncated export without its JSON", "alone", False, halve),
            ("an export with a flipped byte", "flipped", True, flip),
        ):
            folder = new(f"{kind}-{Path(part).suffix[1:]}")
            path = copy(Path(name), folder, described)
            damage(folder / part)
            yield Case(what, f"info {path}", str(folder / part if described else path))
    for command in (
        "eval alone-tflite/asap.tflite --data camvid",
        "predict alone-tflite/asap.tflite camvid/val --out out",
        "bench alone-tflite/asap.tflite --source 64x128",
        "train tiny.yaml --data camvid --out run --set model.weights=alone-tflite/asap.tflite",
    ):
        yield Case("a truncated export", command, "alone-tflite/asap.tflite")

    for folder, described in ((new("no-bin"), True), (new("no-bin-alone"), False)):
        path = copy(Path("asap.xml"), folder, described)
        (folder / "asap.bin").unlink()
        yield Case("an .xml without its .bin", f"info {path}", str(folder / "asap.bin"))
    path = copy(Path("asap.tflite"), new("damaged-json"), True)
    halve(sidecar(path))
    yield Case("an export with damaged metadata", f"info {path}", str(sidecar(path)))
    folder, names = new("text"), ("asap.tflite", "asap.onnx", "asap.xml", "asap.engine")
    for name in (*names, "asap.bin"):
        (folder / name).write_text("no model")
    for name in names:
        yield Case("a text file named as an export", f"info text/{name}", f"text/{name}")

    for what, kind in (("of another input", "input"), ("without labels", "output")):
        for name in FOREIGN:
            yield Case(f"a foreign model, {what}", f"info {kind}/{name}", f"{kind}/{name}")
    for command in (
        "eval input/foreign.onnx --data camvid",
        "predict output/foreign.tflite camvid/val --out out",
        "bench output/foreign.xml --source 64x128",
    ):
        yield Case("a foreign model", command, "foreign")
    yield Case("no such export", "info missing.tflite", "missing.tflite")
    yield Case(
        "a table of other classes", "eval asap.tflite --data streets --table idd_lite", "drivable"
    )
    yield Case("an export without logits", "eval asap.tflite --data camvid --flip", "--flip")


def export_cases() -> Iterator[Case]:
    export = "export model.keras --out export"
    for what, options, names in (
        ("no format", "", "--tflite"),
        ("a format without that precision", "--onnx --precision dynamic", "dynamic"),
        ("a format without that precision", "--saved-model --precision int8", "int8"),
        ("an unknown precision", "--tflite --precision fp8", "--precision"),
        ("an unknown output", "--tflite --output masks", "--output"),
        ("int8 without calibration", "--tflite --precision int8", "--calibration"),
        ("calibration: missing", "--tflite --precision int8 --calibration missing", "missing"),
        ("calibration: a file", "--onnx --precision int8 --calibration tiny.yaml", "tiny.yaml"),
        ("calibration: without images", "--tflite --precision int8 --calibration plain", "plain"),
        ("calibration: without images", "--tflite --calibration plain", "plain"),
        ("calibration: too few images", "--tflite --calibration camvid/val", "camvid/val"),
        ("calibration: too few frames", "--onnx --calibration camvid", "camvid"),
        ("calibration: a truncated image", "--tflite --calibration frames", "frames/07.png"),
        ("a size below 32", "--tflite --size 30x96", "--size 30x96"),
        ("an unknown size", "--tflite --size 512", "--size 512"),
        ("an unknown size", "--tflite --size 0x0", "--size 0x0"),
        ("a number out of range", "--tflite --batch 0", "--batch"),
        ("a number out of range", "--tflite --calibration-frames 0", "--calibration-frames"),
        ("an unknown engine", "--trt --trt-engine trt", "--trt-engine"),
        ("an unknown GPU", "--trt --compute-capability 9.0", "--compute-capability 9.0"),
    ):
        yield Case(what, f"{export} {options}".strip(), names)
    yield Case("no GPU", f"{export} --trt --trt-engine tensorrt", "TensorRT", long=True)
    yield Case("a missing option", "export model.keras --tflite", "--out")
    for out in ("camvid", "tiny.yaml"):
        yield Case("a folder that exists", f"export model.keras --out {out} --tflite", out)
    yield Case(
        "a folder that cannot be written to",
        "export model.keras --out tiny.yaml/export --tflite",
        "tiny.yaml/export",
    )
    for what, model in (
        ("no such model", "missing.keras"),
        ("a folder without a model", "plain"),
        ("a truncated model", "truncated.keras"),
        ("a model of another kind", "classifier.keras"),
        ("an export in place of its model", "asap.tflite"),
    ):
        yield Case(what, f"export {model} --out export --tflite", model)
    yield Case("a model of no size", "export sizeless.keras --out export --tflite", "--size")


def bench_cases() -> Iterator[Case]:
    for what, arguments, names in (
        ("nothing to time", "", "ARTIFACTS"),
        ("options that exclude each other", "model.keras --training tiny.yaml", "--training"),
        ("options that exclude each other", "--training tiny.yaml --threads 2", "--threads"),
        ("options that exclude each other", "model.keras --set train.seed=1", "--set"),
        ("no such model", "missing.onnx", "missing.onnx"),
        ("no model", "model.keras tiny.yaml", "tiny.yaml"),
        ("an unknown size", "model.keras --size 512", "--size 512"),
        ("a size below 32", "model.keras --size 30x1000", "--size 30x1000"),
        ("a size of another export", "asap.tflite --size 64x64 --source 64x128", "asap.tflite"),
        ("a model of no size", "sizeless.keras --source 64x128", "--size"),
        ("an unknown size", "model.keras --source wide", "--source wide"),
        ("an unknown size", "model.keras --source 8x8", "--source 8x8"),
        ("a number out of range", "model.keras --threads 0", "--threads"),
        ("a number out of range", "model.keras --seconds 0", "--seconds"),
        ("a number out of range", "model.keras --seconds nan", "--seconds"),
        ("not a number", "model.keras --seconds long", "--seconds"),
        ("a folder in place of a file", "model.keras --json plain", "plain"),
        ("a file that cannot be written", "model.keras --json missing/t.json", "missing/t.json"),
        ("a file that cannot be written", "model.keras --chart tiny.yaml/t.png", "tiny.yaml/t.png"),
        ("a chart of another kind", "model.keras --chart times.jpg", "times.jpg"),
        ("no such dataset", "model.keras --data missing", "missing"),
        ("no dataset", "model.keras --data plain", "plain"),
        ("no dataset", "--training tiny.yaml", "--data"),
        ("no such dataset", "--training tiny.yaml --data missing", "missing"),
        ("no such recipe", "--training camvid_resnet81 --data camvid", "camvid_resnet81"),
    ):
        yield Case(what, f"bench {arguments}".strip(), names)


def new(name: str) -> Path:
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    return folder


def prepare() -> None:
    """Makes, in the current folder, one good artifact of every format, and foreign ones."""
    import keras
    import tensorflow as tf

    from asap_tf import ASAPNet
    from asap_tf.export.graph import Deployment
    from asap_tf.export.writers import litert, onnx, openvino, saved_model
    from asap_tf.saving import save_model

    keras.utils.set_random_seed(0)
    network = ASAPNet(len(CLASSES), (None, None, 3))
    save_model(network, Path("sizeless.keras"), CLASSES, None)
    deployment = Deployment(network, SIZE)
    for writer, (kind, name) in zip(
        (litert, onnx, openvino, saved_model), NAMES.items(), strict=True
    ):
        classes = [asdict(c) for c in CLASSES]
        metadata = {"format": kind, "precision": "fp32", "size": SIZE, "classes": classes}
        path = Path(name)
        writer.write(deployment, "fp32", path, [], metadata)
        write_sidecar(path, metadata)

    write_foreign(new("input"), tf.TensorSpec((1, 4)), lambda x: 2 * x)
    frames = tf.TensorSpec((1, *SIZE, 3), tf.uint8)
    write_foreign(
        new("output"), frames, lambda x: tf.reduce_mean(tf.cast(x, tf.float32), axis=(1, 2))
    )
    rng = np.random.default_rng(0)
    for i in range(20):
        image = Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8))
        image.save(new("frames") / f"{i:02}.png")
    halve(Path("frames/07.png"))


def write_foreign(folder: Path, takes: Any, call: Callable[[Any], Any]) -> None:
    """Writes a function in every format, by the converters themselves."""
    import openvino
    import tensorflow as tf
    import tf2onnx

    from asap_tf.core.system import stderr_silenced

    tflite, onnx, xml, saved_model = (folder / name for name in FOREIGN)
    module = tf.Module()
    module.serve = tf.function(call, input_signature=[takes], autograph=False)
    with stderr_silenced():
        function = module.serve.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
        tflite.write_bytes(converter.convert())
        tf.saved_model.save(module, str(saved_model), signatures={"serving_default": module.serve})
        tf2onnx.convert.from_function(module.serve, [takes], opset=17, output_path=str(onnx))
        openvino.save_model(openvino.convert_model(onnx), xml)
