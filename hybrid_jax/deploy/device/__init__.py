"""A client for devices: sensor rows in, the cloud's answers out.

It sends one noisy vector for each window. It needs only NumPy and
`ai_edge_litert`. Start with `client.Client`.
"""
