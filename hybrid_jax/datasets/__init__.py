"""Data sets: examples with primary and sensitive labels, and their folds."""
