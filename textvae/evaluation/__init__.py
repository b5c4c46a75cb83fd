"""Measuring a model: bounds on log p(x), what the code carries, and how texts come back."""
