"""Training: a recipe and a dataset in, a run folder with a scored model out."""
