"""The stages of a study; each reads and writes the work directory."""
