"""What a model is on disk: `.keras` files, metadata, weights from elsewhere, presets."""
