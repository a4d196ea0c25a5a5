"""Audits three noisy numbers of a patient: the Python example of the README."""

import numpy as np
from sklearn import datasets, decomposition, preprocessing

import hybrid_jax as hj

# 442 patients. The cloud should learn whether diabetes gets worse, and neither
# the sex of the patient nor the age.
data = datasets.load_diabetes(scaled=False)
age, sex = data.data[:, 0], data.data[:, 1]
measured = preprocessing.scale(data.data[:, 2:])  # Without both.
report = hj.audit(
  decomposition.PCA(3).fit_transform(measured),
  primary=data.target > 140,
  sensitive={'sex': sex, 'over 50': age > 50},
  noise_cov=np.eye(3),
  fast=True,
)
print(report)
