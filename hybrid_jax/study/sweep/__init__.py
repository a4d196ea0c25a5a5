"""Many trainings of one study as one program, and the front over them all."""
