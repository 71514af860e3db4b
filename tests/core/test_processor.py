from __future__ import annotations

from pathlib import Path

import pytest

from asap_tf.core.processor import instructions, precisions, processor_words, trains_in_bfloat16


@pytest.mark.parametrize(
    ("flags", "int8", "bfloat16", "trains"),
    [
        ("GenuineIntel avx2 avx512f avx512_vnni", ("AVX-512 VNNI",), (), False),
        ("GenuineIntel avx512_bf16 avx_vnni", ("AVX VNNI",), ("AVX-512 BF16",), False),
        ("AuthenticAMD avx512_bf16", (), ("AVX-512 BF16",), True),
        (
            "GenuineIntel amx_int8 amx_bf16 amx_tile",
            ("AMX int8",),
            ("AMX bf16",),
            True,
        ),
        ("asimd asimddp i8mm", ("int8 matrices", "dot product"), (), False),
        ("GenuineIntel sse2", (), (), False),
    ],
)
def test_precisions(flags, int8, bfloat16, trains):
    words = set(flags.split())
    of_int8, of_bfloat16 = precisions(words)
    assert (of_int8.instructions, of_bfloat16.instructions) == (int8, bfloat16)
    assert of_int8.advice.startswith("fast") == bool(int8)
    assert of_bfloat16.advice.startswith("fast") == trains == trains_in_bfloat16(words)


def test_without_a_description_nothing_is_claimed(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert processor_words() == frozenset()
    for precision in precisions(processor_words()):
        assert precision.instructions == () and precision.advice.startswith("unknown")


def test_this_processor():
    text = Path("/proc/cpuinfo").read_text()
    assert ("AVX2" in instructions(processor_words())) == (" avx2 " in text)
