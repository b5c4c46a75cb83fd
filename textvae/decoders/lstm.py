"""LSTM decoder of sentences (Bowman et al. 2015)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from textvae.decoders.base import AutoregressiveDecoder, State, Step
from textvae.errors import RequestError
from textvae.layers import MAX_LAYERS, dense, packed_linear, packs, tanh
from textvae.recurrence import Mogrifier
from textvae.regularisation import Dropout, EmbeddingDropout, LockedDropout, WeightDrop


class LSTMDecoder(AutoregressiveDecoder):
    """Predicts each word from the words before it and z.

    ``z_to`` says where z enters: the initial ``state`` (Bowman et al.), every ``input`` beside the word's
    embedding (He et al. 2019), ``both``, or ``all``, which is into every hidden state that leaves, too: what z says
    of all words of a sentence, as a topic does, then need not pass through the recurrence (skip connections, Dieng
    et al. 2019). Before that it is multiplied by ``z_scale``: a code that says little is noise of deviation 1, where
    embeddings begin at 0.1, and Adam, whose steps are as long where a gradient is all noise, does not let the weights
    of z shrink to nothing; at a scale of 0.1 the noise hardly costs anything (docs/sentences.md).

    ``dropout`` falls on embeddings and on the states that leave a layer; ``locked`` keeps its mask through a
    sentence, ``embedding_dropout`` drops whole words and ``weight_drop`` connections between states (Merity et al.
    2018, see regularisation.py). In the ``cell`` of a ``mogrifier`` input and state gate one another (Melis et al.
    2020, see recurrence.py).
    """

    def __init__(
        self,
        vocab_size: int,
        latent_size: int,
        embedding_size: int = 256,
        hidden_size: int = 512,
        layers: int = 1,
        z_to: Literal["state", "input", "both", "all"] = "both",
        dropout: float = 0.5,
        locked: bool = False,
        weight_drop: float = 0.0,
        embedding_dropout: float = 0.0,
        cell: Literal["lstm", "mogrifier"] = "lstm",
        z_scale: float = 1.0,
    ):
        super().__init__()
        if not z_scale > 0:
            raise RequestError(f"z enters the decoder times z_scale, a number over 0; {z_scale} is not.")
        if not 1 <= layers <= MAX_LAYERS:
            raise RequestError(f"An LSTM has from 1 to {MAX_LAYERS} layers; {layers} is not.")
        self.hidden_size, self.layers, self.z_scale = hidden_size, layers, z_scale
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.initial = dense(latent_size, 2 * layers * hidden_size) if z_to != "input" else None
        self.z_to_input = z_to != "state"
        self.skip = dense(latent_size, hidden_size, bias=False) if z_to == "all" else None
        if self.skip is not None:
            nn.init.zeros_(self.skip.weight)  # until z says something it is noise, here on every word
        first = embedding_size + (latent_size if self.z_to_input else 0)
        sizes = [hidden_size if i else first for i in range(layers)]
        self.lstms = nn.ModuleList(
            Mogrifier(size, hidden_size) if cell == "mogrifier" else nn.LSTM(size, hidden_size, batch_first=True)
            for size in sizes
        )
        self.dropout: nn.Module = LockedDropout(dropout) if locked else Dropout(dropout)
        self.weight_drop, self.embedding_dropout = WeightDrop(weight_drop), EmbeddingDropout(embedding_dropout)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """z [N, Z] and ids x [N, T] to hidden [N, T-1, H]."""
        return self._run(x[:, :-1], self.start(z))[0]

    def start(self, z: Tensor) -> State:
        """h and c [N, layers, H] from z, and z as it enters."""
        z = self.z_scale * z
        if self.initial is None:
            h = c = z.new_zeros(len(z), self.layers, self.hidden_size)
        else:
            h, c = self.initial(z).view(len(z), 2, self.layers, self.hidden_size).unbind(1)
            h = torch.tanh(h)
        return h, c, z

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Tokens [N] to hidden [N, H] and the next state."""
        hidden, state = self._run(tokens[:, None], state)
        return hidden[:, 0], state

    def stepper(self, rows: int) -> Step:
        """``step``, with the weights laid out once for all words."""
        if self.training or not packs(self.embedding.weight):
            return self.step
        products = [_gates(lstm, rows) for lstm in self.lstms]

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            (h, c, z), below = state, self.embedding(self._fed(tokens))
            hs, cs = [], []
            for i, product in enumerate(products):
                gates = product(torch.cat([below, z], -1) if self.z_to_input and not i else below, h[:, i])
                enter, forget, _, leave = gates.sigmoid().chunk(4, -1)
                cs.append(forget * c[:, i] + enter * tanh(gates.chunk(4, -1)[2]))
                below = leave * tanh(cs[-1])
                hs.append(below)
            return self._beside(z, below), (torch.stack(hs, 1), torch.stack(cs, 1), z)

        return step

    def _fed(self, tokens: Tensor) -> Tensor:
        """What the network reads in place of the words."""
        return tokens

    def _run(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        h, c, z = state
        inputs = self.dropout(self.embedding_dropout(self.embedding, self._fed(tokens)))
        if self.z_to_input:
            inputs = torch.cat([inputs, z[:, None].expand(-1, tokens.shape[1], -1)], -1)
        last = []
        for i, lstm in enumerate(self.lstms):
            first = h[None, :, i].contiguous(), c[None, :, i].contiguous()
            inputs, ends = self.weight_drop(lstm, inputs, first)
            inputs = self.dropout(inputs)
            last.append(ends)
        h, c = (torch.cat(parts).transpose(0, 1) for parts in zip(*last))
        return self._beside(z[:, None], inputs), (h, c, z)

    def _beside(self, z: Tensor, hidden: Tensor) -> Tensor:
        """The hidden states that leave, with what z says of every word."""
        return hidden if self.skip is None else hidden + self.skip(z)


def _gates(lstm: nn.Module, rows: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Inputs [N, I] and h [N, H] to the gates before their nonlinearities [N, 4H]."""
    assert isinstance(lstm, nn.LSTM)
    w_ih, w_hh, b_ih, b_hh = lstm.all_weights[0]
    if rows == 1:  # which does not pay for one matrix made of two
        from_input, from_state = packed_linear(w_ih, b_ih, 1), packed_linear(w_hh, b_hh, 1)

        def gates(x: Tensor, h: Tensor) -> Tensor:
            return from_input(x) + from_state(h)
    else:
        product = packed_linear(torch.cat([w_ih, w_hh], 1), b_ih + b_hh, rows)

        def gates(x: Tensor, h: Tensor) -> Tensor:
            return product(torch.cat([x, h], -1))

    return (lambda x, h: gates(*lstm.mogrify(x, h))) if isinstance(lstm, Mogrifier) else gates
