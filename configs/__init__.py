"""The configurations that ship: `get_config(arg)` in each file."""
