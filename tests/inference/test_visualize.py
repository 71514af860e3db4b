from __future__ import annotations

import numpy as np
import pytest

from asap_tf.core.labels import LabelClass
from asap_tf.inference.visualize import colorize, contact_sheet, error_map, overlay, shares_legend

PALETTE = np.array([(128, 64, 128), (0, 130, 180), (250, 170, 30)], np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).choice([0, 1, 2, 255], (7, 11)).astype(np.uint8)


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (7, 11, 3), dtype=np.uint8)


def test_colorize_looks_every_pixel_up_and_leaves_unknown_ids_black(labels):
    labels[0, 0] = 3
    colors = colorize(labels, PALETTE)
    assert colors.shape == (7, 11, 3) and colors.dtype == np.uint8
    for row, column in np.ndindex(labels.shape):
        label = labels[row, column]
        expected = PALETTE[label] if label < 3 else (0, 0, 0)
        assert tuple(colors[row, column]) == tuple(expected)


def test_colorize_takes_batches(labels):
    batch = np.stack([labels, labels[::-1]])
    assert np.array_equal(colorize(batch, PALETTE)[1], colorize(labels, PALETTE)[::-1])


def test_colorize_takes_views(labels):
    colors = colorize(labels, PALETTE)
    assert np.array_equal(colorize(labels.T, PALETTE), colors.transpose(1, 0, 2))
    assert np.array_equal(colorize(labels[::-1, ::2], PALETTE), colors[::-1, ::2])


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_overlay_blends_classes_and_keeps_ignored_pixels(frame, labels, alpha):
    before = frame.copy()
    blended = overlay(frame, labels, PALETTE, alpha).astype(float)
    expected = (1 - alpha) * frame + alpha * colorize(labels, PALETTE).astype(float)
    known = labels != 255
    assert np.abs(blended - expected)[known].max() <= 0.51
    assert np.array_equal(blended[~known], frame[~known])
    assert np.array_equal(frame, before)


def test_error_map_is_red_exactly_where_a_labeled_pixel_is_wrong(frame, labels):
    prediction = np.random.default_rng(2).integers(0, 3, labels.shape, dtype=np.uint8)
    shown = error_map(frame, labels, prediction).astype(int)
    red = shown[..., 0] - shown[..., 1] > 100
    assert np.array_equal(red, (labels != 255) & (labels != prediction))
    gray = shown[~red]
    assert np.array_equal(gray[:, 0], gray[:, 1]) and np.array_equal(gray[:, 1], gray[:, 2])
    # Dark and pale do not overlap, whatever the frame: ignored pixels can be told from right ones.
    assert shown[labels == 255].max() < shown[(labels != 255) & ~red].min()


def solid(height: int, width: int, color: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def test_contact_sheet_scales_pictures_into_a_grid():
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    rows = [[solid(30, 60, red), solid(400, 200, green)], [solid(100, 200, blue)]]
    sheet = contact_sheet(rows, width=800)
    assert sheet.shape[1] == 800 and sheet.dtype == np.uint8

    def box(color):
        places = np.argwhere((sheet == color).all(axis=-1))
        (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0) + 1
        assert len(places) == (bottom - top) * (right - left)
        return top, left, bottom - top, right - left

    first, second, third = box(red), box(green), box(blue)
    assert first[3] == second[3] == third[3] and first[3] > 350
    assert first[2] == pytest.approx(first[3] / 2, abs=1)
    assert second[2] == pytest.approx(second[3] * 2, abs=1)
    assert first[0] == second[0] and first[1] + first[3] < second[1]
    assert third[0] > second[0] + second[2] and third[1] == first[1]


def test_contact_sheet_writes_captions_and_a_legend_that_wraps():
    picture = solid(50, 100, (10, 20, 30))
    classes = [LabelClass(f"class number {i}", (200, 10 * i, 0), "x", i) for i in range(20)]
    plain = contact_sheet([[picture]], width=300)
    named = contact_sheet([[picture]], ["aachen_000001"], classes, width=300)
    assert named.shape[0] > plain.shape[0] + 20 * 10
    ink = (named.max(axis=-1) < 100).any(axis=1)
    assert ink[:30].any(), "no caption above the picture"
    for item in classes:
        assert (named == item.color).all(axis=-1).sum() > 100, item.name


def test_contact_sheet_refuses_what_it_cannot_lay_out():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
    with pytest.raises(ValueError, match="1 captions for 2 rows"):
        contact_sheet([[solid(2, 2, (0, 0, 0))]] * 2, ["one"])


def test_the_legend_names_what_occurs():
    colors = [(200, 10 * i, 0) for i in range(12)]
    classes = [LabelClass(f"class number {i}", color, "x", i) for i, color in enumerate(colors)]
    labels = np.zeros((30, 640), np.uint8)
    labels[:10], labels[29, 600:] = 7, 255
    band = shares_legend(labels, classes)
    assert band.shape[1:] == (640, 3) and band.dtype == np.uint8
    for i, color in enumerate(colors):
        swatch = (band == color).all(axis=-1).sum()
        assert (swatch > 100) == (i in (0, 7)), i
    other = shares_legend(labels * 0, classes)
    assert not np.array_equal(band, other), "another share, another text"
    every = np.arange(640).astype(np.uint8)[None] % 12
    same = [shares_legend(x, classes, same_height=True) for x in (labels, labels * 0, every)]
    assert {x.shape for x in same} == {same[0].shape} and len(same[0]) > len(band)
