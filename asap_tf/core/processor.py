"""What the processor's instructions are good for."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
    "asimddp": "dot product",
    "i8mm": "int8 matrices",
}
"""Flags of /proc/cpuinfo that decide how fast a precision is."""

_OF_INT8 = ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp")
_OF_BFLOAT16 = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True)
class Precision:
    """What a precision is worth on a processor.

    Attributes:
        name: `"int8"` or `"bfloat16"`.
        instructions: The processor's instructions for it.
        advice: What that means, for people.
    """

    name: str
    instructions: tuple[str, ...]
    advice: str


def processor_words() -> frozenset[str]:
    """The words by which Linux describes the processors, flags and maker among them; else none."""
    cpu = Path("/proc/cpuinfo")
    return frozenset(cpu.read_text().split()) if cpu.exists() else frozenset()


def instructions(words: Set[str], flags: Iterable[str] = INSTRUCTIONS) -> tuple[str, ...]:
    """Names for people of those of the flags that a processor has."""
    return tuple(INSTRUCTIONS[flag] for flag in flags if flag in words)


def trains_in_bfloat16(words: Set[str]) -> bool:
    """Whether a training gains by bfloat16: with AMX, or on AMD's with AVX512-BF16.

    On Intel's without AMX it trains at two thirds of float32's speed, whether they have AVX512-BF16
    or not.
    """
    return "amx_bf16" in words or {"avx512_bf16", "AuthenticAMD"} <= words


def precisions(words: Set[str]) -> list[Precision]:
    """What int8 and bfloat16 are worth on a processor.

    Args:
        words: As `processor_words` gives them; none stand for an unknown processor.
    """
    if not words:
        unknown = "unknown: the system does not say what the processor can"
        return [Precision("int8", (), unknown), Precision("bfloat16", (), unknown)]
    int8, bfloat16 = instructions(words, _OF_INT8), instructions(words, _OF_BFLOAT16)
    if int8:
        of_int8 = f"fast, by {', '.join(int8)}: export in int8"
    else:
        of_int8 = "no instructions for it: smaller files, less gain in speed"
    if trains_in_bfloat16(words):
        of_bfloat16 = f"fast, by {', '.join(bfloat16)}: trainings with `precision: auto` take it"
    elif bfloat16:
        of_bfloat16 = f"slower than float32, in spite of {', '.join(bfloat16)}: train in float32"
    else:
        of_bfloat16 = "no instructions for it: train in float32"
    return [Precision("int8", int8, of_int8), Precision("bfloat16", bfloat16, of_bfloat16)]
