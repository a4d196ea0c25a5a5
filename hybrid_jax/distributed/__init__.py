"""What the processes of a run over several hosts owe to each other."""
