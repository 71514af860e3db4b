"""Label maps as polygons, whose corners are the centers of pixels within them."""

from __future__ import annotations

import cv2
import numpy as np

from asap_tf.core.labels import IGNORE_LABEL

LEAST = 4
"""Pixels of the smallest region that is kept; smaller ones become part of what is beside them."""

_TOLERANCE = 0.5
"""Pixels; 0.5 changes 0.3 % of the pixels of CamVid's masks, 1 would change 0.7 %."""

_UNDERLAP = 2


def polygons(labels: np.ndarray) -> list[tuple[int, list[np.ndarray]]]:
    """The regions of each class, simplified to within a pixel.

    Args:
        labels: Train ids, uint8 `(H, W)`; what is 255 has no polygon.

    Returns:
        Train id and rings of each region, by train id: its outline, then its holes, int32 `(N, 2)`
        of `(x, y)`, N at least 3. All rings run through pixels of the region, so that
        `cv2.fillPoly` of them paints it.
    """
    labels, found = _without_specks(labels), []
    for value in np.unique(labels[labels != IGNORE_LABEL]).tolist():
        mask = (labels == value).view(np.uint8)
        rings, links = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        following, _, hole, parent = links.reshape(-1, 4).T.tolist()
        for index, ring in enumerate(rings):
            if parent[index] < 0:
                region, inner = [_simplified(ring)], hole[index]
                while inner >= 0:
                    region.append(_simplified(rings[inner]))
                    inner = following[inner]
                found.append((value, region))
    return found


def layers(labels: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Outlines that give the label map, to within a pixel, when they are painted in their order.

    A region's holes are the regions that are painted later, inside it. Each reaches a little below
    those that come later, so that no pixel between two simplified outlines stays bare.

    Args:
        labels: Train ids, uint8 `(H, W)`; 255 is painted too.

    Returns:
        Train id and outline of each region, int32 `(N, 2)` of `(x, y)`, N at least 3.
    """
    labels = _without_specks(labels)
    ids = np.empty(labels.shape, np.int32)
    boxes: list[tuple[int, ...]] = []
    values: list[int] = []
    for value in np.unique(labels).tolist():
        mask = labels == value
        found, stats = _components(mask)
        ids[mask] = found[mask] + (len(boxes) - 1)
        boxes += stats[1:, : cv2.CC_STAT_AREA].tolist()
        values += [value] * (len(stats) - 1)
    # What lies in a hole of a region has a smaller box than the region.
    order = sorted(range(len(boxes)), key=lambda i: -boxes[i][2] * boxes[i][3])
    ranks = np.argsort(order).astype(np.int32)[ids]
    around, painted = np.ones((3, 3), np.uint8), []
    for rank, index in enumerate(order):
        left, top, width, height = boxes[index]
        x, y = max(0, left - _UNDERLAP), max(0, top - _UNDERLAP)
        near = ranks[y : top + height + _UNDERLAP, x : left + width + _UNDERLAP]
        part, free = (near == rank).view(np.uint8), (near >= rank).view(np.uint8)
        for _ in range(_UNDERLAP):
            part = np.minimum(cv2.dilate(part, around), free)
        (ring,), _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x, y))
        painted.append((values[index], _simplified(ring)))
    return painted


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers from 1 on of the regions of a bool mask, and OpenCV's statistics of them.

    Pixels that touch at corners alone are apart: else two regions could cross each other.
    """
    _, found, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    return found, stats


def _without_specks(labels: np.ndarray) -> np.ndarray:
    """Labels whose smallest regions have those of the nearest pixels beyond them."""
    specks = np.zeros(labels.shape, bool)
    for value in np.unique(labels).tolist():
        mask = labels == value
        found, stats = _components(mask)
        specks |= mask & (stats[:, cv2.CC_STAT_AREA] < LEAST)[found]
    if not specks.any():
        return labels
    if specks.all():
        return np.full_like(labels, np.bincount(labels.ravel()).argmax())
    _, nearest = cv2.distanceTransformWithLabels(
        specks.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.empty(nearest.max() + 1, np.uint8)
    values[nearest[~specks]] = labels[~specks]
    return values[nearest]


def _simplified(ring: np.ndarray) -> np.ndarray:
    corners = cv2.approxPolyDP(ring, _TOLERANCE, closed=True).reshape(-1, 2)
    # A line of pixels has two corners, which no reader takes for a polygon.
    return corners if len(corners) > 2 else np.resize(corners, (3, 2))
