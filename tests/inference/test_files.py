from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from asap_tf.core.errors import UsageError
from asap_tf.core.files import hidden
from asap_tf.data.images import read_image
from asap_tf.inference import files as prediction
from asap_tf.inference.files import predict_inputs
from asap_tf.inference.visualize import shares_legend
from support.frames_to_label import (
    FRAMES,
    HEIGHT,
    WIDTH,
    FakeSegmenter,
    read_labels,
    read_video,
    save_image,
    save_video,
)


def test_ids_of_an_image(tmp_path, out):
    source = save_image(tmp_path / "a.png")
    assert predict_inputs(FakeSegmenter(), [source], out, "ids") == [out / "a.png"]
    assert np.array_equal(read_labels(out / "a.png"), read_image(source)[..., 0] // 64)


def test_colors_and_overlay_of_an_image(tmp_path, out):
    source = save_image(tmp_path / "a.png")
    frame = read_image(source)
    colors = FakeSegmenter.palette[frame[..., 0] // 64]
    predict_inputs(FakeSegmenter(), [source], out, "color")
    assert np.array_equal(read_image(out / "a.png"), colors)
    predict_inputs(FakeSegmenter(), [source], out)
    difference = read_image(out / "a.png") - (frame / 2 + colors / 2)
    assert np.abs(difference).max() <= 0.5
    assert os.listdir(out) == ["a.png"]


def test_an_overlay_has_a_legend_below_it_that_is_as_high_in_every_frame(tmp_path, out):
    image, video = save_image(tmp_path / "a.png"), save_video(tmp_path / "drive.mp4")
    predict_inputs(FakeSegmenter(), [image, video], out, legend=True)
    predict_inputs(FakeSegmenter(), [image], out / "plain")
    below = read_image(out / "plain" / "a.png")
    shown = read_image(out / "a.png")
    np.testing.assert_array_equal(shown[:30], below)
    labels = read_image(image)[..., 0] // 64
    np.testing.assert_array_equal(shown[30:], shares_legend(labels, FakeSegmenter.classes))
    frames, _ = read_video(out / "drive.mp4")
    height, width, _ = frames[0].shape
    assert (len(frames), width) == (FRAMES, WIDTH) and height > HEIGHT + 12
    predict_inputs(FakeSegmenter(), [image], out, "color", legend=True)
    assert read_image(out / "a.png").shape == (30, 40, 3)


def test_a_folder_stands_for_the_images_and_videos_below_it(tmp_path, out, caplog):
    folder = tmp_path / "drive"
    (folder / "deeper").mkdir(parents=True)
    images = [save_image(folder / f"{name}.png", seed) for seed, name in enumerate("cab")]
    save_video(folder / "drive.mp4")
    save_image(folder / ".hidden.png")
    images.append(save_image(folder / "deeper" / "a.png", 3))
    (folder / "notes.txt").write_text("x")
    (folder / "photo").write_bytes(images[0].read_bytes())
    last = save_image(tmp_path / "0.png")
    written = predict_inputs(FakeSegmenter(), [folder, last], out, "ids")
    names = ("a.png", "b.png", "c.png", "deeper/a.png", "drive", "photo.png", "0.png")
    assert written == [out / name for name in names]
    for source in images:
        expected = read_image(source)[..., 0] // 64
        assert np.array_equal(read_labels(out / source.relative_to(folder)), expected)
    hidden_, other = caplog.messages
    assert "passed over one file or folder (hidden" in hidden_ and ".hidden.png" in hidden_
    assert "(neither images nor videos), first notes.txt" in other


def test_results_in_the_folder_of_the_frames_are_no_frames(tmp_path, caplog):
    save_image(tmp_path / "a.png")
    out = tmp_path / "predictions"
    for _ in range(2):
        assert predict_inputs(FakeSegmenter(), [tmp_path], out, "ids") == [out / "a.png"]
    assert "of the results), first predictions" in caplog.messages[0]


def test_frames_of_any_mode_are_labeled_upright_with_a_word_on_each_kind(tmp_path, out, caplog):
    gray = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    stack = np.dstack([gray] * 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gray).save(tmp_path / "gray.png")
    Image.fromarray(stack).save(tmp_path / "turned.png", exif=exif)
    for name in ("clear", "clear2"):
        alpha = np.full_like(gray, 255)
        alpha[:5] = 0
        Image.fromarray(np.dstack([stack, alpha])).save(tmp_path / f"{name}.png")
    names = ("clear", "clear2", "gray", "turned")
    sources = [tmp_path / f"{name}.png" for name in names]
    predict_inputs(FakeSegmenter(), sources, out, "ids")
    clear, _, plain, turned = (read_labels(out / f"{name}.png") for name in names)
    np.testing.assert_array_equal(plain, gray // 64)
    np.testing.assert_array_equal(turned, np.rot90(gray, -1) // 64)
    np.testing.assert_array_equal(clear[5:], gray[5:] // 64)
    assert not clear[:5].any()
    assert caplog.messages == [f"{sources[0]} (and 1 more): transparent; shown over black"]


def test_results_that_would_lie_in_each_other_are_refused(tmp_path, out):
    (tmp_path / "in" / "drive").mkdir(parents=True)
    save_image(tmp_path / "in" / "drive" / "a.png")
    save_video(tmp_path / "in" / "drive.mp4")
    with pytest.raises(UsageError, match=r"drive.mp4 would be written to .*drive, the folder of"):
        predict_inputs(FakeSegmenter(), [tmp_path / "in"], out, "ids")
    assert len(predict_inputs(FakeSegmenter(), [tmp_path / "in"], out, "color")) == 2
    save_image(tmp_path / "in" / "drive" / "a.jpg")
    with pytest.raises(UsageError, match=r"a.jpg and .*a.png would both be written to"):
        predict_inputs(FakeSegmenter(), [tmp_path / "in"], out)


def test_results_are_replaced_but_no_folder_is(tmp_path, out):
    image, video = save_image(tmp_path / "a.png"), save_video(tmp_path / "drive.mp4")
    predict_inputs(FakeSegmenter(), [image, video], out, "color")
    before = (out / "a.png").read_bytes()
    predict_inputs(FakeSegmenter(), [image, video], out, "overlay")
    assert (out / "a.png").read_bytes() != before
    predict_inputs(FakeSegmenter(), [video], out, "ids")
    with pytest.raises(UsageError, match="already exists"):
        predict_inputs(FakeSegmenter(), [video], out, "ids")


def test_formats_of_pictures(tmp_path, out):
    source = save_image(tmp_path / "a.png")
    for format, kind in (("jpg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")):
        (target,) = predict_inputs(FakeSegmenter(), [source], out, "color", format=format)
        with Image.open(target) as image:
            assert (target.suffix, image.format) == (f".{format}", kind)
    with pytest.raises(UsageError, match="`format` jpg: `mode` ids is written as png"):
        predict_inputs(FakeSegmenter(), [source], out, "ids", format="jpg")
    with pytest.raises(UsageError, match="`format` 'jpeg': did you mean 'jpg'"):
        predict_inputs(FakeSegmenter(), [source], out, format="jpeg")


class Doubtful(FakeSegmenter):
    """As sure of a pixel as it is green."""

    def confidence(self, frames: np.ndarray) -> np.ndarray:
        return frames[..., 1].astype(np.float32) / 255

    def predict(self, frames: np.ndarray, unknown_below: float = 0) -> np.ndarray:
        labels = super().predict(frames)
        return np.where(self.confidence(frames) < unknown_below, 255, labels).astype(np.uint8)


def test_confidence_and_what_is_unknown(tmp_path, out):
    image, video = save_image(tmp_path / "a.png"), save_video(tmp_path / "drive.mp4", noise=True)
    frame = read_image(image)
    predict_inputs(Doubtful(), [image, video], out, "confidence")
    np.testing.assert_array_equal(read_labels(out / "a.png"), frame[..., 1])
    first = read_labels(out / "drive" / "000000.png")
    np.testing.assert_array_equal(first, read_video(video)[0][0][..., 1])
    unknown = frame[..., 1] < 0.4 * 255
    predict_inputs(Doubtful(), [image], out, "ids", unknown_below=0.4)
    labels = np.where(unknown, 255, frame[..., 0] // 64).astype(np.uint8)
    np.testing.assert_array_equal(read_labels(out / "a.png"), labels)
    predict_inputs(Doubtful(), [image, video], out, legend=True, unknown_below=0.4)
    shown = read_image(out / "a.png")
    np.testing.assert_array_equal(shown[:30][unknown], frame[unknown])
    legend = shares_legend(labels, FakeSegmenter.classes, unknown=True)
    np.testing.assert_array_equal(shown[30:], legend)
    assert not np.array_equal(legend, shares_legend(labels, FakeSegmenter.classes))
    assert len(read_video(out / "drive.mp4")[0]) == FRAMES
    with pytest.raises(UsageError, match="`unknown_below`: is of labels"):
        predict_inputs(Doubtful(), [image], out, "confidence", unknown_below=0.4)


@pytest.mark.parametrize("length", [239, 247, 255])
def test_names_as_long_as_the_file_system_allows(tmp_path, out, length):
    image = save_image(tmp_path / f"{'x' * (length - 4)}.png")
    assert predict_inputs(FakeSegmenter(), [image], out) == [out / image.name]
    assert [file.name for file in out.iterdir()] == [image.name]


def test_what_a_killed_command_left_is_removed(tmp_path, out):
    image = save_image(tmp_path / "0041.png")
    out.mkdir(parents=True)
    leftover = hidden(out / image.name, 5071)
    leftover.touch()
    os.utime(leftover, (0, 0))
    predict_inputs(FakeSegmenter(), [image], out)
    assert [file.name for file in out.iterdir()] == [image.name]


def test_images_are_read_and_written_by_threads_of_their_own(tmp_path, out, monkeypatch):
    class Watching(FakeSegmenter):
        def predict(self, frames):
            seen.append(cv2.getNumThreads())
            return super().predict(frames)

    seen, before = [], cv2.getNumThreads()
    cv2.setNumThreads(3)
    monkeypatch.setattr(prediction, "available_cores", lambda: 2)
    predict_inputs(Watching(), [save_image(tmp_path / "a.png")], out)
    assert (seen, cv2.getNumThreads()) == ([1], 3)
    cv2.setNumThreads(before)


def test_an_unknown_mode(tmp_path, out):
    with pytest.raises(UsageError, match="did you mean 'color'"):
        predict_inputs(FakeSegmenter(), [save_image(tmp_path / "a.png")], out, "colour")
