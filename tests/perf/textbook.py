"""The sentence VAE as textbooks write it: float32, packed sequences, one softmax over all words. The baseline."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


class TextbookVAE(nn.Module):
    """Bowman et al. (2015) at embedding 256, hidden 512 and z 32, with no thought of speed."""

    def __init__(self, vocab_size: int, embedding: int = 256, hidden: int = 512, latent: int = 32):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding, padding_idx=0)
        self.encoder = nn.LSTM(embedding, hidden, batch_first=True)
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.initial = nn.Linear(latent, hidden)
        self.decoder = nn.LSTM(embedding + latent, hidden, batch_first=True)
        self.output = nn.Linear(hidden, vocab_size)

    def loss(self, x: Tensor) -> Tensor:
        """−ELBO per sentence of ids x [B, T]."""
        lengths = (x != 0).sum(1)
        packed = pack_padded_sequence(self.embedding(x), lengths, batch_first=True, enforce_sorted=False)
        features = self.encoder(packed)[1][0][-1]
        mean, log_variance = self.mean(features), self.log_variance(features)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        inputs = torch.cat([self.embedding(x[:, :-1]), z[:, None].expand(-1, x.shape[1] - 1, -1)], -1)
        h = torch.tanh(self.initial(z))[None]
        logits = self.output(self.decoder(inputs, (h, torch.zeros_like(h)))[0])
        nll = F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten(), ignore_index=0, reduction="sum")
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return (nll + kl) / len(x)
