"""What is measured of a release; each measure is one file."""
