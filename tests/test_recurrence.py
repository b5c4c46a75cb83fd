"""The LSTM of a bf16 training step and the Mogrifier: values and gradients beside torch's own."""

import functools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.toys import NEEDS_BF16
from textvae import recurrence
from textvae.recurrence import _LSTM, Mogrifier


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(recurrence, "WIDE", 16)


def both(lstm, x, ends, run):
    """Outputs and the gradients of everything, for a loss that looks at all that comes out."""
    leaves = [t.detach().clone().requires_grad_() for t in (x, *ends)]
    lstm.zero_grad()
    out, (h, c) = run(leaves[0], (leaves[1], leaves[2]))
    loss = (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum() + (h * 0.3).sum() + (c.sin()).sum()
    loss.backward()
    return [out, h, c, *(t.grad for t in leaves), *(p.grad.clone() for p in lstm.parameters())]


def test_values_and_gradients_equal_torchs_in_float64():
    lstm = nn.LSTM(3, 5, batch_first=True).double()
    x, ends = torch.randn(4, 6, 3).double(), (torch.randn(1, 4, 5).double(), torch.randn(1, 4, 5).double())

    def own(x, ends):
        w_ih, w_hh, b_ih, b_hh = lstm.parameters()
        states, c = _LSTM.apply(x.transpose(0, 1), ends[0][0], ends[1][0], w_ih, w_hh, b_ih + b_hh)
        return states.transpose(0, 1), (states[-1:], c[None])

    for a, b in zip(both(lstm, x, ends, own), both(lstm, x, ends, lstm)):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)


@NEEDS_BF16
def test_a_bf16_step_is_as_close_to_float32_as_torchs_own(monkeypatch):
    torch.manual_seed(0)
    lstm = nn.LSTM(24, recurrence.WIDE, batch_first=True)
    x, ends = torch.randn(7, 12, 24), (torch.randn(1, 7, recurrence.WIDE), torch.randn(1, 7, recurrence.WIDE))

    def run(x, ends):
        with torch.autocast("cpu", torch.bfloat16):
            out, (h, c) = recurrence.run(lstm, x, ends)
        return out.float(), (h.float(), c.float())

    exact, own = both(lstm, x, ends, lstm), both(lstm, x, ends, run)
    monkeypatch.setattr(recurrence, "WIDE", recurrence.WIDE + 1)
    for a, b, c in zip(own, exact, both(lstm, x, ends, run)):
        assert (a - b).norm() < max(1.2 * (c - b).norm(), 0.005 * b.norm())
        assert a.dtype == b.dtype


def test_without_first_states_they_are_zero():
    lstm, x = nn.LSTM(3, recurrence.WIDE, batch_first=True), torch.randn(2, 4, 3)
    zeros = torch.zeros(1, 2, recurrence.WIDE)
    with torch.autocast("cpu", torch.bfloat16):
        (a, _), (b, _) = recurrence.run(lstm, x), recurrence.run(lstm, x, (zeros, zeros))
    assert torch.equal(a, b)


def test_cells_stay_in_float32_where_the_inputs_come_in_bf16():
    lstm, x = nn.LSTM(16, recurrence.WIDE, batch_first=True), torch.randn(2, 4, 16)
    with torch.autocast("cpu", torch.bfloat16):
        (_, (_, a)), (_, (_, b)) = recurrence.run(lstm, x), recurrence.run(lstm, x.bfloat16())
    assert a.dtype == b.dtype == torch.float32
    assert torch.equal(a, b)


def test_in_float32_it_is_torchs():
    lstm, x = nn.LSTM(3, recurrence.WIDE, batch_first=True), torch.randn(2, 4, 3)
    assert torch.equal(recurrence.run(lstm, x)[0], lstm(x)[0])


@NEEDS_BF16
def test_without_gradients_it_is_torchs():
    lstm, x = nn.LSTM(3, recurrence.WIDE, batch_first=True), torch.randn(2, 4, 3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(recurrence.run(lstm, x)[0], lstm(x)[0])


def test_the_mogrifier_is_an_lstm_whose_inputs_and_states_gate_one_another():
    lstm = Mogrifier(3, 5).double()
    for up in lstm.up:
        nn.init.normal_(up)
    x, ends = torch.randn(4, 6, 3).double(), (torch.randn(1, 4, 5).double(), torch.randn(1, 4, 5).double())

    def slow(x, ends):
        (h, c), states = (end[0] for end in ends), []
        for word in x.unbind(1):
            for i, (down, up) in enumerate(zip(lstm.down, lstm.up)):
                if i % 2 == 0:
                    word = 2 * torch.sigmoid(h @ (down @ up)) * word
                else:
                    h = 2 * torch.sigmoid(word @ (down @ up)) * h
            h, c = torch.lstm_cell(word, (h, c), *lstm.all_weights[0])
            states.append(h)
        return torch.stack(states, 1), (h[None], c[None])

    for a, b in zip(both(lstm, x, ends, slow), both(lstm, x, ends, lambda *given: recurrence.run(lstm, *given))):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(recurrence.run(lstm, x, ends), slow(x, ends))


@pytest.mark.parametrize("layer", [Mogrifier, functools.partial(nn.LSTM, batch_first=True)])
def test_frozen_weights_cost_no_gradient_and_change_no_other(layer):
    lstm, given = layer(3, 16), [torch.randn(4, 6, 3), torch.randn(1, 4, 16), torch.randn(1, 4, 16)]

    def gradients():
        leaves = [t.clone().requires_grad_() for t in given]
        with torch.autocast("cpu", torch.bfloat16), FlopCounterMode(display=False) as counted:
            recurrence.run(lstm, leaves[0], (leaves[1], leaves[2]))[0].float().square().sum().backward()
        return [leaf.grad for leaf in leaves], counted.get_total_flops()

    beside_the_weights, all_flops = gradients()
    lstm.requires_grad_(False)
    alone, flops = gradients()
    assert all(map(torch.equal, alone, beside_the_weights))
    assert flops < 0.8 * all_flops


def test_a_mogrifier_that_does_not_gate_is_an_lstm():
    lstm, x = Mogrifier(3, 5), torch.randn(4, 6, 3)
    for up in lstm.up:
        nn.init.zeros_(up)
    plain = nn.LSTM(3, 5, batch_first=True)
    plain.load_state_dict({key: value for key, value in lstm.state_dict().items() if "l0" in key})
    torch.testing.assert_close(lstm(x), plain(x))


def test_a_bf16_step_of_the_mogrifier_is_close_to_float32():
    lstm = Mogrifier(24, 16)
    x, ends = torch.randn(7, 12, 24), (torch.randn(1, 7, 16), torch.randn(1, 7, 16))

    def half(x, ends):
        with torch.autocast("cpu", torch.bfloat16):
            out, (h, c) = recurrence.run(lstm, x, ends)
        assert c.dtype == torch.float32
        return out.float(), (h.float(), c)

    exact = both(lstm, x, ends, lambda *given: recurrence.run(lstm, *given))
    for a, b in zip(both(lstm, x, ends, half), exact):
        assert (a - b).norm() < 0.02 * b.norm()
        assert a.dtype == b.dtype
