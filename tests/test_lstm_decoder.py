"""Where the code enters the LSTM decoder."""

import torch

from tests.toys import shaken
from textvae.decoders.lstm import LSTMDecoder


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
