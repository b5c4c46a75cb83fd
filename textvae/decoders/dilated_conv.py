"""Dilated causal convolutions as a decoder of sentences (Yang et al. 2017)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae.decoders.base import AutoregressiveDecoder, State
from textvae.errors import RequestError
from textvae.layers import MAX_LAYERS
from textvae.regularisation import Dropout

STACK = (1, 2, 4, 8, 16)
SIZES = {"small": STACK[:3], "medium": STACK, "large": STACK * 2, "very_large": STACK * 3}
"""The dilations of Yang et al.'s SCNN, MCNN, LCNN and VLCNN: contexts of 15, 63, 125 and 187 words."""
WIDTH = 3
MAX_DILATION = 1024  # more is a mistake, or a config made to exhaust the memory: a state holds 2 x dilation rows


class DilatedConvDecoder(AutoregressiveDecoder):
    """Predicts each word from z and the last ``context_size`` words, and from none before them.

    How far it sees is how little it needs z (Yang et al. 2017, §3): ``size`` names one of their four stacks,
    ``dilations`` gives one's own. z stands beside the word's embedding at every position. Between words it
    keeps the last 2 x dilation inputs of each convolution, so that a word costs the same at every position.
    ``dropout`` falls on embeddings and on what leaves the last block.
    """

    def __init__(
        self,
        vocab_size: int,
        latent_size: int,
        embedding_size: int = 256,
        hidden_size: int = 512,
        internal_size: int = 256,
        size: Literal["small", "medium", "large", "very_large"] = "small",
        dilations: Sequence[int] | None = None,
        dropout: float = 0.25,
    ):
        super().__init__()
        self.dilations = SIZES[size] if dilations is None else tuple(dilations)
        if not 1 <= len(self.dilations) <= MAX_LAYERS or not all(1 <= d <= MAX_DILATION for d in self.dilations):
            raise RequestError(
                f"From 1 to {MAX_LAYERS} dilations of 1 to {MAX_DILATION} make a decoder, as in [1, 2, 4]; "
                f"{list(self.dilations)[:8]} do not."
            )
        self.hidden_size, self.internal_size = hidden_size, internal_size
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.entry = nn.Linear(embedding_size + latent_size, hidden_size)
        self.blocks = nn.ModuleList(_Block(hidden_size, internal_size, d) for d in self.dilations)
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)

    @property
    def context_size(self) -> int:
        """How many words, the last one included, a prediction can depend on: 1 + 2 Σ dilations."""
        return 1 + (WIDTH - 1) * sum(self.dilations)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """z [N, Z] and ids x [N, T] to hidden [N, T-1, H]."""
        words = self.dropout(self.embedding(x[:, :-1]))
        states = self.entry(torch.cat([words, z[:, None].expand(-1, words.shape[1], -1)], -1))
        for block in self.blocks:
            states = block(states)
        return self.dropout(self.norm(states))

    def start(self, z: Tensor) -> State:
        """z, and for each block the zeros [N, 2 x dilation, I] that pad a sentence on its left."""
        return z, *(z.new_zeros(len(z), (WIDTH - 1) * d, self.internal_size) for d in self.dilations)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Tokens [N] to hidden [N, H] and the next state."""
        z, *caches = state
        states = self.entry(torch.cat([self.dropout(self.embedding(tokens)), z], -1))
        kept = []
        for block, cache in zip(self.blocks, caches):
            assert isinstance(block, _Block)  # what the list holds, for the type checker
            states, cache = block.step(states, cache)
            kept.append(cache)
        return self.dropout(self.norm(states)), (z, *kept)


class _Block(nn.Module):
    """A residual block of 1×1, dilated causal 1×3 and 1×1 convolutions (Yang et al. 2017, fig. 1).

    Normalised before each ReLU, as in the ByteNet blocks that Yang et al. build on (Kalchbrenner et al. 2016).
    """

    def __init__(self, hidden_size: int, internal_size: int, dilation: int):
        super().__init__()
        self.dilation = dilation
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in (hidden_size, internal_size, internal_size))
        self.narrow = nn.Linear(hidden_size, internal_size)
        # One matrix for each position that is read, 0, d and 2d words back: in bfloat16, which trains fastest,
        # three products take half the time of conv1d on a CPU, and those that would read padding alone are left
        # out (in a sentence of 22 words the oldest at a dilation of 16). In float32 conv1d is the quicker by 1.5.
        self.taps = nn.ModuleList(nn.Linear(internal_size, internal_size, bias=not k) for k in range(WIDTH))
        self.widen = nn.Linear(internal_size, hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """States [N, T, H] to [N, T, H]; position t depends on t, t - d and t - 2d."""
        inner, length = self._inner(states), states.shape[1]
        mixed = self.taps[0](inner)
        for k in range(1, WIDTH):
            back = k * self.dilation
            if back < length:
                mixed = mixed + F.pad(self.taps[k](inner[:, : length - back]), (0, 0, back, 0))
        return self._outer(states, mixed)

    def step(self, states: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """States [N, H] of one position and the 2d inner states before it, [N, 2d, I], to the same, one later."""
        inner = self._inner(states)
        mixed = self.taps[0](inner) + self.taps[1](cache[:, self.dilation]) + self.taps[2](cache[:, 0])
        return self._outer(states, mixed), torch.cat([cache[:, 1:], inner[:, None]], 1)

    def _inner(self, states: Tensor) -> Tensor:
        return F.relu(self.norms[1](self.narrow(F.relu(self.norms[0](states)))))

    def _outer(self, states: Tensor, mixed: Tensor) -> Tensor:
        return states + self.widen(F.relu(self.norms[2](mixed)))
