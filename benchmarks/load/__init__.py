"""Clients that measure a server of the cloud half, and try it."""
