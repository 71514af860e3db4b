"""The page in a browser, against asap_tf on the same files."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from PIL import Image

from asap_tf import load
from asap_tf.data.frames import read_frame
from asap_tf.export.exporter import export
from asap_tf.export.web import runtime, web_page
from asap_tf.streets import render
from support.browser import chromium, served, skip_without_npm


@pytest.fixture(scope="module")
def folder(trained_model, tmp_path_factory):
    skip_without_npm(f"{runtime.PACKAGE}@{runtime.VERSION}")
    out = tmp_path_factory.mktemp("web") / "page"
    export(trained_model, out, [], output="labels+confidence", package=web_page(vendor=True))
    return out


@pytest.fixture(scope="module")
def network(folder):
    return load(folder / "asap_fp32.tflite")


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page(folder, browser):
    """The page, one for all tests, and at the end proof that it asked nobody but its server."""
    with served(folder) as address:
        context = browser.new_context(permissions=["camera"])
        context.set_default_timeout(120_000)
        page = context.new_page()
        asked, errors = [], []
        context.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
        context.close()
    assert len(asked) > 8
    assert [url for url in asked if not url.startswith((address, f"blob:{address}"))] == []
    assert errors == []


def photo(path, size, **options):
    Image.fromarray(render(40, *size).image).save(path, **options)
    return path


def segment(page, file):
    """Gives the page a file; returns the label map that it offers."""
    page.set_input_files("#file", file)
    page.get_by_text(f"{file.name}, ").wait_for()
    return downloaded(page, "Label map")


def downloaded(page, button):
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    image = Image.open(io.BytesIO(download.value.path().read_bytes()))
    return download.value.suggested_filename, image.mode, np.asarray(image)


def test_a_photo_of_the_networks_size_is_labeled_as_by_keras(page, trained_model, tmp_path):
    file = photo(tmp_path / "street.png", (64, 128))
    name, mode, labels = segment(page, file)
    assert (name, mode) == ("street_labels.png", "L")
    expected = load(trained_model).predict(read_frame(file).pixels[np.newaxis])[0]
    assert len(np.unique(expected)) > 3
    assert np.mean(labels == expected) >= 0.995
    assert "2 threads" in page.inner_text("#facts")


def test_a_gpu_gives_the_same_labels(page, network, tmp_path):
    """One that the processor imitates."""
    file = photo(tmp_path / "street.png", (64, 128))
    expected = network.predict(read_frame(file).pixels[np.newaxis])[0]
    page.evaluate("document.getElementById('runtimes').hidden = false")
    for accelerator in ("webgpu", "wasm"):
        page.select_option("#runtime", accelerator)
        page.wait_for_selector(f"body[data-ready={accelerator}]")
        assert np.mean(segment(page, file)[-1] == expected) >= 0.995


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("large.png", (250, 333), {}),
        ("small.png", (33, 70), {}),
        ("turned.jpg", (200, 300), {"quality": 95, "orientation": 6}),
        ("gray.png", (90, 160), {"mode": "L"}),
        ("clear.png", (90, 160), {"mode": "RGBA"}),
    ],
)
def test_any_photo_is_labeled_as_by_asap_tf(page, network, tmp_path, name, size, options):
    image = Image.fromarray(render(41, *size).image).convert(options.pop("mode", "RGB"))
    if image.mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[0x0112] = options.pop("orientation", 1)
    image.save(tmp_path / name, exif=exif, **options)
    frame = read_frame(tmp_path / name).pixels
    assert (frame.shape[:2] == size) == (name != "turned.jpg")
    _, _, labels = segment(page, tmp_path / name)
    assert labels.shape == frame.shape[:2]
    assert np.mean(labels == network.predict(frame[np.newaxis])[0]) >= 0.995


def test_a_class_can_be_hidden_and_what_is_shown_be_had(page, network, tmp_path):
    file = photo(tmp_path / "street.png", (96, 200))
    segment(page, file)
    frame = read_frame(file).pixels
    labels = network.predict(frame[np.newaxis])[0]
    hidden = int(np.bincount(labels.ravel()).argmax())
    label = network.classes[hidden].name
    rows = page.locator("#legend button").all_inner_texts()
    assert rows[0].split("\n")[0] == label
    page.get_by_role("button", name=label).click()
    assert page.locator("#legend [aria-pressed=false]").count() == 1
    name, _, overlay = downloaded(page, "Overlay")
    assert name == "street_overlay.png"
    expected = 0.45 * frame + 0.55 * network.palette[labels]
    expected[labels == hidden] = frame[labels == hidden]
    close = np.abs(overlay[..., :3] - expected).max(-1) <= 2
    assert np.mean(close) > 0.9  # A canvas rounds the places of pixels in its own way.
    page.get_by_role("button", name="Show all").click()
    assert page.locator("#legend [aria-pressed=false]").count() == 0


OPACITY = """[...document.getElementById("overlay").getContext("2d")
    .getImageData(0, 0, 128, 64).data].filter((_, i) => i % 4 == 3)"""


def test_colors_fade_where_the_network_is_unsure(page, network, tmp_path):
    file = photo(tmp_path / "street.png", (64, 128))
    segment(page, file)
    assert set(page.evaluate(OPACITY)) == {255}
    fade = page.get_by_role("checkbox", name="Fade where unsure")
    fade.check()
    sure = network.confidence(read_frame(file).pixels[np.newaxis])[0]
    opacity = np.reshape(page.evaluate(OPACITY), (64, 128)) / 255
    assert np.quantile(np.abs(opacity - sure), 0.99) <= 1.5 / 255
    fade.uncheck()


def test_the_class_below_the_pointer_and_the_cross(page, network, tmp_path):
    file = photo(tmp_path / "street.png", (64, 128))
    segment(page, file)
    frames = read_frame(file).pixels[np.newaxis]
    labels, sure = network.predict(frames)[0], network.confidence(frames)[0]
    picture = page.get_by_role("application", name="Labeled picture")
    box = picture.bounding_box()
    for x, y in ((0.1, 0.9), (0.5, 0.05)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        row, column = int(64 * y), int(128 * x)
        name = network.classes[labels[row, column]].name
        assert page.inner_text("#probe") == f"{name}, {round(100 * sure[row, column])} % sure"
    picture.focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ArrowLeft")
    name = network.classes[labels[int(64 * 0.8), int(128 * 0.48)]].name
    assert page.inner_text("#probe").startswith(f"{name}, ")


def test_a_video_plays(page, network, tmp_path):
    file, frame = tmp_path / "drive.webm", render(42, 96, 192).image
    with av.open(file, "w") as container:
        stream = container.add_stream("libvpx", 10, options={"crf": "4", "b": "4M"})
        stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    page.set_input_files("#file", file)
    page.get_by_text("frames a second").wait_for()
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_role("button", name="Play").is_visible()
    name, _, labels = downloaded(page, "Label map")
    assert name == "drive_labels.png"
    assert np.mean(labels == network.predict(frame[np.newaxis])[0]) > 0.9


def test_the_camera_goes_on_and_off(page):
    camera = page.get_by_role("button", name="Camera")
    camera.click()
    page.get_by_text("frames a second").wait_for()
    assert camera.get_attribute("aria-pressed") == "true"
    camera.click()
    page.get_by_text("The camera is off").wait_for()
    assert camera.get_attribute("aria-pressed") == "false"


def test_the_example_and_a_file_that_is_none(page, tmp_path):
    page.get_by_role("button", name="Example").click()
    page.get_by_text("example.jpg, 128 × 64").wait_for()
    for name, problem in (("bad.jpg", "as an image"), ("bad.mp4", "as a video")):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        page.set_input_files("#file", tmp_path / name)
        page.get_by_text(f"{name}: this browser cannot").wait_for()
        assert page.inner_text("#status").endswith(problem)
    page.get_by_role("button", name="Example").click()
    page.get_by_text("example.jpg, 128 × 64").wait_for()


ATTEMPT = """new Promise((resolve) => {
    addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
    fetch("https://example.com").then(() => resolve("left"), () => setTimeout(resolve, 2000));
})"""
BY_WORKER = f"""new Promise((resolve) => {{
    const script = new Blob([`{ATTEMPT}.then(postMessage)`]);
    const worker = new Worker(URL.createObjectURL(script));
    worker.onmessage = ({{ data }}) => resolve(data);
}})"""


@pytest.mark.parametrize("attempt", [ATTEMPT, BY_WORKER])
def test_frames_cannot_leave(page, attempt):
    """Neither from the page nor from a worker that is made as the network's is."""
    assert page.evaluate(attempt) == "connect-src"


def test_a_runtime_that_was_changed_is_refused(folder, browser):
    with served(folder) as address:
        page = browser.new_page()
        page.set_default_timeout(120_000)
        name = runtime.MODULE["name"]
        page.route(f"**/{name}", lambda route: route.fulfill(body="export default 1;"))
        page.goto(address)
        page.get_by_text(f"{name} cannot be had, or is not what it should be").wait_for()
        assert page.locator("body[data-ready]").count() == 0
        page.close()
