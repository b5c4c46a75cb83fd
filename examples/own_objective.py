"""A new objective is a class and a line of its registry: the rate is held at a capacity (Burgess et al. 2018)."""

import torch

from textvae.assembly import build_objective
from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.codecs.words import WordCodec
from textvae.objectives import OBJECTIVES, Objective, Terms, kl
from textvae.recipes import load_recipe
from textvae.text_vae import TextVAE


class Capacity(Objective):
    """loss = distortion + γ · |rate − C|, with C growing over the run."""

    def __init__(self, nats: float = 5.0, gamma: float = 4.0):
        super().__init__()
        self.nats, self.gamma = nats, gamma

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        q = model.posterior(batch.x)
        distortion, rate = -model.log_px(batch.x, q.rsample(torch.Size([1])))[0], kl(q, model.prior())
        return Terms((distortion + self.gamma * (rate - self.nats * progress).abs()).mean(), distortion, rate, 1.0)


OBJECTIVES.register("capacity", f"{__name__}:Capacity")

sentences = [f"the {a} {v}" for a in ("cat", "dog", "bird") for v in ("sleeps", "waits", "sings", "eats")]
settings = load_recipe("sentences/ptb").override({"objective.name": "capacity", "model.decoder.hidden_size": 64})
vae = TextVAE.new(settings, WordCodec.fit(sentences))
objective = build_objective(settings.objective)
optimizer = torch.optim.Adam(vae.model.parameters(), 2e-3)
for step in range(40):
    terms = objective(vae.model.train(), Batch(vae.batch(sentences)), step / 40)
    optimizer.zero_grad()
    terms.loss.backward()
    optimizer.step()
print(f"distortion {terms.distortion.mean().detach():.1f}  rate {terms.rate.mean().detach():.1f} nats")
