"""`POST /predict`: what it says is what `asap_tf.load` and `asap-tf predict` say."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from asap_tf.inference.files import predict_inputs
from asap_tf.inference.report import Report
from support.serving import ask, pixels, png, running

FRAME = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def as_form(content: bytes, name: str = "photo.png") -> tuple[bytes, dict[str, str]]:
    body = (
        f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n--x--\r\n"
    )
    return body, {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_ids_are_those_of_load(segmenter, port, kind):
    file = io.BytesIO()
    Image.fromarray(FRAME).save(file, kind)
    read = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB"))
    answer = ask(port, "/predict", file.getvalue())
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    np.testing.assert_array_equal(pixels(answer.body), segmenter.predict(read[None])[0])


def test_a_form_is_as_good_as_a_body(segmenter, port):
    answer = ask(port, "/predict", *as_form(png(FRAME)))
    np.testing.assert_array_equal(pixels(answer.body), segmenter.predict(FRAME[None])[0])


def test_photos_are_turned_upright(segmenter, port):
    turned = Image.Exif()
    turned[0x0112] = 6
    answer = ask(port, "/predict", png(FRAME, exif=turned))
    upright = np.ascontiguousarray(np.rot90(FRAME, -1))
    np.testing.assert_array_equal(pixels(answer.body), segmenter.predict(upright[None])[0])


@pytest.mark.parametrize("polygons", [False, True])
def test_json_is_that_of_the_command_line(segmenter, port, tmp_path, polygons):
    (tmp_path / "photo.png").write_bytes(png(FRAME))
    report = Report(tmp_path / "report.json", "model", polygons)
    predict_inputs(segmenter, [tmp_path / "photo.png"], tmp_path / "out", report=report)
    query = f"/predict?format=json&polygons={str(polygons).lower()}"
    answer = ask(port, query, *as_form(png(FRAME)))
    found, expected = json.loads(answer.body), json.loads((tmp_path / "report.json").read_text())
    (image,), (wanted,) = found["images"], expected["images"]
    assert image.pop("seconds") > 0 and wanted.pop("seconds") > 0
    assert (image.pop("path"), wanted.pop("path")) == ("photo.png", str(tmp_path / "photo.png"))
    assert found == expected


def test_overlay_is_that_of_the_command_line(segmenter, port, tmp_path):
    (tmp_path / "photo.png").write_bytes(png(FRAME))
    predict_inputs(segmenter, [tmp_path / "photo.png"], tmp_path / "out", legend=True)
    answer = ask(port, "/predict?format=overlay", png(FRAME))
    assert answer.body == (tmp_path / "out/photo.png").read_bytes()
    bare = pixels(ask(port, "/predict?format=overlay&legend=false", png(FRAME)).body)
    assert bare.shape == FRAME.shape
    np.testing.assert_array_equal(pixels(answer.body)[: len(FRAME)], bare)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("application/json", "application/json"),
        ("text/html, image/jpeg;q=0.2, application/json;q=0.9, */*;q=0.1", "application/json"),
        ("application/json;q=0, image/*", "image/png"),
    ],
)
def test_the_accept_header_chooses(port, accept, media_type):
    answer = ask(port, "/predict", png(FRAME), {"Accept": accept})
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)


def test_no_answer_is_accepted(port):
    assert ask(port, "/predict", png(FRAME), {"Accept": "text/html"}).status == 406


def test_page(port):
    answer = ask(port, "/")
    assert answer.headers["content-type"].startswith("text/html") and b"predict" in answer.body
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_page_of_its_own_is_open_and_nothing_beside_it(segmenter, tmp_path):
    page = tmp_path / "page"
    (page / "runtime").mkdir(parents=True)
    (page / "index.html").write_text("<title>a page</title>")
    (page / "runtime/ort.wasm").write_bytes(b"wasm")
    (tmp_path / "secret").write_text("secret")
    (page / "link").symlink_to(tmp_path / "secret")
    with running(segmenter, token="0123456789abcdef", page=page) as port:
        answer = ask(port, "/")
        assert (answer.status, answer.body) == (200, b"<title>a page</title>")
        assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
        assert ask(port, "/runtime/ort.wasm").body == b"wasm"
        for path in ("/link", "/../secret", "/%2e%2e/secret", "/runtime/../../secret"):
            refused = ask(port, path)
            assert refused.status in (401, 404) and refused.body != b"secret"
        assert ask(port, "/predict", png(FRAME)).status == 401


def test_health_and_metrics(port):
    assert ask(port, "/health").status == 200
    assert b"asap_tf_in_flight 0.0" in ask(port, "/metrics").body
