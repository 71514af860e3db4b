"""Inputs and outputs of `predict_inputs` that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from asap_tf.core.errors import AsapError, UsageError
from asap_tf.data.frames import frame_size
from asap_tf.inference import files as prediction
from asap_tf.inference.files import predict_inputs
from support.frames_to_label import FakeSegmenter, save_image, save_video


def bad_inputs(case: str, folder: Path) -> tuple[list[Path], str]:
    """Inputs of which the last is bad, and what the error must say."""
    good = save_image(folder / "good.png")
    bad = folder / "bad.png"
    if case == "missing":
        return [good, bad], "bad.png: no such file"
    if case == "no image":
        bad.write_text("<html>")
        return [good, bad], "bad.png: not an image"
    if case == "other file":
        (folder / "bad.txt").write_text("x")
        return [good, folder / "bad.txt"], "bad.txt: neither an image nor a video"
    if case == "empty folder":
        (folder / "bad").mkdir()
        return [good, folder / "bad"], "bad: no images or videos"
    if case == "same name":
        (folder / "other").mkdir()
        return [good, save_image(folder / "other" / "good.png")], "would both be written"
    if case == "twice":
        return [good, good], "would both be written"
    if case == "no input":
        return [], "no input"
    if case == "video without frames":
        video = save_video(folder / "bad.mp4", noise=True)
        data = video.read_bytes()
        start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
        video.write_bytes(data[:start] + bytes(end - start) + data[end:])
        return [good, video], "bad.mp4: a video without a single readable frame"
    content = {"junk video": b"nonsense" * 99, "empty video": b""}[case]
    (folder / "bad.mp4").write_bytes(content)
    return [good, folder / "bad.mp4"], "bad.mp4: not a readable video"


@pytest.mark.parametrize(
    "case",
    [
        "missing",
        "no image",
        "other file",
        "empty folder",
        "same name",
        "twice",
        "no input",
        "junk video",
        "empty video",
        "video without frames",
    ],
)
def test_a_bad_input_is_named_before_any_inference(tmp_path, out, case):
    inputs, expected = bad_inputs(case, tmp_path)
    segmenter = FakeSegmenter()
    with pytest.raises(AsapError) as error:
        predict_inputs(segmenter, inputs, out)
    assert expected in str(error.value) and "\n" not in str(error.value)
    assert segmenter.frames == 0 and not out.exists()


def test_an_image_that_is_broken_further_down_stops_nothing_and_is_told_at_the_end(tmp_path, out):
    good = [save_image(tmp_path / f"{i}.png", i) for i in range(4)]
    bad = tmp_path / "bad.png"
    bad.write_bytes(good[0].read_bytes()[:200])
    with pytest.raises(AsapError) as error:
        predict_inputs(FakeSegmenter(), [good[0], bad, *good[1:]], out, "ids")
    text = str(error.value)
    assert text.startswith(f"{bad}: broken (") and "\n" not in text
    assert text.endswith(f"; the other 4 are labeled, in {out}")
    assert sorted(path.name for path in out.iterdir()) == [f"{i}.png" for i in range(4)]
    worse = tmp_path / "worse.png"
    worse.write_bytes(bad.read_bytes())
    with pytest.raises(AsapError, match=r"^2 of 3 inputs are damaged, .*; the other 1 are labeled"):
        predict_inputs(FakeSegmenter(), [good[0], bad, worse], out, "ids")
    with pytest.raises(AsapError, match=r"broken \(.*\); copy or download it again$"):
        predict_inputs(FakeSegmenter(), [bad], out, "ids")


def test_the_first_bad_file_of_many_is_reported_at_once(tmp_path, out, monkeypatch):
    (tmp_path / "frames").mkdir()
    for i in range(1000):
        (tmp_path / "frames" / f"{i:04d}.png").touch()
    tried = []

    def look(path):
        tried.append(path)
        return frame_size(path)

    monkeypatch.setattr(prediction, "frame_size", look)
    with pytest.raises(AsapError, match=r"0000.png: an empty file"):
        predict_inputs(FakeSegmenter(), [tmp_path / "frames"], out)
    assert len(tried) < 100


def test_damaged_inputs_are_skipped_and_listed(tmp_path, out, caplog):
    whole = [save_image(tmp_path / "a.png"), save_video(tmp_path / "b.mp4")]
    text, junk = tmp_path / "c.png", tmp_path / "d.avi"
    text.write_text("no image")
    junk.write_bytes(b"nonsense" * 99)
    (tmp_path / "e.mp4").write_bytes(whole[1].read_bytes()[:100])
    inputs = sorted(path for path in tmp_path.iterdir() if path.is_file())
    written = predict_inputs(FakeSegmenter(), inputs, out, skip_bad=True)
    assert written == [out / f"{path.stem}{path.suffix}" for path in whole]
    assert {path.name for path in out.iterdir()} == {"a.png", "b.mp4"}
    listed = sorted(message.split(": ")[1] for message in caplog.messages)
    assert listed == [str(tmp_path / name) for name in ("c.png", "d.avi", "e.mp4")]

    with pytest.raises(AsapError, match="all of the inputs are damaged"):
        predict_inputs(FakeSegmenter(), [text], out, skip_bad=True)


def test_an_input_that_vanishes_after_the_check_is_skipped(tmp_path, out, caplog):
    first, second = save_image(tmp_path / "a.png"), save_image(tmp_path / "b.png")
    prepare = prediction.prepare
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "prepare", lambda out: (prepare(out), second.unlink()))
        assert predict_inputs(FakeSegmenter(), [first, second], out, skip_bad=True) == [
            out / "a.png"
        ]
    assert caplog.messages == [f"skipped: {second}: no such file"]


def test_a_bad_output_is_named_before_any_inference(tmp_path, monkeypatch):
    source = save_image(tmp_path / "a.png")
    segmenter = FakeSegmenter()

    def refused(out: Path) -> str:
        with pytest.raises(UsageError) as error:
            predict_inputs(segmenter, [source], out)
        assert segmenter.frames == 0 and "\n" not in str(error.value)
        return str(error.value)

    assert "a.png: is a file" in refused(source)
    assert "cannot be written to (Not a directory)" in refused(source / "out")
    assert "a.png: is itself an input" in refused(tmp_path)
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    assert "already exists" in refused(tmp_path / "out")

    def read_only(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(prediction.tempfile, "TemporaryFile", read_only)
    assert "cannot be written to (Read-only file system)" in refused(tmp_path / "new")
