from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from asap_tf.core.errors import UsageError
from asap_tf.saving import locate

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A stand-in for the Hub, on loopback: its files, and the environment that leads to it."""
    from asap_tf.data.camvid import CLASSES
    from asap_tf.saving import save_model
    from support.tiny import Tiny

    folder = tmp_path_factory.mktemp("hub")
    save_model(Tiny(11, (None, None, 3)), folder / "model.keras", CLASSES, (32, 64))
    files = {"model.keras": (folder / "model.keras").read_bytes(), "evil.keras": b"no archive"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            name = path.rpartition("/")[2]
            if path.startswith("/api/models/somebody/streets/tree"):
                entries = [
                    {"type": "file", "path": n, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
                    for n, b in files.items()
                ]
                self.answer(json.dumps(entries).encode(), "application/json")
            elif path.startswith("/api/models/somebody/streets"):
                siblings = [{"rfilename": n} for n in files]
                info = {"id": "somebody/streets", "sha": COMMIT, "siblings": siblings}
                self.answer(json.dumps(info).encode(), "application/json")
            elif path.startswith("/somebody/streets/resolve") and name in files:
                self.answer(files[name], "application/octet-stream")
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

        do_HEAD = do_GET

        def answer(self, content, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", hashlib.sha1(content).hexdigest())
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",
        # As of a user; the tests themselves show more.
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    server.shutdown()


def info(address, environment):
    command = [sys.executable, "-m", "asap_tf.cli", "info", address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_model_on_the_hub_is_downloaded_once_and_opened(hub):
    done = info("hf://somebody/streets", hub)
    assert done.returncode == 0, done.stderr
    assert "sky, building" in done.stdout
    # Without a way to the Hub, what was downloaded is still there.
    done = info("hf://somebody/streets", {**hub, "HF_ENDPOINT": "http://127.0.0.1:9"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hf://somebody/streets/evil.keras", "damaged"),
        ("hf://somebody/streets/absent.keras", "there is no absent.keras"),
        ("hf://nobody/nothing", "not to be had"),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_line(hub, address, said):
    done = info(address, hub)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "address", ["hf://one", "hf://a/b/../../../x.keras", "hf://a/b@", "hf:///x"]
)
def test_addresses_that_are_none(address):
    with pytest.raises(UsageError, match="give hf://USER/NAME"):
        locate(address)


def test_paths_and_presets():
    assert locate("runs/camvid") == Path("runs/camvid")
    assert locate("asap_lite0_camvid").name == "asap_lite0_camvid.keras"
