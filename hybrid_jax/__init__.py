"""Private split inference in JAX: half on the device, half in the cloud.

    import hybrid_jax as hj

    report = hj.audit(vectors, primary=exercise, sensitive={'person': person})
    bundle = hj.Bundle('runs/watch/bundle')

Both are imported when they are first used, so that this import takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from hybrid_jax.deploy.formats.bundle_halves import Bundle
  from hybrid_jax.errors import UserError
  from hybrid_jax.report.audit_report import AuditReport, AuditRow
  from hybrid_jax.study.audit_arrays import audit

__all__ = ['AuditReport', 'AuditRow', 'Bundle', 'UserError', 'audit']
__version__ = '0.1.0'

# Public names to their modules; PEP 562.
_MODULES = {
  'AuditReport': 'hybrid_jax.report.audit_report',
  'AuditRow': 'hybrid_jax.report.audit_report',
  'Bundle': 'hybrid_jax.deploy.formats.bundle_halves',
  'UserError': 'hybrid_jax.errors',
  'audit': 'hybrid_jax.study.audit_arrays',
}


def __getattr__(name: str) -> Any:
  if name not in _MODULES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  value = getattr(importlib.import_module(_MODULES[name]), name)
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})
