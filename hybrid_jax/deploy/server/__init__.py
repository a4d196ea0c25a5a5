"""HTTP server of the cloud half: the Open Inference Protocol v2."""
