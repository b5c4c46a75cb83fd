"""A document as shares of topics (Srivastava & Sutton 2017)."""

from torch import Tensor

from textvae.decoders.base import Decoder
from textvae.errors import RequestError
from textvae.regularisation import Dropout


class TopicDecoder(Decoder):
    """The hidden state of a document is softmax(z), the share of each topic; dropout leaves topics out while training.

    Under the likelihood ``multinomial`` the topics' logits are mixed (a product of experts: ProdLDA), under
    ``topic_mixture`` their word distributions (LDA).
    """

    topical = simplex = True

    def __init__(self, latent_size: int, dropout: float = 0.0):
        super().__init__()
        if latent_size < 1:
            raise RequestError("The decoder 'topics' needs a code: latent_size of 1 or more, the number of topics.")
        self.dropout = Dropout(dropout)
        self.hidden_size = latent_size

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """z [N, K] to shares [N, K]; x is not looked at."""
        return self.dropout(z.softmax(-1))
