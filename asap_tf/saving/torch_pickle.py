"""Pickles of tensors, followed step by step: what a file names is looked up, never called."""

from __future__ import annotations

import pickletools
from typing import IO, Any, NamedTuple

from asap_tf.core.errors import AsapError

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINSTRING",
    "SHORT_BINSTRING",
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

_MOST_NUMBERS = 17
"""An offset, and the length and step of eight axes."""

ORDERED_DICT = "collections.OrderedDict"
PARAMETER = "torch._utils._rebuild_parameter"
TENSOR = "torch._utils._rebuild_tensor_v2"


class Storage(NamedTuple):
    """The values of a tensor, by their kind, such as `"FloatStorage"`, their key, and how many."""

    kind: str
    key: str
    length: int


class Tensor(NamedTuple):
    """A view of a storage: its first value, and length and step of each axis, in values."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Global(str):
    """The dotted name of a class or function."""


def read_pickle(file: IO[bytes]) -> tuple[Any, dict[str, Storage]]:
    """Reads the pickle that starts at a file's position, and stops behind it.

    Args:
        file: A binary file; a stranger's, so at most a few megabytes of it.

    Returns:
        The pickle's content, made of plain values and `Tensor` in lists, tuples and dictionaries,
        and the storages that it names, by key. Attributes that it sets are left out.

    Raises:
        AsapError: if it names anything but tensors, their storages and `OrderedDict`.
        ValueError, IndexError, KeyError, TypeError: if it is damaged.

    Examples:
        >>> read_pickle(io.BytesIO(pickle.dumps({"epoch": 3}, protocol=2)))
        ({'epoch': 3}, {})
    """
    stack: list[Any] = []
    outer: list[list[Any]] = []
    memo: dict[int, Any] = {}
    storages: dict[str, Storage] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name in ("PROTO", "FRAME"):
            continue
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in _TUPLES:
            at = len(stack) - _TUPLES[name]
            stack[at:] = [tuple(stack[at:])]
        elif name == "MARK":
            outer.append(stack)
            stack = []
        elif name in ("TUPLE", "APPENDS", "SETITEMS"):
            items, stack = stack, outer.pop()
            if name == "TUPLE":
                stack.append(tuple(items))
            elif name == "APPENDS":
                _plain(stack[-1], list).extend(items)
            else:
                for key, value in zip(items[::2], items[1::2], strict=True):
                    _set(stack[-1], key, value)
        elif name == "APPEND":
            item = stack.pop()
            _plain(stack[-1], list).append(item)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _set(stack[-1], key, value)
        elif name == "GLOBAL":
            stack.append(_known(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_known(module, attribute))
        elif name == "BINPERSID":
            storage = _storage(*stack.pop())
            if storages.setdefault(storage.key, storage) != storage:
                raise ValueError("describes a storage in two ways")
            stack.append(storage)
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_made(function, *arguments))
        elif name == "BUILD":
            stack.pop()
        elif name == "STOP":
            return stack.pop(), storages
        else:
            raise AsapError(f"it holds the instruction {name}, which no weights need; not opened")
    raise ValueError("ends too early")


def _known(module: str, attribute: str) -> _Global:
    name = _Global(f"{module}.{attribute}")
    if name not in (ORDERED_DICT, PARAMETER, TENSOR):
        if module != "torch" or not attribute.endswith("Storage"):
            raise AsapError(f"it holds {name}, which no weights need; not opened")
    return name


def _storage(word: str, kind: _Global, key: str, device: str, count: int, *_: Any) -> Storage:
    if type(kind) is not _Global or type(key) is not str or type(count) is not int:
        raise TypeError("a storage is not described as PyTorch does")
    return Storage(kind.removeprefix("torch."), key, count)


def _made(function: Any, *arguments: Any) -> Any:
    """What PyTorch would get from a function with these arguments."""
    if type(function) is _Global and function == ORDERED_DICT:
        made: dict[Any, Any] = {}
        for key, value in arguments[0] if arguments else ():
            _set(made, key, value)
        return made
    if type(function) is _Global and function == PARAMETER:
        return _plain(arguments[0], Tensor)
    if type(function) is not _Global or function != TENSOR:
        raise TypeError("calls something that is no tensor")
    storage, offset, size, stride, *_ = arguments
    numbers = [offset, *_plain(size, tuple), *_plain(stride, tuple)]
    if len(numbers) > _MOST_NUMBERS or any(type(n) is not int for n in numbers):
        raise TypeError("a tensor's shape is not a few plain integers")
    return Tensor(_plain(storage, Storage), offset, size, stride)


def _plain(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"holds {type(value).__name__} where {kind.__name__} is needed")
    return value


def _set(target: Any, key: Any, value: Any) -> None:
    # Hashes of text are salted in each process: nobody can make keys that all collide.
    if type(key) is not str and not (type(key) is int and -(2**63) <= key < 2**63):
        raise TypeError(f"a dictionary's key is {type(key).__name__}")
    _plain(target, dict)[key] = value
