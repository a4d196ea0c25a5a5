"""Data sets by TFDS: finding, preparing and reading them."""
