from __future__ import annotations

import sys

import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.export.plan import plan


def test_every_format_in_those_precisions_that_it_has():
    jobs = plan(["saved_model", "litert", "saved_model"], ["int8", "fp32", "int8"])
    assert [job.name for job in jobs] == [
        "asap_fp32_saved_model",
        "asap_int8.tflite",
        "asap_fp32.tflite",
    ]


@pytest.mark.parametrize(
    ("formats", "precisions", "message"),
    [
        ([], ["fp32"], "no format"),
        (["saved_model"], ["int8"], "saved_model comes in fp32, not in int8"),
        (["onnx"], ["dynamic"], "onnx comes in fp32, fp16, int8, not in dynamic"),
    ],
)
def test_nothing_to_write(formats, precisions, message):
    with pytest.raises(UsageError, match=message):
        plan(formats, precisions)


def test_a_missing_package_is_named_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(AsapError, match=r"pip install 'asap-tf\[litert\]'"):
        plan(["litert"], ["fp32"])
