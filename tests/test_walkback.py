"""Walkback, Noise2Noise and the chain: what is seen, what is scored, and where a chain ends."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from tests.toys import batch_of, vae_of
from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.corruptions.base import NoCorruption
from textvae.corruptions.gaussian import GaussianNoise
from textvae.decoders import Decoder
from textvae.encoders import Encoder
from textvae.errors import RequestError
from textvae.latent.chain import chain
from textvae.likelihoods import Likelihood
from textvae.objectives.noise2noise import Noise2Noise
from textvae.objectives.walkback import Walkback
from textvae.posteriors import Posterior
from textvae.priors.standard_normal import StandardNormal

DATA, NOISE = 2.0, 1.0  # deviations of x, and of what is added to it


class Gain(Encoder):
    """E[x|x̃] of normal data of mean 0: a share of x̃."""

    output_size = 1

    def __init__(self, gain):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x):
        return self.gain * x.flatten(1)


class Dot(Posterior):
    def forward(self, features):
        return Independent(Normal(features, torch.tensor(1e-3)), 1)


class Same(Decoder):
    hidden_size = 1

    def forward(self, z, x):
        return z


class Around(Likelihood):
    """N(hidden, scale²), of one pixel."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def log_prob(self, hidden, x):
        return Normal(hidden, self.scale).log_prob(x.flatten(1)).sum(1)

    def mean(self, hidden):
        return hidden[..., None, None]

    def draw(self, hidden):
        return Normal(self.mean(hidden), self.scale).sample()


def denoiser(gain):
    spread = (1 / DATA**2 + 1 / NOISE**2) ** -0.5  # of x given x̃, if the gain is the best
    noise = GaussianNoise((1, 1, 1), NOISE)
    return Autoencoder(Gain(gain), Dot(), StandardNormal(1), Same(), Around(spread), noise, NoCorruption())


BEST = DATA**2 / (DATA**2 + NOISE**2)


def test_the_chain_of_the_best_denoiser_draws_from_the_data():
    x = torch.zeros(4000, 1, 1, 1)
    links = list(chain(denoiser(BEST), x, 40))
    assert len(links) == 40
    assert links[-1].x.shape == links[-1].mean.shape == x.shape
    assert float(links[-1].x.std()) == pytest.approx(DATA, rel=0.05)
    assert float(links[-1].x.mean()) == pytest.approx(0.0, abs=0.15)
    assert float(links[0].x.std()) < DATA - 0.2, "one step from 0 is not yet a draw"


def test_a_chain_of_words_is_refused():
    vae = vae_of("sentences/lstm")
    with pytest.raises(RequestError, match="words"):
        next(chain(vae.model, batch_of(vae), 1))


def test_noise2noise_learns_what_clean_targets_teach():
    torch.manual_seed(1)
    model, objective = denoiser(0.3).train(), Noise2Noise()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for step in range(120):
        x = DATA * torch.randn(2000, 1, 1, 1, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        objective(model, Batch(x), 0.5).loss.backward()
        optimizer.step()
    assert float(model.encoder.gain.detach()) == pytest.approx(BEST, abs=0.03)


def test_noise2noise_scores_another_noisy_copy_and_reports_x_itself():
    vae = vae_of("images/noise2noise")
    model, x = vae.model.train(), batch_of(vae)
    read, scored = [], []
    model.encoder.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    log_prob = model.likelihood.log_prob
    model.likelihood.log_prob = lambda hidden, target: scored.append(target) or log_prob(hidden, target)
    Noise2Noise()(model, Batch(x), 0.5)
    assert not torch.equal(scored[0], x)
    assert not torch.equal(scored[0], read[0])
    assert torch.equal(scored[1], x)


def test_walkback_reads_its_own_draws_and_scores_x_each_time():
    vae = vae_of("images/walkback")
    model, x = vae.model.eval(), batch_of(vae)
    read, scored = [], []
    model.encoder.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    log_prob = model.likelihood.log_prob
    model.likelihood.log_prob = lambda hidden, target: scored.append(target) or log_prob(hidden, target)
    found = Walkback(3)(model, Batch(x), 0.5)
    assert len(read) == len(scored) == 3
    assert all(torch.equal(target, x) for target in scored)
    assert torch.equal(read[0], x)
    assert not torch.equal(read[1], x)
    assert set(read[1].unique().tolist()) <= {0.0, 1.0}
    one = Walkback(1)(model, Batch(x), 0.5)
    torch.testing.assert_close(one.loss, found.distortion.mean())


@pytest.mark.parametrize("objective", [Walkback(), Noise2Noise()])
def test_what_denoises_needs_noise_and_no_words(objective):
    with pytest.raises(RequestError, match="needs noise"):
        objective.attach(vae_of("images/vae").model)
    with pytest.raises(RequestError, match="words"):
        objective.attach(vae_of("sentences/daae").model)
    with pytest.raises(RequestError, match="1 step"):
        Walkback(0)
