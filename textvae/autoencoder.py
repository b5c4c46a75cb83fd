"""The one model: q(z|x), p(z) and p(x|z), whatever x is."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.corruptions import Corruption
from textvae.decoders import Decoder
from textvae.encoders import Encoder
from textvae.likelihoods import Likelihood
from textvae.posteriors import Posterior
from textvae.priors import Prior


class Autoencoder(nn.Module):
    """A generative autoencoder, put together from parts that it is handed.

    A sentence VAE, a document VAE and an image VAE differ in the parts; a deterministic autoencoder differs in
    the objective that trains it. Corruptions act in training only: on what the encoder reads (denoising) and
    on what the decoder is fed (word dropout). What is scored is always x itself.
    """

    def __init__(
        self,
        encoder: Encoder,
        posterior: Posterior,
        prior: Prior,
        decoder: Decoder,
        likelihood: Likelihood,
        encoder_noise: Corruption,
        decoder_noise: Corruption,
    ):
        super().__init__()
        self.encoder, self.posterior_head = encoder, posterior
        self.prior, self.decoder, self.likelihood = prior, decoder, likelihood
        self.encoder_noise, self.decoder_noise = encoder_noise, decoder_noise

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) for x [B, …]: batch [B], event [Z]."""
        return self.posterior_head(self.encoder(self.encoder_noise(x)))

    def hidden(self, x: Tensor, z: Tensor) -> Tensor:
        """The decoder's hidden states [N, …, H] for codes z [N, Z], fed with x [N, …]."""
        return self.decoder(z, self.decoder_noise(x))

    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) [K, B] in nats, for x [B, …] and K codes of each example, z [K, B, Z]."""
        k, b = z.shape[:2]
        x = x.expand(k, *x.shape).flatten(0, 1)
        return self.likelihood.log_prob(self.hidden(x, z.flatten(0, 1)), x).view(k, b)
