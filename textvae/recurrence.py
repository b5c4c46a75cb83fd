"""LSTM layers: torch's own, and a training pass in bf16 for CPUs, where oneDNN's is bound by its backward pass."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Ends = tuple[Tensor, Tensor]
WIDE = 512  # units: in narrower layers the calls from Python take longer than what they save


def run(
    lstm: nn.Module, inputs: Tensor, ends: Ends | None = None, recurrent: Tensor | None = None
) -> tuple[Tensor, Ends]:
    """What ``lstm(inputs, ends)`` gives, inputs [N, T, E] and ends [1, N, H], of one layer that has its batch first.

    ``recurrent`` [4H, H] stands in for its hidden-to-hidden weights.
    """
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
            a = gates[t].copy_(torch.addmm(of_x[t], states[t], w_hh.T))
            i, f, g, o = a.chunk(4, 1)
            g.mul_(2)
            a.sigmoid_()
            g.mul_(2).sub_(1)  # tanh x = 2 σ(2x) − 1, in a sixth of the time of torch's tanh
            torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, g)
            torch.mul(cells[t + 1], 2, out=squashed[t]).sigmoid_().mul_(2).sub_(1)
            torch.mul(o, squashed[t], out=states[t + 1])
        ctx.save_for_backward(x, w_ih, w_hh, gates, cells, squashed, states)
        return states[1:], cells[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, dc: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time; d c comes along in ``dc``, d h in ``dh``."""
        x, w_ih, w_hh, gates, cells, squashed, states = ctx.saved_tensors
        sigmoid, tanh = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
        d_gates = x.new_empty(gates.shape)
        dc, dh = dc.clone(), torch.zeros_like(states[0])
        for t in reversed(range(len(x))):
            i, f, g, o = gates[t].chunk(4, 1)
            di, df, dg, do = d_gates[t].chunk(4, 1)
            dh = (dh + d_states[t]).to(dc.dtype)
            dc += tanh(dh * o, squashed[t])
            do.copy_(sigmoid(dh * squashed[t], o))
            di.copy_(sigmoid(dc * g, i))
            df.copy_(sigmoid(dc * cells[t], f))
            dg.copy_(tanh(dc * i, g))
            dc *= f
            dh = d_gates[t] @ w_hh
        d = d_gates.flatten(0, 1)
        of_x, _, _, *of_weights = ctx.needs_input_grad
        d_x = (d @ w_ih).view_as(x) if of_x else None
        if not any(of_weights):
            return d_x, dh.to(dc.dtype), dc, None, None, None
        d_w_ih, d_w_hh = d.T @ x.flatten(0, 1), d.T @ states[:-1].flatten(0, 1)
        return d_x, dh.to(dc.dtype), dc, d_w_ih, d_w_hh, d.sum(0)
