"""Streets: a procedural street renderer with the labels of Cityscapes.

Each seed gives a street of its own: its course, junctions and cross-section, what it is built and
planted with, who uses it, and the light, weather and lens it is seen in. A pinhole camera sees it;
what is near is painted over what is far. The 19 trained classes are told apart by shape, texture
and place, not by color, which is drawn anew for every object.
"""

from asap_tf.streets.rendering import Frame, render
from asap_tf.streets.writer import write_streets

__all__ = ["Frame", "render", "write_streets"]
