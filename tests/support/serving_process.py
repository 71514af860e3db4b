"""A service in a process of its own, whose network takes 0.2 s a frame and none together.

Prints its address once it answers.
"""

from __future__ import annotations

from asap_tf.serving.server import serve
from support.serving import Held, held_segmenter


def main() -> None:
    network = Held(batch=1, seconds=0.2)
    serve(held_segmenter(network), "model", port=0, on_ready=lambda a: print(a, flush=True))
    print(len(network.calls) - 1, flush=True)


if __name__ == "__main__":
    main()
