from __future__ import annotations

import hashlib
import json

import pytest

from asap_tf.core.errors import AsapError
from asap_tf.core.labels import numbered_classes
from asap_tf.saving import (
    artifact_files,
    checksums,
    classes_of,
    parse_metadata,
    read_sidecar,
    sidecar,
)


@pytest.fixture
def artifact(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b"graph")
    (tmp_path / "a.bin").write_bytes(b"weights")
    return path


def write(path, **metadata):
    sidecar(path).write_text(json.dumps({"files": checksums(path), **metadata}))


def test_files_of_an_artifact_and_their_checksums(artifact, tmp_path):
    assert checksums(artifact) == {
        "a.xml": hashlib.sha256(b"graph").hexdigest(),
        "a.bin": hashlib.sha256(b"weights").hexdigest(),
    }
    folder = tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "variables/variables.index", "asap_tf.json"):
        (folder / name).write_bytes(name.encode())
    assert sidecar(folder) == folder / "asap_tf.json"
    assert checksums(folder) == {
        name: hashlib.sha256(name.encode()).hexdigest()
        for name in ("saved_model.pb", "variables/variables.index")
    }
    assert artifact_files(tmp_path / "b.onnx") == [tmp_path / "b.onnx"]


def test_checksums_vouch_for_what_they_name(artifact):
    assert read_sidecar(artifact) == ({}, False)
    write(artifact, size=[32, 64])
    metadata, vouched_for = read_sidecar(artifact)
    assert metadata["size"] == [32, 64] and vouched_for


def test_a_renamed_artifact_has_metadata_but_nothing_vouches_for_it(artifact):
    write(artifact, size=[32, 64])
    for file in (artifact, artifact.with_suffix(".bin"), sidecar(artifact)):
        file.rename(file.with_name(file.name.replace("a.", "b.")))
    metadata, vouched_for = read_sidecar(artifact.with_name("b.xml"))
    assert metadata["size"] == [32, 64] and not vouched_for


@pytest.mark.parametrize("name", ["a.xml", "a.bin"])
def test_what_differs_or_is_missing_is_named(artifact, name):
    write(artifact)
    file = artifact.with_name(name)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(AsapError, match=f"{name}: damaged: it differs from what was exported"):
        read_sidecar(artifact)
    file.unlink()
    with pytest.raises(AsapError, match=f"{name}: missing, though a.xml.json names it"):
        read_sidecar(artifact)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"text"',
        '{"files": ["a.xml"]}',
        '{"size": 32.5}',
        '{"size": [32]}',
        '{"size": [32, "64"]}',
        '{"classes": 5}',
        '{"classes": [5]}',
        '{"classes": [{"name": "road"}]}',
        '{"classes": [{"name": "road", "color": 5, "category": "", "label_id": 0}]}',
        b"\xff\xfe",
    ],
)
def test_damaged_metadata(artifact, text):
    sidecar(artifact).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AsapError, match=r"a.xml.json is damaged \(.*\); export or train again"):
        read_sidecar(artifact)


def test_classes_survive_json():
    classes = numbered_classes(40)
    entries = [
        {"name": c.name, "color": c.color, "category": c.category, "label_id": c.label_id}
        for c in classes
    ]
    text = json.dumps({"classes": entries})
    assert classes_of(parse_metadata(text, "here")) == classes
    assert len({c.color for c in classes}) == 40
    assert classes_of({}) == []
