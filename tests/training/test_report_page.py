from __future__ import annotations

import base64
import io
import re
from collections import Counter
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from asap_tf.core.errors import AsapError
from asap_tf.core.labels import LabelClass
from asap_tf.inference.metrics import Scores
from asap_tf.inference.visualize import colorize
from asap_tf.training.report import Example, write_report

NASTY = "<script>alert('x')</script>"
CLASSES = (
    LabelClass("road", (128, 64, 128), "flat", 7),
    LabelClass("sidewalk", (244, 35, 232), "flat", 8),
    LabelClass(NASTY, (70, 70, 70), "<i>things</i>", 11),
    LabelClass("train", (0, 80, 100), "vehicle", 31),
)
MATRIX = np.array([[60, 20, 20, 0], [10, 30, 0, 0], [0, 5, 45, 0], [0, 0, 0, 0]])
LOG = [
    {"step": 20, "loss": 2.0, "learning_rate": 0.01},
    {"step": 40, "loss": float("nan"), "learning_rate": 0.02},
    {"step": 60, "loss": 1.0, "learning_rate": 0.01, "val_miou": 0.25},
    {"step": 60, "loss": 1.5, "learning_rate": 0.01, "val_miou": 0.375},
]
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Tags with attributes, and text by the class of the nearest tag that has one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.cells: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if self.open and data.strip():
            self.cells.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self, tag: str) -> list[str]:
        return [data for name, data in self.cells if name == tag]


def example(height=90, width=160, seed=0, caption="Best: aachen") -> Example:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    truth = rng.choice([0, 1, 2, 255], (height, width)).astype(np.uint8)
    prediction = rng.integers(0, 3, (height, width), dtype=np.uint8)
    return Example(caption, frame, truth, prediction, 0.625)


def report(path, **changes) -> str:
    evaluation = SimpleNamespace(matrix=MATRIX, scores=Scores.from_confusion(MATRIX, CLASSES))
    given = {
        "title": "Streets",
        "log": LOG,
        "evaluation": evaluation,
        "recipe_text": "steps: 60",
        "classes": CLASSES,
        "examples": [example()],
        "extra": {"Steps": 4600},
    }
    write_report(path / "report.html", **(given | changes))
    return (path / "report.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_else(tmp_path):
    text = report(tmp_path)
    page = Page(text)
    assert page.open == []
    assert Counter(name for name, _ in page.tags)["script"] == 0
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    sources = [a[k] for _, a in page.tags for k in ("src", "href", "xlink:href") if k in a]
    inside = [s for s in sources if s.startswith("#")]
    assert {s[1:] for s in inside} <= {a["id"] for _, a in page.tags if "id" in a}
    assert [s[:11] for s in sources if s not in inside] == ["data:image/"] * 4
    assert "prefers-color-scheme: dark" in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_whatever_comes_from_outside_is_escaped(tmp_path):
    text = report(
        tmp_path,
        title=NASTY,
        recipe_text=NASTY,
        extra={NASTY: NASTY},
        examples=[example(caption=f'{NASTY}" onload="x')],
    )
    page = Page(text)
    assert "<script" not in text and "<i>things" not in text
    assert page.text("h1") == page.text("title")[:1] == page.text("pre") == [NASTY]
    assert NASTY in page.text("dt") and NASTY in page.text("dd")
    assert NASTY in page.text("li") and "<i>things</i>" in page.text("th")
    assert not any("onload" in attrs for _, attrs in page.tags)


def test_headline_figures(tmp_path):
    page = Page(report(tmp_path, extra={"Steps": 4600, "Training time": "39 min"}))
    tiles = dict(zip(page.text("dt"), page.text("dd"), strict=True))
    iou = [60 / 110, 30 / 65, 45 / 70]
    assert tiles["mIoU"] == f"{100 * np.mean(iou):.1f} %"
    assert tiles["Pixel accuracy"] == f"{100 * 135 / 190:.1f} %"
    assert tiles["Category mIoU"] == f"{100 * np.mean([120 / 145, 45 / 70]):.1f} %"
    assert (tiles["Steps"], tiles["Training time"]) == ("4,600", "39 min")


def test_class_bars_are_sorted_and_as_long_as_their_iou(tmp_path):
    text = report(tmp_path)
    bars = re.findall(r'<i style="width:([\d.]+)%;background:rgb\(([\d ]+)\)"', text)
    assert bars[:3] == [
        (f"{100 * 45 / 70:.1f}", "70 70 70"),
        (f"{100 * 60 / 110:.1f}", "128 64 128"),
        (f"{100 * 30 / 65:.1f}", "244 35 232"),
    ]
    # Two categories with pixels follow; the absent class and category have a dash and no bar.
    assert len(bars) == 5
    assert Page(text).text("td").count("–") == 3


def test_confusions_are_shares_of_their_row(tmp_path):
    page = Page(report(tmp_path))
    tips = [a["title"] for a in page.all("td") if "title" in a]
    assert len(tips) == 16
    for true, found in np.ndindex(4, 4):
        share = MATRIX[true, found] / max(1, MATRIX[true].sum())
        expected = f"{CLASSES[true].name} taken for {CLASSES[found].name}: {share:.2%}"
        assert tips[4 * true + found] == expected


def test_of_many_classes_the_commonest_are_in_the_confusions(tmp_path):
    classes = [LabelClass(f"c{i}", (i, 0, 0), f"k{i}", i) for i in range(60)]
    matrix = np.diag(np.arange(60) % 50)
    evaluation = SimpleNamespace(matrix=matrix, scores=Scores.from_confusion(matrix, classes))
    text = report(tmp_path, classes=classes, evaluation=evaluation)
    tips = re.findall(r"title=\"(c\d+) taken for \1: 100.00%", text)
    assert tips == [f"c{i}" for i in range(10, 50)]
    assert "the 40 commonest classes" in text


def test_curves_take_the_last_line_of_a_step_and_no_nan(tmp_path):
    text = report(tmp_path)
    assert text.count("<svg") == 3
    assert "last 1.5" in text and "best 37.5 %" in text and "highest 0.02" in text
    assert not any("nan" in path["d"] for path in Page(text).all("path"))


def test_parts_without_data_are_left_out(tmp_path):
    text = report(tmp_path, log=[], recipe_text="", examples=[], extra={})
    page = Page(text)
    assert page.text("h2") == ["Classes", "Confusions"]
    assert not page.all("img") and not page.all("details")


def test_pictures_show_what_they_say(tmp_path):
    shown = example(height=400, width=800, seed=3)
    page = Page(report(tmp_path, examples=[shown]))
    pictures = {}
    for attrs in page.all("img"):
        data = attrs["src"].split("base64,")[1]
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        assert picture.size == (640, 320) == (int(attrs["width"]), int(attrs["height"]))
        pictures[attrs["alt"].split(":")[0]] = np.asarray(picture)
    assert set(pictures) == {"Frame", "Errors", "Truth", "Prediction"}
    rows, columns = (np.arange(320) * 400 + 200) // 320, (np.arange(640) * 800 + 400) // 640
    palette = np.array([c.color for c in CLASSES], np.uint8)
    for name, labels in (("Truth", shown.truth), ("Prediction", shown.prediction)):
        expected = colorize(labels[rows][:, columns], palette)
        assert (pictures[name] == expected).all(axis=-1).mean() > 0.99
    assert "62.5 % mIoU" in page.text("b")


def test_three_large_noisy_frames_stay_under_five_megabytes(tmp_path):
    report(tmp_path, examples=[example(1024, 2048, seed) for seed in range(3)])
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_a_report_that_cannot_be_written(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(AsapError, match=r"report\.html: cannot be written"):
        report(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(AsapError, match="No such file"):
        report(tmp_path / "missing")
