"""Where examples come from: arrays with primary and sensitive labels."""
