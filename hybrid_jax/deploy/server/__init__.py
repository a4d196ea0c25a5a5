"""The cloud half as a server: the Open Inference Protocol v2 over HTTP."""
