"""A model at work: scores, and labels of images, videos and streams."""
