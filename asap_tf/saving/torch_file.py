"""Weights as PyTorch stores them, read without PyTorch and without running what is in the file."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.saving.torch_pickle import Storage, Tensor, read_pickle

# What PyTorch calls the variables that Keras keeps in this order.
CONV_VARIABLES = ("weight",)
NORM_VARIABLES = ("weight", "bias", "running_mean", "running_var")

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

LARGEST_PICKLE = 1 << 22
"""Bytes; a ResNet18's has 20 kB, since the values lie elsewhere."""

DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Arrays by torch name of a `.safetensors` or `.pth` file.

    A `.pth` file is a pickle, which may call anything when Python reads it. Here it is read without
    calling anything: it may name tensors, their storages and `OrderedDict`, and is refused for any
    other name, and for more values than it has bytes for.

    Args:
        path: `.safetensors`, or a dictionary of tensors written by `torch.save`, of any version.

    Returns:
        Tensors only; what else the dictionary holds is left out.

    Raises:
        AsapError: if the file is damaged, or holds anything else.

    Examples:
        >>> read_torch_file(Path("resnet18.pth"))["conv1.weight"].shape
        (64, 3, 7, 7)
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        state, values = read_zip(path) if zipfile.is_zipfile(path) else read_legacy(path)
        if not isinstance(state, dict):
            raise AsapError(f"holds a {type(state).__name__}, not a dictionary of tensors")
        return {
            name: array_of(tensor, values[tensor.storage.key])
            for name, tensor in state.items()
            if isinstance(name, str) and isinstance(tensor, Tensor)
        }
    except Exception as error:
        raise AsapError(
            f"{path}: cannot be read as {path.suffix} weights: {first_line(error)}"
        ) from error


def read_zip(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """What `torch.save` has written since 1.6: an archive of one pickle and a file a storage.

    Returns:
        The pickle's content, and the values of each storage, `(count,)`, by its key.
    """
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        # PyTorch does not compress.
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise AsapError("unpacks to more bytes than it has")
        if archive.getinfo(pickled).file_size > LARGEST_PICKLE:
            raise AsapError("lists too many tensors")
        state, storages = read_pickle(io.BytesIO(archive.read(pickled)))
        return state, {
            s.key: np.frombuffer(archive.read(f"{folder}data/{s.key}"), dtype_of(s), s.length)
            for s in storages.values()
        }


def read_legacy(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """What `torch.save` wrote before 1.6: pickles one after the other, then the storages.

    Returns:
        As `read_zip`.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = io.BytesIO(file.read(LARGEST_PICKLE))
        (magic, _), _version, _system = (read_pickle(head) for _ in range(3))
        if magic != LEGACY_MAGIC:
            raise AsapError("not written by torch.save")
        state, storages = read_pickle(head)
        keys, _ = read_pickle(head)
        file.seek(head.tell())
        values = {}
        for key in keys:
            storage = storages.pop(key)
            dtype = dtype_of(storage)
            if not 0 <= storage.length * dtype.itemsize <= size:
                raise AsapError(f"storage {key} of {storage.length} values is larger than the file")
            if int.from_bytes(file.read(8), "little") != storage.length:
                raise AsapError(f"storage {key} is not of {storage.length} values")
            values[key] = np.empty(storage.length, dtype)
            if file.readinto(values[key].data.cast("B")) != values[key].nbytes:
                raise AsapError(f"ends within storage {key}")
    return state, values


def dtype_of(storage: Storage) -> Any:
    """The type of a storage's values."""
    if storage.kind not in DTYPES:
        raise AsapError(f"it holds a torch.{storage.kind}, which cannot be read")
    return DTYPES[storage.kind]


def array_of(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """A tensor as a view of its storage's values."""
    _, offset, size, stride = tensor
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    lowest = min(offset, *stride, *(n - 1 for n in size), 0)
    if lowest < 0 or last >= values.size or math.prod(size) > values.size:
        raise AsapError(f"a tensor of {size} does not fit its storage of {values.size}")
    strides = [s * values.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(values[offset:], size, strides, writeable=False)
