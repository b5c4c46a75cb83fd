"""Where the code enters the LSTM decoder."""

import pytest
import torch

from tests.toys import shaken
from textvae.decoders.lstm import LSTMDecoder
from textvae.errors import RequestError


def test_skips_add_what_z_says_to_every_state_that_leaves_and_to_none_that_recurs():
    both, skips = (LSTMDecoder(20, 3, 6, 5, z_to=z_to).eval() for z_to in ("both", "all"))
    shaken(skips)
    both.load_state_dict({k: t for k, t in skips.state_dict().items() if k != "skip.weight"})
    z, x = torch.randn(4, 3), torch.randint(1, 20, (4, 7))
    expected = both(z, x) + (z @ skips.skip.weight.T)[:, None]
    torch.testing.assert_close(skips(z, x), expected)
    state, other = both.start(z), skips.start(z)
    for tokens in x.T:
        _, state = both.step(tokens, state)
        _, other = skips.step(tokens, other)
    torch.testing.assert_close(other, state)


@pytest.mark.parametrize("z_to", ["state", "input", "both", "all"])
@pytest.mark.parametrize("cell", ["lstm", "mogrifier"])
def test_a_scale_of_z_is_what_a_smaller_z_does(z_to, cell):
    plain, scaled = (shaken(LSTMDecoder(20, 3, 6, 5, z_to=z_to, cell=cell, z_scale=s).eval()) for s in (1.0, 0.1))
    scaled.load_state_dict(plain.state_dict())
    z, x = torch.randn(4, 3), torch.randint(1, 20, (4, 7))
    torch.testing.assert_close(scaled(z, x), plain(0.1 * z, x))
    assert not torch.allclose(scaled(z, x), plain(z, x), atol=1e-3)
    with torch.no_grad():
        written, _ = scaled.stepper(4)(x[:, 0], scaled.start(z))
    torch.testing.assert_close(written, plain(0.1 * z, x)[:, 0])


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_a_scale_that_leaves_nothing_of_z_is_refused(scale):
    with pytest.raises(RequestError, match="z_scale, a number over 0"):
        LSTMDecoder(20, 3, z_scale=scale)
