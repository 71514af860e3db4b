"""KServe's V2 protocol, spoken by NVIDIA's client."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from support.serving import ask

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)


@pytest.fixture
def client(port):
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    yield client
    client.close()


def test_the_server_and_the_model_are_described(client, segmenter):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("model")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    found = client.get_model_metadata("model")
    assert found["inputs"] == [{"name": "frames", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert found["outputs"] == [{"name": "labels", "datatype": "UINT8", "shape": [-1, -1, -1]}]


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True, None])
def test_labels_are_those_of_load(client, segmenter, binary_in, binary_out):
    frames = triton.InferInput("frames", FRAMES.shape, "UINT8")
    frames.set_data_from_numpy(FRAMES, binary_data=binary_in)
    wanted = None
    if binary_out is not None:
        wanted = [triton.InferRequestedOutput("labels", binary_data=binary_out)]
    answer = client.infer("model", [frames], outputs=wanted, request_id="7")
    assert answer.get_response()["id"] == "7"
    labels = answer.as_numpy("labels")
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, segmenter.predict(FRAMES))


def test_nested_lists_are_taken(port, segmenter):
    tensor = {"name": "frames", "datatype": "UINT8", "shape": FRAMES.shape}
    answer = ask(
        port,
        "/v2/models/model/infer",
        json.dumps({"inputs": [{**tensor, "data": FRAMES.tolist()}]}),
    )
    (output,) = json.loads(answer.body)["outputs"]
    assert output["data"] == segmenter.predict(FRAMES).ravel().tolist()


def test_another_model_is_not_here(client):
    frames = triton.InferInput("frames", FRAMES.shape, "UINT8")
    frames.set_data_from_numpy(FRAMES)
    with pytest.raises(InferenceServerException, match="no model 'other'"):
        client.infer("other", [frames])
    assert not client.is_model_ready("other")


GOOD = {"name": "frames", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "image"},
        {"datatype": "FP32"},
        {"shape": [2, 2, 3]},
        {"shape": [1, 2, 2, 4]},
        {"shape": [1, 2, -2, 3]},
        {"shape": [10**30, 2, 2, 3]},
        {"data": [0] * 11},
        {"data": [0.5] * 12},
        {"data": ["0"] * 12},
        {"data": [True] * 12},
        {"data": [256] + [0] * 11},
        {"data": [-1] + [0] * 11},
        {"data": [10**30] + [0] * 11},
        {"data": [[0] * 11, 0]},
        {"data": {}},
        {"data": None},
        {"data": None, "parameters": {"binary_data_size": 12}},
        {"data": None, "parameters": {"binary_data_size": "x"}},
    ],
)
def test_bad_tensors_are_refused(port, change):
    body = json.dumps({"inputs": [{**GOOD, **change}]})
    answer = ask(port, "/v2/models/model/infer", body)
    assert answer.status in (400, 413) and json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"inputs": []}',
        json.dumps({"inputs": [GOOD, GOOD]}).encode(),
        json.dumps({"inputs": [GOOD], "outputs": [{"name": "logits"}]}).encode(),
        b'{"inputs": ' + b"[" * 100_000,
    ],
)
def test_bad_bodies_are_refused(port, body):
    answer = ask(port, "/v2/models/model/infer", body)
    assert answer.status == 400 and json.loads(answer.body)["error"]


@pytest.mark.parametrize("length", ["-1", "1e9", "99999", "x", ""])
def test_bad_lengths_of_the_json_are_refused(port, length):
    headers = {"Inference-Header-Content-Length": length}
    body = json.dumps({"inputs": [GOOD]})
    assert ask(port, "/v2/models/model/infer", body, headers).status == 400
