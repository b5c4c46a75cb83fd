"""What holds of every corruption: training only, the same shape, and never of what is scored."""

import pytest
import torch

from tests.toys import RECIPES, batch_of, homes, vae_of, variants
from textvae.corruptions import CORRUPTIONS, Corruption
from textvae.corruptions.base import NoCorruption
from textvae.corruptions.word_dropout import WordDropout


class Recorder(Corruption):
    """Keeps what it is given, and returns ones of the same shape while training."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def corrupt(self, x):
        self.seen.append(x.clone())
        return torch.full_like(x, 4)


@pytest.mark.parametrize(("name", "options"), variants(CORRUPTIONS))
def test_corruption_acts_in_training_only(name, options):
    acted = False
    for vae in homes("decoder_noise", name, options):
        x, noise = batch_of(vae), vae.model.decoder_noise
        before = x.clone()
        assert noise.eval()(x) is x
        noisy = [noise.train()(x) for _ in range(8)]
        assert all(n.shape == x.shape and n.dtype == x.dtype for n in noisy)
        assert torch.equal(x, before), "the batch itself was changed"
        acted |= any(not torch.equal(n, x) for n in noisy)
    assert acted or issubclass(CORRUPTIONS.get(name), NoCorruption)


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_noise_reaches_its_own_reader_and_never_the_score(recipe):
    vae = vae_of(recipe)
    model, x = vae.model, batch_of(vae, 4)
    model.encoder_noise, model.decoder_noise = Recorder(), Recorder()
    scored, read = [], []
    log_prob = model.likelihood.log_prob
    model.likelihood.log_prob = lambda hidden, ids: scored.append(ids) or log_prob(hidden, ids)
    model.encoder.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    for training in (True, False):
        model.train(training)
        q = model.posterior(x)
        model.log_px(x, q.mean[None])
        assert torch.equal(scored[-1], x)
        assert torch.equal(read[-1], torch.full_like(x, 4) if training else x)
    assert len(model.encoder_noise.seen) == len(model.decoder_noise.seen) == 1


def test_word_dropout_replaces_that_share_of_words_and_no_special_symbol():
    x = torch.cat([torch.tensor([[2, 1, 0, 3]]).repeat(500, 1), torch.randint(4, 50, (500, 40))], 1)
    noisy = WordDropout(0.3).train()(x)
    assert torch.equal(noisy[:, :4], x[:, :4])
    changed = noisy != x
    assert set(noisy[changed].tolist()) == {1}
    assert changed[:, 4:].float().mean() == pytest.approx(0.3, abs=0.02)
    by_position = changed[:, 4:].float().mean(0)
    assert by_position.min() > 0.2
    assert by_position.max() < 0.4
    assert torch.equal(WordDropout(0.0).train()(x), x)
    assert (WordDropout(1.0).train()(x)[:, 4:] == 1).all()


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_word_dropout_refuses_what_is_no_probability(rate):
    from textvae.errors import RequestError

    with pytest.raises(RequestError, match="probability"):
        WordDropout(rate)
