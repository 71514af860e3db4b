"""Inference: scores of a model, and its labels of images, videos and streams."""
