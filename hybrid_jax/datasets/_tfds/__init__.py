"""What data sets share: published files found, read and made arrays and folds.

A sub-package, so that nothing in it is taken for a data set by its name.
"""
