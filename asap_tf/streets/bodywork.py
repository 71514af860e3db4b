"""Parts of vehicles: profiles extruded to a width, panels on sides and ends, wheels, lamps."""

from __future__ import annotations

import numpy as np

from asap_tf.streets.mesh import Color, Mesh, clockwise, disc
from asap_tf.streets.paint import hsv

Profile = list[tuple[float, float, float]]
"""z, y and half width of each corner, clockwise as seen from the vehicle's right."""

RUBBER: Color = (28, 28, 30)
STEEL: Color = (150, 152, 155)
PLATE: Color = (225, 225, 215)


def prism(mesh: Mesh, profile: Profile, colors: list[Color]) -> None:
    """Extrudes a profile to its width; `colors[i]` is for the face between corners i and i + 1."""
    for i, color in enumerate(colors):
        (z0, y0, w0), (z1, y1, w1) = profile[i], profile[(i + 1) % len(profile)]
        mesh.add([(-w0, y0, z0), (-w1, y1, z1), (w1, y1, z1), (w0, y0, z0)], color)


def side_panel(
    mesh: Mesh,
    outline: list[tuple[float, float]] | np.ndarray,
    x: float,
    color: Color,
    glow: float = 0.0,
    top_x: float | None = None,
) -> None:
    """Adds a polygon given by z and y to both sides, `x` from the middle, `top_x` at its top."""
    z, y = np.asarray(outline, float).T
    if not clockwise(z, y):
        z, y = z[::-1], y[::-1]
    low, high = y.min(), y.max()
    right = np.empty((len(z), 3))
    right[:, 0] = x if top_x is None else x + (top_x - x) * (y - low) / (high - low)
    right[:, 1], right[:, 2] = y, z
    mesh.add(right, color, glow=glow)
    mesh.add(right[::-1] * (-1.0, 1.0, 1.0), color, glow=glow)


def end_panel(
    mesh: Mesh,
    rect: tuple[float, float, float, float],
    z: float,
    color: Color,
    ahead: bool,
    glow: float = 0.0,
) -> None:
    """Adds an upright rectangle x0, y0, x1, y1 that faces ahead or back."""
    x0, y0, x1, y1 = rect
    points = [(x0, y1, z), (x1, y1, z), (x1, y0, z), (x0, y0, z)]
    mesh.add(points[::-1] if ahead else points, color, glow=glow)


def wheels(mesh: Mesh, positions: list[float], radius: float, x: float, hub: Color) -> None:
    """Adds a wheel to both sides at each place along the vehicle."""
    for z in positions:
        side_panel(mesh, disc((z, radius * 1.08), radius * 1.16, count=14), x, (14, 14, 16))
        side_panel(mesh, disc((z, radius), radius, count=14), x + 0.01, RUBBER)
        side_panel(mesh, disc((z, radius), radius * 0.6, count=10), x + 0.02, hub)
        side_panel(mesh, disc((z, radius), radius * 0.2, count=6), x + 0.03, RUBBER)


def lamps(mesh: Mesh, half: float, y: float, ends: tuple[float, float], lit: bool) -> None:
    """Adds headlights ahead and tail lights behind; `ends` are the z of rear and front."""
    back, front = ends
    white, red = (1.0 if lit else 0.2), (0.8 if lit else 0.0)
    for side in (-1, 1):
        x0, x1 = sorted((side * half * 0.58, side * half * 0.94))
        end_panel(mesh, (x0, y, x1, y + 0.17), front + 0.01, (236, 238, 225), True, white)
        end_panel(mesh, (x0, y + 0.08, x1, y + 0.28), back - 0.01, (190, 22, 20), False, red)


def glass_color(rng: np.random.Generator) -> Color:
    """The color of a dark window pane."""
    return hsv(rng.uniform(0.5, 0.65), rng.uniform(0.05, 0.35), rng.uniform(0.1, 0.42))


def mirrors(
    mesh: Mesh,
    x: tuple[float, float],
    y: tuple[float, float],
    z: float,
    color: Color,
    ahead: bool,
) -> None:
    """Adds one face of the outside mirrors, between two distances from the middle.

    What is seen from behind belongs before the body, which hides part of it; the rest after it.
    """
    for x0, x1 in (x, (-x[1], -x[0])):
        end_panel(mesh, (x0, y[0], x1, y[1]), z, color, ahead)
