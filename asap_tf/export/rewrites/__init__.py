"""Rewrites: what a deployed graph does differently from the trained one, to the same result.

A rewrite finds layers of a trained model and gives a replacement for each, by the layer's name,
knowing the replacements made by the rewrites before it; `asap_tf.export.graph` puts them into a
copy. All but `labels.logits_of_stride` are exact but for the rounding of float32. They serve any
functional model whose layers are called once each; what a rewrite does not know it leaves alone.

A rewrite stays only as long as it gains something. Its docstring says what: unless said otherwise
ASAP with ResNet18 at 512 x 1024, batch 1, two threads, as in docs/performance.md. All together:
LiteRT int8 30.0 ms instead of 40.1, OpenVINO int8 27.6 instead of 30.6, ONNX Runtime fp32 95.4
instead of 105.7.
"""
