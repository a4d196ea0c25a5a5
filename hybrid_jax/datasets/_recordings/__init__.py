"""Files of recordings: readers shared by several data sets."""
