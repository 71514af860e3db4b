from __future__ import annotations

import contextlib
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import LabelClass
from asap_tf.inference import streams as live
from asap_tf.inference.streams import Latest, is_stream, predict_stream

HEIGHT, WIDTH = 48, 64


class Slow:
    """A network that takes its time, and remembers the brightness of what it saw."""

    classes = tuple(LabelClass(f"c{i}", (80 * i, 255, 0), "x", i) for i in range(4))

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.seen: list[int] = []

    def predict(self, frames: np.ndarray) -> np.ndarray:
        time.sleep(self.seconds)
        self.seen.append(round(float(frames.mean())))
        return frames[..., 0] // 64


@contextlib.contextmanager
def camera(count: int, seconds: float):
    """The address of a stream of so many frames, one every so many seconds, ever brighter."""
    sent = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with contextlib.suppress(OSError):
                for i in range(count):
                    frame = np.full((HEIGHT, WIDTH, 3), i % 250, np.uint8)
                    data = cv2.imencode(".jpg", frame)[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                    self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")
                    sent.append(i % 250)
                    time.sleep(seconds)
                self.wfile.write(b"--frame--\r\n")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/stream.mjpg", sent
    finally:
        server.shutdown()


def test_what_is_a_stream(tmp_path):
    assert is_stream("rtsp://camera/1") and is_stream("http://localhost:80/a.mjpg")
    assert is_stream("/dev/null")  # any character device
    (tmp_path / "a.mp4").write_text("")
    assert not is_stream(str(tmp_path / "a.mp4")) and not is_stream("missing.mp4")


def test_every_frame_is_labeled_however_slow_the_network(tmp_path):
    network = Slow(0.02)
    with camera(60, 0.0) as (address, sent):
        target, count = predict_stream(network, address, tmp_path, "ids", "every")
    assert count.dropped == 0
    # FFmpeg keeps the last frame of such a stream to itself: nothing says that it is complete.
    assert len(sent) == 60 and count.labeled >= 59
    np.testing.assert_allclose(network.seen, sent[: count.labeled], atol=1)
    assert len(list(target.iterdir())) == count.labeled


def test_the_newest_frame_is_labeled_and_the_others_are_counted(tmp_path):
    network = Slow(0.05)
    with camera(150, 0.01) as (address, sent):
        target, count = predict_stream(network, address, tmp_path, policy="newest")
    assert count.labeled + count.dropped in (149, 150)
    assert 10 < count.labeled < 75 and network.seen == sorted(set(network.seen))
    video = cv2.VideoCapture(str(target))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == count.labeled


@pytest.mark.parametrize("policy", live.POLICIES)
def test_a_signal_ends_it_cleanly(tmp_path, policy):
    network = Slow(0.01)
    ringing = threading.Timer(1.5, signal.raise_signal, [signal.SIGTERM])
    with camera(10_000, 0.01) as (address, _):
        ringing.start()
        target, count = predict_stream(network, address, tmp_path, "ids", policy)
    assert count.labeled == len(network.seen) == len(list(target.iterdir())) > 0
    assert [p.name for p in tmp_path.iterdir()] == [target.name]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_no_more_than_one_frame_is_kept():
    for keep_all in (False, True):
        latest = Latest(keep_all)
        offered = []

        def produce(latest=latest, offered=offered):
            for i in range(1000):
                offered.append(i)
                if not latest.put(np.array([i])):
                    break

        thread = threading.Thread(target=produce, daemon=True)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive() == keep_all
        assert len(offered) == (2 if keep_all else 1000)
        assert latest.take(0)[0] == (0 if keep_all else 999)
        assert latest.dropped == (0 if keep_all else 999)
        latest.end()
        thread.join(1)
        assert not thread.is_alive()


def test_mistakes(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="`policy` 'newst': did you mean 'newest'"):
        predict_stream(Slow(0), "http://127.0.0.1:1/", tmp_path, policy="newst")
    with pytest.raises(UsageError, match="cannot be written to"):
        predict_stream(Slow(0), "http://127.0.0.1:1/", tmp_path / "file" / "out")
    with pytest.raises(AsapError, match="http://127.0.0.1:1/: no readable stream"):
        predict_stream(Slow(0), "http://127.0.0.1:1/", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_error_of_the_model_ends_it_and_leaves_nothing(tmp_path):
    class Broken(Slow):
        def predict(self, frames):
            raise RuntimeError("out of memory")

    with camera(100, 0.01) as (address, _), pytest.raises(RuntimeError, match="out of memory"):
        predict_stream(Broken(0), address, tmp_path)
    assert list(tmp_path.iterdir()) == []
