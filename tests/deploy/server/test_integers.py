"""Requests of Triton's client with integers, which count grid steps."""

import numpy as np
import pytest
import tritonclient.http as triton

from tests.deploy.server import servers


@pytest.fixture
def client(server):
  with triton.InferenceServerClient(f'127.0.0.1:{server.port}') as client:
    yield client


@pytest.mark.parametrize('binary', [True, False])
@pytest.mark.parametrize('datatype', ['INT16', 'INT8'])
def test_integers_give_the_same_logits_as_floats(
  client, bundle, datatype, binary
):
  (vector,) = bundle.vectors(1, seed=11)
  steps = np.round(vector * 16).astype(datatype.lower())
  tensor = triton.InferInput('released', [1, 4], datatype)
  tensor.set_data_from_numpy(steps, binary_data=binary)
  logits = client.infer('cloud', [tensor]).as_numpy('logits')
  np.testing.assert_array_equal(logits, bundle.in_file(vector))
  assert np.abs(bundle.in_file(steps.astype(np.float32)) - logits).max() > 0.1


def test_the_metadata_lists_the_datatypes(client):
  metadata = client.get_model_metadata('cloud')
  assert metadata['inputs'][0]['datatype'] == 'FP32'
  assert metadata['parameters']['wire_datatypes'] == ['FP32', 'INT16', 'INT8']


def test_other_integers_get_400(client, server):
  tensor = triton.InferInput('released', [1, 4], 'INT32')
  tensor.set_data_from_numpy(np.ones((1, 4), np.int32))
  with pytest.raises(triton.InferenceServerException, match='INT16') as error:
    client.infer('cloud', [tensor])
  assert error.value.status() == '400'
  body = servers.request([0.5, 0, 0, 0], datatype='INT16')
  assert server.ask('POST', servers.INFER, body)[0] == 400
