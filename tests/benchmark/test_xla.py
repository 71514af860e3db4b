from __future__ import annotations

import numpy as np

import asap_tf


def test_xla_gives_the_same_labels(small_model, source_folder):
    from asap_tf.benchmark.xla import XLANetwork
    from asap_tf.data.images import read_image

    segmenter = asap_tf.load(small_model)
    source = read_image(source_folder / "source.png")[np.newaxis]
    plain = [segmenter.network.labels(source, size) for size in ((64, 128), (96, 192))]
    compiled = XLANetwork(segmenter.network)
    assert compiled.runtime.endswith(", XLA")
    for expected in plain:
        labels = compiled.labels(source, expected.shape[1:])
        assert labels.shape == expected.shape and np.mean(labels == expected) > 0.999
