"""What the deployed graph does differently from the trained one, to the same result."""
