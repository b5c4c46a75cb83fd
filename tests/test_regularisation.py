"""Dropout of strong language models: what a mask spans, what its mean is, and that without it nothing changes."""

import pytest
import torch
from torch import nn

from tests.toys import batch_of, vae_of, whole_batch
from textvae.decoders.lstm import LSTMDecoder
from textvae.encoders.lstm import LSTMEncoder
from textvae.errors import RequestError
from textvae.regularisation import Dropout, EmbeddingDropout, LockedDropout, WeightDrop, one_network
from textvae.tensors import state

ALL = {"locked": True, "weight_drop": 0.5, "embedding_dropout": 0.2, "dropout": 0.5}


def test_a_locked_mask_is_one_per_sentence_over_its_positions():
    x = torch.ones(200, 7, 50)
    out = LockedDropout(0.3).train()(x)
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert not torch.equal(out[0], out[1])
    assert (out == 0).float().mean() == pytest.approx(0.3, abs=0.02)
    assert out.mean() == pytest.approx(1.0, abs=0.03)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert LockedDropout(0.3).train()(torch.ones(5, 8)).shape == (5, 8)


def test_embedding_dropout_drops_words_wherever_they_stand():
    embedding, ids = nn.Embedding(400, 4), torch.arange(400).repeat(3, 2)
    nn.init.ones_(embedding.weight)
    out = EmbeddingDropout(0.4).train()(embedding, ids)
    assert torch.equal(out, out[:1, :400].repeat(3, 2, 1)), "a word is dropped in one place and kept in another"
    assert torch.equal(out.amin(-1), out.amax(-1))
    assert (out == 0).float().mean() == pytest.approx(0.4, abs=0.08)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.6])


def test_weight_drop_is_an_lstm_with_some_of_its_connections_gone():
    lstm, drop, x = nn.LSTM(3, 20, batch_first=True), WeightDrop(0.5), torch.randn(2, 6, 3)
    before = {key: value.clone() for key, value in lstm.state_dict().items()}
    torch.manual_seed(3)
    mask = (torch.rand(80, 20) >= 0.5) * 2.0
    torch.manual_seed(3)
    out, ends = drop.train()(lstm, x)
    assert torch.allclose(out[:, 0], lstm(x)[0][:, 0]), "the first step has no state to drop connections from"
    assert not torch.allclose(out[:, 1], lstm(x)[0][:, 1])
    out.sum().backward()
    assert ((lstm.weight_hh_l0.grad == 0) == (mask == 0)).all()
    reference = nn.LSTM(3, 20, batch_first=True)
    reference.load_state_dict(before)
    with torch.no_grad():
        reference.weight_hh_l0.mul_(mask)
    expected, expected_ends = reference(x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(ends, expected_ends)
    assert lstm.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in lstm.state_dict().items())
    assert torch.equal(drop.eval()(lstm, x)[0], lstm(x)[0])


@pytest.mark.parametrize("rate", [-0.1, 1.5])
@pytest.mark.parametrize("option", ["dropout", "weight_drop", "embedding_dropout"])
@pytest.mark.parametrize("slot", ["encoder", "decoder"])
def test_a_rate_that_is_no_probability_is_refused(slot, option, rate):
    with pytest.raises(RequestError, match=slot):
        vae_of("sentences/ptb", {f"model.{slot}.{option}": rate, f"model.{slot}.locked": True})


@pytest.mark.parametrize("slot", ["encoder", "decoder"])
def test_the_options_change_no_name_no_number_in_evaluation_and_training_while_they_are_on(slot):
    plain = vae_of("sentences/ptb", {f"model.{slot}.dropout": 0.0})
    full = vae_of("sentences/ptb", {f"model.{slot}.{key}": value for key, value in ALL.items()})
    one, two = state(plain.model), state(full.model)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one), "the options draw numbers while a model is built"
    x, z = batch_of(plain), torch.randn(1, 16, 3)

    def outputs(vae, training):
        vae.model.train(training)
        hidden = vae.model.decoder(z[0], x)
        return vae.model.encoder(x) if slot == "encoder" else hidden

    assert torch.equal(outputs(plain, False), outputs(full, False))
    assert not torch.allclose(outputs(plain, True), outputs(full, True))


@pytest.mark.parametrize("part", [LSTMEncoder(30, 8, 8, dropout=0.3), LSTMDecoder(30, 3, 8, 8, dropout=0.3)])
def test_without_the_options_no_more_random_numbers_are_drawn(part):
    """A run that was begun before there were such options goes on to the same end."""
    assert type(part.dropout) in (nn.Dropout, Dropout)
    part.dropout.p = 0.0
    x = torch.randint(4, 30, (4, 6))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    part.train()(*((torch.randn_like(torch.zeros(0)).view(0, 3), x[:0]) if isinstance(part, LSTMDecoder) else (x,)))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("options", [{"layers": 2}, {"bidirectional": True}, {"layers": 2, "bidirectional": True}])
def test_every_lstm_of_an_encoder_is_trained_under_weight_drop(options):
    encoder = LSTMEncoder(30, 8, 8, weight_drop=0.5, locked=True, dropout=0.2, **options).train()
    encoder(torch.randint(4, 30, (4, 6))).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("sentences/iwae", {"dropout": 0.5}),
        ("sentences/iwae", {**ALL, "cell": "mogrifier"}),
        ("sentences/bowman", {"dropout": 0.5}),
        ("sentences/scnn", {"dropout": 0.5}),
        ("sentences/inputless", {"dropout": 0.5}),
        ("documents/prodlda", {"dropout": 0.5}),
        ("documents/vae", {"dropout": 0.5, "noise": 0.5, "hidden_sizes": [8]}),
    ],
)
def test_codes_are_compared_by_one_network_and_the_next_step_takes_another(recipe, options):
    vae = vae_of(recipe, {f"model.decoder.{name}": value for name, value in options.items()})
    batch, model = whole_batch(vae), vae.model.train()
    z = torch.randn(len(batch.x), vae.settings.model.latent_size).expand(4, -1, -1)

    def log_px():
        with one_network(4):
            return model.log_px(batch.scored, z, batch.y)

    first, second, apart = log_px(), log_px(), model.log_px(batch.scored, z, batch.y)
    torch.testing.assert_close(first, first[:1].expand(4, -1))
    assert not torch.equal(first, second)
    assert not torch.equal(apart[0], apart[1])
    model.eval()
    torch.testing.assert_close(log_px(), model.log_px(batch.scored, z))


def test_what_is_not_of_an_example_is_drawn_as_it_is():
    with one_network(4):
        assert len(EmbeddingDropout(0.5).train()(nn.Embedding(7, 2), torch.arange(7))) == 7
    x = torch.ones(8, 50)
    assert not torch.equal(*LockedDropout(0.5).train()(x).chunk(2)), "one network ends with the block"
