"""Drawn chests with known lesions: for training, measuring and the demonstration."""
