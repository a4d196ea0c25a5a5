"""TFDS data sets: builders, features, and reading of examples."""
