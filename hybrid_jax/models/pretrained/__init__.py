"""Published weights, read from the files in which they are handed around."""
