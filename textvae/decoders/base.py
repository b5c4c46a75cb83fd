"""What every decoder does, and what those that write word by word do besides."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

State = tuple[Tensor, ...]
"""What an autoregressive decoder remembers between words: tensors [N, …], one row per sentence."""

Step = Callable[[Tensor, State], tuple[Tensor, State]]
"""The last words, tokens [N], and the state to hidden [N, H] and the next state."""


class Decoder(nn.Module, ABC):
    """z [N, Z] to hidden states; N is every code at once, however many belong to one example."""

    hidden_size: int
    grid: tuple[int, int] | None = None
    """The height and width of a decoder whose hidden states [N, h, w, H] stand in a picture, each for a patch of it."""
    topical: bool = False
    """Whether hidden unit k is made of unit k of the code alone, so that each unit has words of its own: a topic."""
    simplex: bool = False
    """Whether the hidden units of an example are shares, which sum to 1."""
    z_scale: float = 1.0
    """What z is multiplied by where it enters; the weights that read it mean something at that scale alone."""

    @abstractmethod
    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """z [N, Z] (and x [N, …], which an autoregressive decoder is fed) to hidden [N, …, hidden_size]."""


class AutoregressiveDecoder(Decoder):
    """Reads x [N, T] shifted: hidden [N, T-1, H], where position t has seen x[:, :t+1] and predicts x[:, t+1].

    ``start`` and ``step`` give the same states one word at a time (an invariant that is tested).
    """

    embedding: nn.Embedding

    @abstractmethod
    def start(self, z: Tensor) -> State:
        """The state before the first word, for codes z [N, Z]."""

    @abstractmethod
    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """The last words, tokens [N], and the state to hidden [N, H] and the next state."""

    def stepper(self, rows: int) -> Step:
        """``step``, for many calls without gradient of up to so many rows while the weights stay as they are."""
        return self.step
