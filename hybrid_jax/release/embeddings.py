"""Names of the two kinds of weights that every study has."""

SIMPLE, SIAMESE = 'simple', 'siamese'
