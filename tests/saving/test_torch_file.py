"""`torch_files` holds what PyTorch 2.13 wrote of the same tensors in both formats of `torch.save`:

a = torch.arange(24.0).reshape(4, 6)
tensors = {"whole": a, "view": a.t()[1:3], "half": a[:1].half(), "count": torch.tensor(7),
           "parameter": torch.nn.Parameter(a + 0.5), "epoch": 3}
"""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.saving.torch_file import read_torch_file

FILES = Path(__file__).parent / "torch_files"


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth"])
def test_tensors_are_pytorchs(name):
    a = np.arange(24, dtype="float32").reshape(4, 6)
    wanted = {
        "whole": a,
        "view": a.T[1:3],
        "half": a[:1].astype("float16"),
        "count": np.array(7),
        "parameter": a + 0.5,
    }
    read = read_torch_file(FILES / name)
    assert list(read) == list(wanted)
    for key, array in wanted.items():
        np.testing.assert_array_equal(read[key], array)
        assert read[key].dtype == array.dtype and read[key].shape == array.shape


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("run",)


def hostile_file(path: Path, kind: str) -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"a": Hostile()}))
    else:
        path.write_bytes(pickle.dumps(Hostile()))
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_nothing_in_a_file_is_ever_run(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = hostile_file(tmp_path / "hostile.pth", kind)
    with pytest.raises(AsapError, match=r"hostile.pth: .*posix.mkdir, which no weights need"):
        read_torch_file(file)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth"])
def test_a_damaged_file_is_an_error_and_nothing_else(name, tmp_path):
    whole = (FILES / name).read_bytes()
    rng = np.random.default_rng(0)
    file = tmp_path / name
    for _ in range(300):
        damaged = bytearray(whole)
        if rng.random() < 0.3:
            damaged = damaged[: rng.integers(len(whole))]
        for at in rng.integers(0, max(1, len(damaged)), 3):
            damaged[at : at + 1] = rng.bytes(1)
        file.write_bytes(damaged)
        try:
            arrays = read_torch_file(file)
        except AsapError as error:
            assert str(error).startswith(f"{file}: ") and "\n" not in str(error)
        else:
            assert sum(array.size for array in arrays.values()) < 1000


def test_a_tensor_reaches_no_further_than_its_storage(tmp_path):
    legacy = (FILES / "legacy.pth").read_bytes()
    # The shape (4, 6) of the first tensor, as two small integers: (4, 200).
    assert legacy.count(b"K\x04K\x06\x86") == 2
    (tmp_path / "long.pth").write_bytes(legacy.replace(b"K\x04K\x06\x86", b"K\x04K\xc8\x86", 1))
    with pytest.raises(AsapError, match=r"a tensor of \(4, 200\) does not fit its storage of 24"):
        read_torch_file(tmp_path / "long.pth")
    # 24 values, as 2^31 - 1 of them.
    count = b"X\x03\x00\x00\x00cpuq"
    at = legacy.index(count) + len(count) + 1
    assert legacy[at : at + 2] == b"K\x18"
    huge = legacy[:at] + b"J\xff\xff\xff\x7f" + legacy[at + 2 :]
    (tmp_path / "huge.pth").write_bytes(huge)
    with pytest.raises(AsapError, match="huge.pth: cannot be read as .pth weights"):
        read_torch_file(tmp_path / "huge.pth")
