"""How published files become prepared data sets, and features become arrays.

A sub-package, so that nothing in it is taken for a data set by its name.
"""
