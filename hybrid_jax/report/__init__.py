"""Tables, plots, and one self-contained page."""
