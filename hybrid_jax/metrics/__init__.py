"""Pure functions of predictions: utility, leakage, and their intervals."""
