"""The commands, a module each (`python -m launch.NAME`), and their helpers."""
