"""Networks that can be split into an edge half and a cloud half."""
