"""What state-space backbones share: a parallel scan of a linear recurrence, and reading a padded signal backwards.

The scan is that of Blelloch (1990) in two levels: first within blocks of about √t steps, all blocks at once, then
over the blocks. It only ever multiplies decays, never divides by them, so it is as stable as the recurrence itself.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear_scan(decay: Tensor, inputs: Tensor, block: int | None = None) -> Tensor:
    """Return the states of h[t] = decay[t] · h[t − 1] + inputs[t], with h[−1] = 0; the work grows linearly with t.

    Parameters
    ----------
    decay, inputs : (b, t, ...)
        Of the same shape; float32, float64 or complex.
    block
        Number of steps taken one after the other before the blocks are joined. None for √t on a GPU; on a CPU for t,
        as there the rows of one step keep it busy.

    Returns
    -------
    Tensor
        (b, t, ...).
    """
    steps = decay.shape[1]
    if block is None:
        block = steps if decay.device.type == "cpu" else math.isqrt(steps) + 1
    if torch.is_grad_enabled() and (decay.requires_grad or inputs.requires_grad):
        return _LinearScan.apply(decay, inputs, block)
    return _scan(decay, inputs, block)


def _scan(decay: Tensor, inputs: Tensor, block: int) -> Tensor:
    steps = decay.shape[1]
    state = inputs.clone(memory_format=torch.contiguous_format)
    for i in range(1, min(block, steps)):  # step i of all blocks
        now = state[:, i::block]
        now.addcmul_(decay[:, i::block], state[:, i - 1 :: block][:, : now.shape[1]])
    if block >= steps:
        return state
    product = decay.clone()  # of the decays since the block's start
    for i in range(1, block):
        now = product[:, i::block]
        now.mul_(product[:, i - 1 :: block][:, : now.shape[1]])
    for start in range(block, steps, block):  # what the blocks before leave behind
        state[:, start : start + block].addcmul_(product[:, start : start + block], state[:, start - 1 : start])
    return state


class _LinearScan(torch.autograd.Function):
    """The scan with its gradient, which is the same recurrence run backwards; keeps no step but the states."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor, block: int) -> Tensor:
        state = _scan(decay, inputs, block)
        ctx.save_for_backward(decay, state)
        ctx.block = block
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        decay, state = ctx.saved_tensors
        # G[t] = g[t] + conj(decay[t + 1]) · G[t + 1]
        later = torch.cat([torch.zeros_like(decay[:, :1]), decay[:, 1:].flip(1)], 1).conj()
        by_inputs = _scan(later, gradient.flip(1), ctx.block).flip(1)
        by_decay = torch.zeros_like(decay)
        torch.mul(by_inputs[:, 1:], state[:, :-1].conj(), out=by_decay[:, 1:])
        return by_decay, by_inputs, None


def reverse_valid(x: Tensor, valid: Tensor | None, dim: int = 1) -> Tensor:
    """Reverse the steps before the padding; the padding stays where it is. Applied twice, it returns x.

    Parameters
    ----------
    x : (b, ...)
    valid : int (b,)
        Steps before the padding; None if there is no padding.
    dim
        The dimension of the steps.
    """
    if valid is None:
        return x.flip(dim)
    steps = torch.arange(x.shape[dim], device=x.device)
    last = valid[:, None] - 1
    order = torch.where(steps <= last, last - steps, steps)  # (b, steps)
    shape = [1] * x.ndim
    shape[0], shape[dim] = order.shape
    return x.gather(dim, order.view(shape).expand_as(x))
