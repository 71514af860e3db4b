"""`.pth` files that call functions, reach beyond their values, or hold more than they have."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.saving.torch_file import read_torch_file


def named(module, name):
    return Raw(f"c{module}\n{name}\n".encode())


class Raw(bytes):
    """Instructions of a pickle that push one value."""


def push(value):
    """The instructions that push a value."""
    match value:
        case Raw():
            return value
        case None:
            return b"N"
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            content = value.to_bytes(10, "little", signed=True)
            return b"\x8a" + bytes([len(content)]) + content
        case tuple():
            return b"(" + b"".join(map(push, value)) + b"t"
        case dict():
            pairs = b"".join(push(k) + push(v) for k, v in value.items())
            return b"}(" + pairs + b"u"


def called(function, *arguments):
    return Raw(function + push(arguments) + b"R")


def storage(count, kind="FloatStorage", key="0"):
    return Raw(push(("storage", named("torch", kind), key, "cpu", count)) + b"Q")


def tensor(values, offset, size, stride):
    rebuild = named("torch._utils", "_rebuild_tensor_v2")
    hooks = called(named("collections", "OrderedDict"))
    return called(rebuild, values, offset, size, stride, False, hooks)


def written(path, state, compression=zipfile.ZIP_STORED, **storages):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + push(state) + b".")
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key.removeprefix('s')}", content)
    return path


def written_before_1_6(path, state, **storages):
    head = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}, state)
    keys = Raw(b"]" + b"".join(push(key.removeprefix("s")) + b"a" for key in storages))
    content = b"".join(b"\x80\x02" + push(value) + b"." for value in (*head, keys))
    for values in storages.values():
        content += (len(values) // 4).to_bytes(8, "little") + values
    path.write_bytes(content)
    return path


SIX = np.arange(6, dtype="<f4").tobytes()


def test_a_plain_state_dictionary_is_read(tmp_path):
    file = written(tmp_path / "w.pth", {"a": tensor(storage(6), 1, (2, 2), (1, 2))}, s0=SIX)
    np.testing.assert_array_equal(read_torch_file(file)["a"], [[1, 3], [2, 4]])


@pytest.mark.parametrize("write", [written, written_before_1_6])
def test_a_whole_network_as_torchvision_and_timm_save_it(tmp_path, write):
    """An ordered dictionary with attributes, of float32 tensors, and counts that nobody needs."""
    from asap_tf import ASAPNet

    model = ASAPNet(3, (64, 64, 3))
    rng, state, storages, expected = np.random.default_rng(0), {}, {}, {}
    for layer in model.layers:
        if not layer.name.startswith("backbone_") or not layer.weights:
            continue
        module = layer.name.removeprefix("backbone_").replace("_", ".")
        names = ["weight", "bias", "running_mean", "running_var"][: len(layer.weights)]
        for name, variable in zip(names, layer.weights, strict=True):
            values = rng.uniform(0.5, 1.5, variable.shape).astype("<f4")
            expected.setdefault(layer.name, []).append(values)
            values = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values
            key, stride = str(len(storages)), np.cumprod((1, *values.shape[:0:-1]))[::-1]
            whole = storage(values.size, key=key)
            view = tensor(whole, 0, values.shape, tuple(map(int, stride)))
            state[f"{module}.{name}"] = view
            storages[f"s{key}"] = values.tobytes()
    state["fc.bias"] = tensor(storage(6, key="last"), 0, (6,), (1,))
    storages["slast"] = SIX
    pairs = b"".join(push(name) + push(value) for name, value in state.items())
    attributes = push({"_metadata": {"conv1": {"version": 1}}})
    ordered = called(named("collections", "OrderedDict")) + b"(" + pairs + b"u" + attributes + b"b"
    file = write(tmp_path / "resnet18.pth", Raw(ordered), **storages)
    model = ASAPNet(3, (64, 64, 3), weights=file)
    assert len(expected) == 40
    for name, values in expected.items():
        for one, other in zip(model.get_layer(name).get_weights(), values, strict=True):
            np.testing.assert_array_equal(one, other)


def test_integers_that_wrap_around(tmp_path):
    """Sizes and strides that are 0-d int64 tensors: their products overflow, and seem to fit."""
    numbers = np.array([3, 2**63 - 1], "<i8").tobytes()
    integers = storage(2, "LongStorage", "1")
    size, stride = (tensor(integers, at, (), ()) for at in (0, 1))
    state = {"a": tensor(storage(6), 0, (size, size), (stride, stride))}
    file = written(tmp_path / "w.pth", state, s0=SIX, s1=numbers)
    with pytest.raises(AsapError, match="w.pth: cannot be read as .pth weights: .*plain integers"):
        read_torch_file(file)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (3, 3), (3, 1)),
        (-1, (2,), (1,)),
        (4, (2,), (2,)),
        (0, (2,), (-1,)),
        (0, (-2, -2), (1, 1)),
        (0, (10**9,), (0,)),
        (0, (2, 2), (2,)),
        (0, (2,) * 70, (0,) * 70),
        (0, (2**62, 2), (2**62, 1)),
        (0, (True,), (1,)),
    ],
)
def test_tensors_beyond_their_storage(tmp_path, offset, size, stride):
    file = written(tmp_path / "w.pth", {"a": tensor(storage(6), offset, size, stride)}, s0=SIX)
    with pytest.raises(AsapError, match="w.pth: cannot be read as .pth weights: "):
        read_torch_file(file)


def test_values_that_unpack_to_more_than_the_file(tmp_path):
    state = {"a": tensor(storage(10**8), 0, (10**8,), (1,))}
    file = tmp_path / "w.pth"
    written(file, state, zipfile.ZIP_DEFLATED, s0=bytes(4 * 10**8))
    assert file.stat().st_size < 10**6
    with pytest.raises(AsapError, match="unpacks to more bytes than it has"):
        read_torch_file(file)


def test_one_storage_of_two_kinds(tmp_path):
    state = {
        "a": tensor(storage(6), 0, (6,), (1,)),
        "b": tensor(storage(6, "DoubleStorage"), 0, (6,), (1,)),
    }
    with pytest.raises(AsapError, match="a storage in two ways"):
        read_torch_file(written(tmp_path / "w.pth", state, s0=SIX))


@pytest.mark.parametrize(
    "state",
    [
        # A type's own `__setstate__` would change it for the whole process,
        Raw(named("torch", "FloatStorage") + push((3, "<", None, None, None, -1, -1, 63)) + b"b"),
        # as would attributes a function.
        Raw(named("torch._utils", "_rebuild_parameter") + push((None, {"__name__": "x"})) + b"b"),
    ],
)
def test_nothing_of_the_process_is_changed(tmp_path, state):
    values = tensor(storage(6), 0, (6,), (1,))
    file = written(tmp_path / "w.pth", {"what": state, "a": values}, s0=SIX)
    np.testing.assert_array_equal(read_torch_file(file)["a"], range(6))
    assert np.dtype("<f4").flags == 0


def test_keys_whose_hashes_collide(tmp_path):
    """A dictionary of n such keys takes n * n steps."""
    pairs = b"".join(push(i * (2**61 - 1)) + push(0) for i in range(4, 50_000))
    file = written(tmp_path / "w.pth", Raw(b"}(" + pairs + b"u"))
    with pytest.raises(AsapError, match="key"):
        read_torch_file(file)


def test_an_index_that_asks_for_a_table_of_32_gigabytes(tmp_path):
    file = written(tmp_path / "w.pth", Raw(b"}r\xff\xff\xff\x7f"))
    assert read_torch_file(file) == {}


@pytest.mark.parametrize(
    "instructions",
    [
        b"cos\nsystem\n(X\x02\x00\x00\x00idtR.",
        b"cos\x1b]0;x\nsystem\n.",
        b"Xtoo long",
        b"\x96" + struct.pack("<Q", 2**40),
        b"\x8b" + struct.pack("<i", 2**30),
        b"(lp0\n" * 100_000,
        b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x02}" + b"q\x00" * 3 + b"R.",
        bytes(range(256)) * 20_000,
    ],
    ids=lambda instructions: repr(instructions[:9]),
)
@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_instructions_that_no_weights_need(tmp_path, instructions, kind):
    file = tmp_path / "w.pth"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", instructions)
    else:
        file.write_bytes(instructions)
    with pytest.raises(AsapError, match="cannot be read as .pth weights") as refusal:
        read_torch_file(file)
    assert len(str(refusal.value)) < 1000 and str(refusal.value).isprintable()
