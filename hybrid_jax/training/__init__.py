"""Training steps, the loop, its batches and checkpoints, several processes."""
