"""Who rebuilds the input: each file one attack on released vectors."""
