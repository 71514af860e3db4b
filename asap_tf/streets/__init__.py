"""Streets: a procedural street renderer with the labels of Cityscapes.

Each seed determines a street: its course, junctions and cross-section, its buildings and plants,
its traffic and people, and the light, weather and lens. A pinhole camera sees it; near objects are
painted over far ones. The 19 trained classes differ in shape, texture and place, not in color,
which is random for every object.
"""

from asap_tf.streets.rendering import Frame, render
from asap_tf.streets.writer import write_streets

__all__ = ["Frame", "render", "write_streets"]
