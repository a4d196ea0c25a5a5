"""The two halves as TFLite files, their manifest, and what they cost."""
