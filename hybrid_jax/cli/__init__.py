"""The commands: each module is one sub-command of `hybrid-jax`."""
