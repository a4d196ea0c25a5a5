"""The suites of `launch.bench`, one file each, and what they share."""
