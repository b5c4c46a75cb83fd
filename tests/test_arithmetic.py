"""Sums of codes."""

import torch

from textvae.latent.arithmetic import analogy


def test_what_a_and_b_share_falls_out():
    a, b, c = torch.randn(3, 5)
    torch.testing.assert_close(analogy(a, b, c) - c, b - a)
    torch.testing.assert_close(analogy(a, a, c), c)
    torch.testing.assert_close(analogy(a, b, a), b)
