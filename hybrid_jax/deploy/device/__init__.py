"""The device: sensor rows in, the cloud's answers out, one noisy vector each.

Needs NumPy and `ai_edge_litert` alone. Begin with `client.Client`.
"""
