"""Private split inference in JAX: half on the device, half in the cloud."""

__version__ = '0.1.0'
