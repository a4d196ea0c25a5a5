"""MotionSense: its published files, its TFDS builder, and its labels."""
