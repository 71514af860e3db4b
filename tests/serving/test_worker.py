"""Frames that wait together go through the network together."""

from __future__ import annotations

import numpy as np
import pytest

from asap_tf.runtime import load
from asap_tf.serving.worker import Worker
from support.serving import Held, gray_frame, held_segmenter, wait_until


@pytest.fixture
def held():
    """Makes a worker whose first job waits in the network."""
    made = []

    def make(batch):
        network = Held(batch)
        network.may_go.clear()
        worker = Worker(held_segmenter(network))
        first = worker.submit(gray_frame(0)[None])
        wait_until(lambda: network.calls)
        made.append((network, worker))
        return network, worker, first

    yield make
    for network, worker in made:
        network.may_go.set()
        worker.close()


def test_one_call_for_those_of_one_size_that_fit(held):
    network, worker, first = held(batch=4)
    small, large = (32, 64), (64, 64)
    asked = [(1, small), (2, large), (3, small), (1, small), (1, small), (0, small)]
    jobs = [worker.submit(gray_frame(label, size)[None]) for label, size in asked]
    network.may_go.set()
    for (label, size), job in zip(asked, jobs, strict=True):
        np.testing.assert_array_equal(job.result(10).labels, np.full((1, *size), label))
    assert first.result(10).labels.max() == 0
    assert [shape[0] for shape in network.calls] == [1, 4, 1, 1]


def test_a_network_of_single_frames_gets_single_frames(held):
    network, worker, _ = held(batch=1)
    jobs = [worker.submit(gray_frame(i)[None]) for i in (1, 2)]
    network.may_go.set()
    assert [job.result(10).labels.max() for job in jobs] == [1, 2]
    assert [shape[0] for shape in network.calls] == [1, 1, 1]


def test_large_frames_of_a_network_of_any_batch_go_alone():
    network = Held()
    segmenter = held_segmenter(network)
    segmenter.size = (1024, 2048)
    worker = Worker(segmenter)
    assert worker.submit(np.stack([gray_frame(3)] * 3)).result(10).labels.shape == (3, 32, 64)
    worker.close()
    assert network.calls == [(1, 1024, 2048, 3)] * 3


def test_what_nobody_waits_for_is_left_out(held):
    network, worker, _ = held(batch=4)
    jobs = [worker.submit(gray_frame(i)[None]) for i in (1, 2, 3)]
    assert jobs[1].cancel()
    network.may_go.set()
    assert [jobs[i].result(10).labels.max() for i in (0, 2)] == [1, 3]
    assert network.calls[1:] == [(2, 32, 64, 3)]


def test_an_error_is_that_of_its_call_alone(held, monkeypatch):
    network, worker, first = held(batch=1)
    network.may_go.set()
    first.result(10)
    with monkeypatch.context() as patch:
        patch.setattr(network, "labels", lambda frames, size, out: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            worker.submit(gray_frame(1)[None]).result(10)
    assert worker.submit(gray_frame(2)[None]).result(10).labels.max() == 2


@pytest.mark.parametrize("output", ["labels", "logits"])
def test_in_a_batch_an_export_says_what_it_says_alone(tmp_path, output):
    onnx = pytest.importorskip("onnx")
    from support.gpu import graph

    onnx.save(graph(output, batch=2), tmp_path / "asap_fp32.onnx")
    segmenter = load(tmp_path / "asap_fp32.onnx")
    frames = np.random.default_rng(1).integers(0, 256, (5, 40, 60, 3), np.uint8)
    alone = [segmenter.predict(frame[None]) for frame in frames]
    worker = Worker(segmenter)
    jobs = [worker.submit(frame[None]) for frame in frames]
    for job, expected in zip(jobs, alone, strict=True):
        np.testing.assert_array_equal(job.result(10).labels, expected)
    worker.close()
