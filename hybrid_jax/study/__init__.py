"""A study from data to report: its stages, in order, and what they share."""
