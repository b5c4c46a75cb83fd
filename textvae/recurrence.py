"""LSTM layers: torch's own, a bf16 training pass for CPUs (oneDNN's backward pass is slow), and the Mogrifier."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Ends = tuple[Tensor, Tensor]
WIDE = 512  # units: in narrower layers the calls from Python take longer than what they save
FEW = 16  # rows: nn.LSTM lays its weights out anew at each call, which takes longer than one step of so few
ROUNDS, RANK = 5, 64  # of the Mogrifier's gates


class Mogrifier(nn.LSTM):
    """A layer whose input and state gate one another before each step (Melis, Kočiský & Blunsom 2020, §2).

    Round 1 is x ← 2 σ(Q R h) ⊙ x, round 2 h ← 2 σ(Q R x) ⊙ h, and so on in turn: what a word means here depends on
    the words before it. A new layer hardly gates.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size, batch_first=True)
        sizes = [(hidden_size, input_size) if i % 2 == 0 else (input_size, hidden_size) for i in range(ROUNDS)]
        rank = min(RANK, input_size, hidden_size)
        self.down = nn.ParameterList(torch.randn(source, rank) * source**-0.5 for source, _ in sizes)
        self.up = nn.ParameterList(0.1 * torch.randn(rank, gated) * rank**-0.5 for _, gated in sizes)

    @property
    def factors(self) -> list[nn.Parameter]:
        """R and Q of each round, one after the other."""
        return [factor for pair in zip(self.down, self.up) for factor in pair]

    def mogrify(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """x [N, E] and h [N, H], gated."""
        return _mogrify(x, h, self.factors)

    def forward(  # type: ignore[override]
        self, inputs: Tensor, ends: Ends | None = None, recurrent: Tensor | None = None
    ) -> tuple[Tensor, Ends]:
        """Inputs [N, T, E] and ends [1, N, H] to all h [N, T, H] and the last ends; see ``run``."""
        w_ih, w_hh, b_ih, b_hh = self.all_weights[0]
        weight = torch.cat([w_ih, w_hh if recurrent is None else recurrent], 1)
        device, exact = inputs.device.type, inputs.dtype if inputs.dtype == torch.float64 else torch.float32
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else exact
        zeros = inputs.new_zeros(len(inputs), self.hidden_size)
        h, c = (zeros, zeros) if ends is None else (end[0] for end in ends)
        h, c = h.to(dtype), c.to(exact)
        with torch.autocast(device, enabled=False):
            x, weight, bias, *factors = (
                t.to(dtype) for t in (inputs.transpose(0, 1), weight, b_ih + b_hh, *self.factors)
            )
            if torch.is_grad_enabled():
                states, c = _Mogrifier.apply(x, h, c, weight, bias, *factors)
            else:  # and nothing is kept for a backward pass
                states = h.new_empty(len(x), *h.shape)
                for word, state in zip(x, states):
                    gates = torch.addmm(bias, torch.cat(_mogrify(word, h, factors), 1), weight.T).to(exact)
                    c, before, h = torch.empty_like(c), c, state
                    _cell(gates, before, c, torch.empty_like(c), h)
        return states.transpose(0, 1), (states[-1:], c[None])


def run(
    lstm: nn.Module, inputs: Tensor, ends: Ends | None = None, recurrent: Tensor | None = None
) -> tuple[Tensor, Ends]:
    """What ``lstm(inputs, ends)`` gives, inputs [N, T, E] and ends [1, N, H], of one layer that has its batch first.

    ``recurrent`` [4H, H] stands in for its hidden-to-hidden weights.
    """
    if isinstance(lstm, Mogrifier):
        return lstm(inputs, ends, recurrent)
    if inputs.shape[1] == 1 and len(inputs) < FEW and ends is not None and recurrent is None:
        h, c = torch.lstm_cell(inputs[:, 0], (ends[0][0], ends[1][0]), *lstm.parameters())
        return h[:, None], (h[None], c[None])
    if torch.is_grad_enabled() and inputs.is_cpu and torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        w_ih, own, b_ih, b_hh = lstm.parameters()
        w_hh = own if recurrent is None else recurrent
        if w_hh.shape[1] >= WIDE and inputs.shape[1]:
            zeros = torch.zeros(len(inputs), w_hh.shape[1])
            h, c = (zeros, zeros) if ends is None else (end[0].float() for end in ends)
            weights = w_ih.to(dtype), w_hh.to(dtype), (b_ih + b_hh).to(dtype)
            with torch.autocast("cpu", enabled=False):
                states, c = _LSTM.apply(inputs.transpose(0, 1).to(dtype), h, c, *weights)
            return states.transpose(0, 1), (states[-1:], c[None])
    if recurrent is None:
        return lstm(inputs, ends)
    with warnings.catch_warnings():  # cuDNN's weights are no longer one block of memory: so it must be
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
        return torch.func.functional_call(lstm, {"weight_hh_l0": recurrent}, (inputs, ends))


def _mogrify(x: Tensor, h: Tensor, factors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    for i, (down, up) in enumerate(zip(factors[::2], factors[1::2])):
        if i % 2 == 0:
            x = x * (h @ down @ up).sigmoid().mul(2)
        else:
            h = h * (x @ down @ up).sigmoid().mul(2)
    return x, h


class _LSTM(torch.autograd.Function):
    """h and c over time (Hochreiter & Schmidhuber 1997, with forget gates), gates and c in float32 at least.

    What can be one product over all steps is: the inputs' share of the gates, and in the backward pass the
    gradients of inputs and weights, which oneDNN adds up step by step.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x [T, N, E], first h and c [N, H], weights [4H, ·] of gates i, f, g, o to all h [T, N, H] and the last c."""
        steps, n = x.shape[:2]
        size = h.shape[1]
        of_x = torch.addmm(bias, x.flatten(0, 1), w_ih.T).view(steps, n, -1)
        gates, cells, squashed = (c.new_empty(steps + more, n, k * size) for more, k in ((0, 4), (1, 1), (0, 1)))
        states = x.new_empty(steps + 1, n, size)
        states[0], cells[0] = h, c
        for t in range(steps):
            gates[t] = torch.addmm(of_x[t], states[t], w_hh.T)
            _cell(gates[t], cells[t], cells[t + 1], squashed[t], states[t + 1])
        ctx.save_for_backward(x, w_ih, w_hh, gates, cells, squashed, states)
        return states[1:], cells[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, dc: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time; d c comes along in ``dc``, d h in ``dh``."""
        x, w_ih, w_hh, gates, cells, squashed, states = ctx.saved_tensors
        d_gates = x.new_empty(gates.shape)
        dc, dh = dc.clone(), torch.zeros_like(states[0])
        for t in reversed(range(len(x))):
            _cell_backward(d_gates[t], dh + d_states[t], dc, gates[t], cells[t], squashed[t])
            dh = d_gates[t] @ w_hh
        d = d_gates.flatten(0, 1)
        of_x, _, _, *of_weights = ctx.needs_input_grad
        d_x = (d @ w_ih).view_as(x) if of_x else None
        if not any(of_weights):
            return d_x, dh.to(dc.dtype), dc, None, None, None
        d_w_ih, d_w_hh = d.T @ x.flatten(0, 1), d.T @ states[:-1].flatten(0, 1)
        return d_x, dh.to(dc.dtype), dc, d_w_ih, d_w_hh, d.sum(0)


class _Mogrifier(torch.autograd.Function):
    """``_LSTM`` with the gates of the Mogrifier: no share of the inputs is known before its step."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor, *factors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x [T, N, E], first h and c [N, H], weight [4H, E + H], and R and Q of each round to all h and the last c."""
        (steps, n), size, rounds = x.shape[:2], h.shape[1], len(factors) // 2
        both = x.new_empty(rounds + 1, steps, n, weight.shape[1])  # x and h side by side, as each round finds them
        keys = [x.new_empty(steps, n, down.shape[1]) for down in factors[::2]]
        opened = [x.new_empty(steps, n, up.shape[1]) for up in factors[1::2]]
        gates, cells, squashed = (c.new_empty(steps + more, n, k * size) for more, k in ((0, 4), (1, 1), (0, 1)))
        states = x.new_empty(steps + 1, n, size)
        states[0], cells[0] = h, c
        both[0, ..., :-size] = x
        for t in range(steps):
            both[0, t, :, -size:] = states[t]
            for i in range(rounds):
                (source, old), (same, new) = (_halves(both[k, t], size, i) for k in (i, i + 1))
                torch.mm(source, factors[2 * i], out=keys[i][t])
                torch.mm(keys[i][t], factors[2 * i + 1], out=opened[i][t]).sigmoid_().mul_(2)
                same.copy_(source)
                torch.mul(old, opened[i][t], out=new)
            gates[t] = torch.addmm(bias, both[-1, t], weight.T)
            _cell(gates[t], cells[t], cells[t + 1], squashed[t], states[t + 1])
        ctx.save_for_backward(both, weight, gates, cells, squashed, *factors, *keys, *opened)
        return states[1:], cells[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, dc: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time, and in each step through the rounds; weights' gradients are products over all steps."""
        both, weight, gates, cells, squashed, *rest = ctx.saved_tensors
        rounds, steps, size = len(rest) // 4, len(gates), cells.shape[-1]
        factors, keys, opened = rest[: 2 * rounds], rest[2 * rounds : 3 * rounds], rest[3 * rounds :]
        d_gates, d_x = both.new_empty(gates.shape), both.new_empty(both[0, ..., :-size].shape)
        d_keys, d_opened = [torch.empty_like(k) for k in keys], [torch.empty_like(o) for o in opened]
        dc, dh = dc.clone(), torch.zeros_like(dc, dtype=both.dtype)
        for t in reversed(range(steps)):
            _cell_backward(d_gates[t], dh + d_states[t], dc, gates[t], cells[t], squashed[t])
            d_both = d_gates[t] @ weight
            for i in reversed(range(rounds)):
                d_source, d_gated = _halves(d_both, size, i)
                gate, old = opened[i][t], _halves(both[i, t], size, i)[1]
                torch.mul(d_gated * old, gate * (1 - gate / 2), out=d_opened[i][t])
                d_gated *= gate
                torch.mm(d_opened[i][t], factors[2 * i + 1].T, out=d_keys[i][t])
                d_source += d_keys[i][t] @ factors[2 * i].T
            d_x[t], dh = d_both[:, :-size], d_both[:, -size:]
        if not any(ctx.needs_input_grad[3:]):
            return d_x, dh, dc, *[None] * (2 + len(factors))
        d, d_factors = d_gates.flatten(0, 1), []
        for i in range(rounds):
            source = _halves(both[i].flatten(0, 1), size, i)[0]
            d_factors += [source.T @ d_keys[i].flatten(0, 1), keys[i].flatten(0, 1).T @ d_opened[i].flatten(0, 1)]
        return d_x, dh, dc, d.T @ both[-1].flatten(0, 1), d.sum(0), *d_factors


def _halves(both: Tensor, size: int, i: int) -> tuple[Tensor, Tensor]:
    """What gates in round i, and what is gated, of x and h [N, E + H]."""
    x, h = both.split([both.shape[1] - size, size], 1)
    return (h, x) if i % 2 == 0 else (x, h)


def _cell(gates: Tensor, before: Tensor, c: Tensor, squashed: Tensor, h: Tensor) -> None:
    """From what enters gates i, f, g, o [N, 4H] and the cell before [N, H] to the gates (in place), c, tanh c and h."""
    i, f, g, o = gates.chunk(4, 1)
    g.mul_(2)
    gates.sigmoid_()
    g.mul_(2).sub_(1)  # tanh x = 2 σ(2x) − 1, in a sixth of the time of torch's tanh
    torch.mul(f, before, out=c).addcmul_(i, g)
    torch.mul(c, 2, out=squashed).sigmoid_().mul_(2).sub_(1)
    torch.mul(o, squashed, out=h)


def _cell_backward(d_gates: Tensor, dh: Tensor, dc: Tensor, gates: Tensor, before: Tensor, squashed: Tensor) -> None:
    """From d h [N, H] to what enters the gates [N, 4H], and in place from d c to that of the cell before."""
    sigmoid, tanh = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
    i, f, g, o = gates.chunk(4, 1)
    di, df, dg, do = d_gates.chunk(4, 1)
    dh = dh.to(dc.dtype)
    dc += tanh(dh * o, squashed)
    do.copy_(sigmoid(dh * squashed, o))
    di.copy_(sigmoid(dc * g, i))
    df.copy_(sigmoid(dc * before, f))
    dg.copy_(tanh(dc * i, g))
    dc *= f
