"""People whom the network never saw: folds of people, audited one by one.

The edge is trained on the other people. A stranger is in no training, no
validation, no normalization, no PCA, no prototype and no choice. The strangers'
windows keep the folds of the data set: those of its training fold are labelled
releases that an attacker learns from, those of validation are labelled releases
that it chooses with, and those of the test fold are later releases, on which it
is scored.
"""
