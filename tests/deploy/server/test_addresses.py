"""Beyond loopback only behind a token or certificates."""

import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.server import addresses


@pytest.mark.parametrize(
  ('address', 'told'),
  [
    ({'host': '0.0.0.0'}, 'can be reached'),
    ({'host': '::'}, 'can be reached'),
    ({'host': ''}, 'can be reached'),
    ({'host': '192.0.2.1'}, 'can be reached'),
    ({'tls_cert': 'cert.pem'}, 'given together'),
    ({'client_ca': 'ca.pem'}, 'needs --tls_cert'),
    ({'host': '0.0.0.0', 'client_ca': 'ca.pem'}, 'needs --tls_cert'),
    ({'port': 70000}, '70000'),
  ],
)
def test_addresses_that_are_refused(address, told):
  with pytest.raises(errors.UserError, match=told):
    addresses.check(addresses.Address(**address))


@pytest.mark.parametrize(
  'address',
  [
    {},
    {'host': 'localhost'},
    {'host': '127.3.2.1'},
    {'host': '0.0.0.0', 'token_file': 'token'},
    {
      'host': '0.0.0.0',
      'tls_cert': 'c.pem',
      'tls_key': 'k.pem',
      'client_ca': 'ca.pem',
    },
  ],
)
def test_addresses_that_are_not(address):
  addresses.check(addresses.Address(**address))


@pytest.mark.parametrize('text', ['', 'short', 'two words of length', 'ä' * 20])
def test_tokens_that_are_refused(tmp_path, text):
  (tmp_path / 'token').write_text(text, encoding='utf-8')
  with pytest.raises(errors.UserError, match='token'):
    addresses.read_token(str(tmp_path / 'token'))


@pytest.mark.parametrize(
  ('address', 'clear'),
  [
    ({'token_file': 'token'}, False),
    ({'token_file': 'token', 'host': '0.0.0.0'}, True),
    (
      {
        'token_file': 'token',
        'host': '0.0.0.0',
        'tls_cert': 'c.pem',
        'tls_key': 'k.pem',
      },
      False,
    ),
  ],
)
def test_a_token_without_tls_is_warned_of(address, clear):
  assert addresses.is_token_in_clear(addresses.Address(**address)) is clear
