"""The PyTorch side of `launch.bench`; runs in .venv-torch, without JAX."""
