"""Weights as PyTorch stores them, read without PyTorch and without running what is in the file."""

from __future__ import annotations

import collections
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from asap_tf.core.errors import AsapError, first_line

# What PyTorch calls the variables that Keras keeps in this order.
CONV_VARIABLES = ("weight",)
NORM_VARIABLES = ("weight", "bias", "running_mean", "running_var")

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

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

    A `.pth` file is a pickle, which may call anything when it is read. Here it may name tensors,
    their storages and `OrderedDict`, and is refused for any other name.

    Args:
        path: `.safetensors`, or a dictionary of tensors written by `torch.save`, of any version.

    Returns:
        Tensors only; what else the dictionary holds is left out.

    Raises:
        AsapError: if the file is damaged, or holds anything else.

    Example:
        >>> read_torch_file(Path("resnet18.pth"))["conv1.weight"].shape
        (64, 3, 7, 7)
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        state = read_zip(path) if zipfile.is_zipfile(path) else read_legacy(path)
        if not isinstance(state, dict):
            raise AsapError(f"holds a {type(state).__name__}, not a dictionary of tensors")
        return {name: array for name, array in state.items() if isinstance(array, np.ndarray)}
    except Exception as error:
        raise AsapError(
            f"{path}: cannot be read as {path.suffix} weights: {first_line(error)}"
        ) from error


def read_zip(path: Path) -> Any:
    """What `torch.save` has written since 1.6: an archive of one pickle and a file a storage."""
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")

        def storage(dtype: np.dtype, key: str, count: int) -> np.ndarray:
            return np.frombuffer(archive.read(f"{folder}data/{key}"), dtype, count)

        with archive.open(pickled) as file:
            return TensorUnpickler(file, storage).load()


def read_legacy(path: Path) -> Any:
    """What `torch.save` wrote before 1.6: pickles one after the other, then the storages."""
    size = path.stat().st_size
    storages: dict[str, np.ndarray] = {}

    def storage(dtype: np.dtype, key: str, count: int) -> np.ndarray:
        if not 0 <= count * dtype.itemsize <= size:
            raise AsapError(f"storage {key} of {count} values is larger than the file")
        return storages.setdefault(key, np.zeros(count, dtype))

    with path.open("rb") as file:
        magic, _version, _system = (TensorUnpickler(file, storage).load() for _ in range(3))
        if magic != LEGACY_MAGIC:
            raise AsapError("not written by torch.save")
        state = TensorUnpickler(file, storage).load()
        for key in TensorUnpickler(file, storage).load():
            array = storages[key]
            if int.from_bytes(file.read(8), "little") != array.size:
                raise AsapError(f"storage {key} is not of {array.size} values")
            if file.readinto(array.data.cast("B")) != array.nbytes:
                raise AsapError(f"ends within storage {key}")
    return state


class TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors as NumPy arrays, and refuses every other class and function.

    Args:
        file: At the start of a pickle.
        storage: From dtype, key and count to the values of a storage, `(count,)`.
    """

    def __init__(self, file: IO[bytes], storage: Callable[[np.dtype, str, int], np.ndarray]):
        super().__init__(file)
        self.storage = storage

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): tensor,
            ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
            **{("torch", storage): dtype for storage, dtype in DTYPES.items()},
        }
        if (module, name) not in known:
            raise AsapError(f"it holds {module}.{name}, which no weights need; not opened")
        return known[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, dtype, key, _device, count, *_ = pid
        return self.storage(dtype, key, count)


def tensor(
    storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> np.ndarray:
    """A tensor as a view of its storage, as PyTorch's `_rebuild_tensor_v2` makes one."""
    steps = [(n - 1) * s for n, s in zip(size, stride, strict=True)]
    last = offset + sum(steps)
    if offset < 0 or min(stride, default=0) < 0 or min(size, default=1) < 1 or last >= storage.size:
        raise AsapError(f"a tensor of {tuple(size)} does not fit its storage of {storage.size}")
    strides = [s * storage.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)
