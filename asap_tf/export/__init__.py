"""Trained networks as files for other runtimes, each proven equal to the Keras model."""
