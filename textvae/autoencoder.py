"""The one model: q(z|x), p(z) and p(x|z), whatever x is."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.corruptions import Corruption
from textvae.decoders import Decoder
from textvae.encoders import Encoder
from textvae.labels import Condition
from textvae.likelihoods import Likelihood
from textvae.posteriors import Posterior
from textvae.priors import Prior


class Autoencoder(nn.Module):
    """A generative autoencoder, put together from parts that it is handed.

    A sentence VAE, a document VAE and an image VAE differ in the parts; a deterministic autoencoder differs in
    the objective that trains it. Corruptions act in training only: on what the encoder reads (denoising) and
    on what the decoder is fed (word dropout). What is scored is always x itself, or, where a batch has targets of
    its own, those: to ``hidden`` and ``log_px`` they are x (a caption, of which z says the picture).

    Labels y [B], −1 for none, may be a ``condition`` that q(z|x, y) and p(x|z, y) are told, and may be what a
    ``classifier`` tells: of the code, or, where the code is told them, of the encoder's features (Kingma et al. 2014).
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
        condition: Condition | None = None,
        classifier: nn.Module | None = None,
    ):
        super().__init__()
        self.encoder, self.posterior_head = encoder, posterior
        self.prior, self.decoder, self.likelihood = prior, decoder, likelihood
        self.encoder_noise, self.decoder_noise = encoder_noise, decoder_noise
        self.condition, self.classifier = condition or Condition(0), classifier

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def features(self, x: Tensor) -> Tensor:
        """What the encoder makes of x [B, …], [B, F]."""
        return self.encoder(self.encoder_noise(x))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Distribution:
        """q(z|x) for x [B, …], or q(z|x, y): batch [B], event [Z]."""
        return self.posterior_of(self.features(x), y)

    def posterior_of(self, features: Tensor, y: Tensor | None = None) -> Distribution:
        """q(z|x, y) of the encoder's features [B, F]; a label that is not given is the classifier's guess."""
        return self.posterior_head(self.condition(features, self.guess(features) if y is None else y))

    def infer(self, x: Tensor) -> tuple[Distribution, Tensor | None]:
        """q(z|x) of x [B, …], and the labels [B] that it guesses where the decoder has to be told one, else None."""
        features = self.features(x)
        y = self.guess(features)
        return self.posterior_of(features, y), y

    def guess(self, features: Tensor) -> Tensor | None:
        """The most probable labels [B], where codes and what is written of them depend on a label; else None."""
        return self.label_logits(features).argmax(-1) if self.needs_label else None

    @property
    def needs_label(self) -> bool:
        """Whether the decoder has never been without a label: where one was not known, all of them were tried."""
        return bool(self.condition.classes) and self.classifier is not None

    def label_logits(self, features: Tensor) -> Tensor:
        """log q(y|x) [B, C], up to a constant, of the encoder's features [B, F]."""
        if self.classifier is None:
            raise ValueError("This model has no classifier: its settings are not of model.labels predict or both.")
        code = features if self.condition.classes else self.posterior_of(features).mean
        return self.classifier(code).float()

    def hidden(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The decoder's hidden states [N, …, H] for codes z [N, Z] (and labels [N]), fed with x [N, …]."""
        return self.decoder(self.condition(z, y), self.decoder_noise(x))

    def log_px(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z) [K, B] in nats, or log p(x|z, y), for x [B, …] and K codes of each example, z [K, B, Z]."""
        k, b = z.shape[:2]
        # Noise on what is fed is drawn once: the codes of an example are told of the same words.
        fed, x = (t.expand(k, *t.shape).flatten(0, 1) for t in (self.decoder_noise(x), x))
        y = None if y is None else y.expand(k, b).flatten()
        hidden = self.decoder(self.condition(z.flatten(0, 1), y), fed)
        return self.likelihood.log_prob(hidden, x).view(k, b)
