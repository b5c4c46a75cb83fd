"""What holds of every corruption: training only, the same shape, and never of what is scored."""

import pytest
import torch

from tests.toys import RECIPES, batch_of, homes, vae_of, variants, whole_batch
from textvae.corruptions import CORRUPTIONS, Corruption
from textvae.corruptions.base import NoCorruption
from textvae.corruptions.deletion import Deletion
from textvae.corruptions.gaussian import GaussianNoise
from textvae.corruptions.masking import Masking
from textvae.corruptions.salt_and_pepper import SaltAndPepper
from textvae.corruptions.word_dropout import WordDropout
from textvae.errors import RequestError


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
    for vae in homes("encoder_noise", name, options):
        x, noise = batch_of(vae), vae.model.encoder_noise
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
        written = whole_batch(vae, 4).scored
        model.log_px(written, q.mean[None])
        assert torch.equal(scored[-1], written)
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
    with pytest.raises(RequestError, match="probability"):
        WordDropout(rate)


def test_masking_of_numbers_makes_that_share_0():
    x = torch.rand(50, 1, 20, 20) + 0.1
    noisy = Masking(0.3).train()(x)
    gone = noisy == 0
    assert gone.float().mean() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(noisy[~gone], x[~gone])


def test_masking_of_words_is_word_dropout():
    x = torch.randint(0, 50, (20, 40))
    torch.manual_seed(1)
    one = Masking(0.4).train()(x)
    torch.manual_seed(1)
    assert torch.equal(one, WordDropout(0.4).train()(x))


def test_deletion_keeps_the_order_of_the_words_and_pads_at_the_right():
    x = torch.tensor([2, *range(4, 44), 3, 0, 0]).repeat(500, 1)
    noisy = Deletion(50, 0.3).train()(x)
    assert noisy.shape == x.shape
    lengths = (noisy != 0).sum(1)
    assert (lengths - 2).float().mean() == pytest.approx(28, abs=0.5)
    assert lengths.unique().numel() > 5
    for row, n in zip(noisy.tolist(), lengths.tolist()):
        assert row[0] == 2
        assert row[n - 1] == 3
        assert row[1 : n - 1] == sorted(set(row[1 : n - 1]))
        assert set(row[n:]) <= {0}
    nothing = Deletion(50, 1.0).train()(x)
    assert (nothing[:, :2] == torch.tensor([2, 3])).all()
    assert not nothing[:, 2:].any()
    assert torch.equal(Deletion(50, 0.0).train()(x), x)


def test_deletion_never_feeds_a_decoder():
    with pytest.raises(RequestError, match="encoder_noise"):
        vae_of("sentences/lstm", {"model.decoder_noise.name": "deletion"})


def test_gaussian_noise_has_its_scale():
    x = torch.full((50, 1, 20, 20), 0.5)
    noise = GaussianNoise((1, 20, 20), 0.2).train()(x) - x
    assert noise.mean() == pytest.approx(0.0, abs=0.01)
    assert noise.std() == pytest.approx(0.2, abs=0.01)


def test_salt_and_pepper_are_as_many():
    x = torch.full((50, 1, 20, 20), 0.5)
    noisy = SaltAndPepper((1, 20, 20), 0.4).train()(x)
    assert (noisy == 0).float().mean() == pytest.approx(0.2, abs=0.02)
    assert (noisy == 1).float().mean() == pytest.approx(0.2, abs=0.02)
    assert (noisy == 0.5).float().mean() == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize(
    ("recipe", "noise"),
    [
        ("sentences/lstm", "gaussian"),
        ("sentences/lstm", "salt_and_pepper"),
        ("documents/vae", "gaussian"),
        ("documents/vae", "salt_and_pepper"),
        ("documents/vae", "deletion"),
        ("images/vae", "deletion"),
    ],
)
def test_noise_of_another_kind_of_data_is_refused(recipe, noise):
    with pytest.raises(RequestError):
        vae_of(recipe, {"model.encoder_noise.name": noise})


@pytest.mark.parametrize(
    ("part", "options"),
    [(Deletion, (50, 1.1)), (Masking, (-0.1,)), (SaltAndPepper, ((1, 2, 2), 2.0)), (GaussianNoise, ((1, 2, 2), -1.0))],
)
def test_noise_that_makes_no_sense_is_refused(part, options):
    with pytest.raises(RequestError):
        part(*options)
