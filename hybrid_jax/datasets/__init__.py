"""Where examples come from: arrays with a primary and named sensitive labels."""
