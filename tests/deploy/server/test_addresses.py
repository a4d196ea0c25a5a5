"""Other machines need a token or a certificate."""

import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.server import addresses


@pytest.mark.parametrize(
  ('address', 'message'),
  [
    ({'host': '0.0.0.0'}, 'other machines can reach'),
    ({'host': '::'}, 'other machines can reach'),
    ({'host': ''}, 'other machines can reach'),
    ({'host': '192.0.2.1'}, 'other machines can reach'),
    ({'tls_cert': 'cert.pem'}, 'need each other'),
    ({'client_ca': 'ca.pem'}, 'needs --tls_cert'),
    ({'host': '0.0.0.0', 'client_ca': 'ca.pem'}, 'needs --tls_cert'),
    ({'port': 70000}, '70000'),
  ],
)
def test_bad_addresses(address, message):
  with pytest.raises(errors.UserError, match=message):
    addresses.check(addresses.ServerAddress(**address))


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
def test_good_addresses(address):
  addresses.check(addresses.ServerAddress(**address))


@pytest.mark.parametrize('text', ['', 'short', 'two words of length', 'ä' * 20])
def test_bad_tokens(tmp_path, text):
  (tmp_path / 'token').write_text(text, encoding='utf-8')
  with pytest.raises(errors.UserError, match='token'):
    addresses.read_token(str(tmp_path / 'token'))


@pytest.mark.parametrize(
  ('address', 'in_clear'),
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
def test_a_token_without_tls_is_in_clear(address, in_clear):
  assert (
    addresses.is_token_in_clear(addresses.ServerAddress(**address)) is in_clear
  )
