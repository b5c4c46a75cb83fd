"""What holds of every encoder, decoder, likelihood, posterior, prior and recipe."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.toys import (
    RECIPES,
    SLOTS,
    batch_of,
    batches_of,
    codec_of,
    codec_part,
    equal,
    homes,
    raw_of,
    vae_of,
    variants,
    whole_batch,
)
from textvae.codecs import CODECS
from textvae.decoders import DECODERS, AutoregressiveDecoder
from textvae.decoding import Decoding
from textvae.encoders import ENCODERS
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.likelihoods import LIKELIHOODS
from textvae.objectives.base import is_normal
from textvae.posteriors import POSTERIORS
from textvae.priors import PRIORS
from textvae.tensors import aliases, state
from textvae.text_vae import TextVAE


def writes_from_a_code(vae):
    """Whether a code is enough to write from; unpooling with switches needs the picture too, and refuses."""
    try:
        return len(vae.sample(1)) == 1
    except RequestError:
        return False


def each_alone(vae):
    """What is scored of each example, in a batch of its own."""
    for raw in raw_of(vae.settings.codec.name):
        encoded = vae.codec.encode([raw])
        target = vae.codec.targets(encoded)
        yield vae.codec.collate(encoded) if target is None else target


AUTOREGRESSIVE = variants(DECODERS, lambda part: issubclass(part, AutoregressiveDecoder))


@pytest.mark.parametrize(("name", "options"), AUTOREGRESSIVE)
def test_step_unrolled_equals_forward(name, options):
    for vae in homes("decoder", name, options):
        x, decoder = whole_batch(vae).scored, vae.model.eval().decoder
        z = torch.randn(len(x), vae.settings.model.latent_size)
        whole = decoder(z, x)
        assert whole.shape == (len(x), x.shape[1] - 1, decoder.hidden_size)
        with torch.no_grad():
            for step in (decoder.step, decoder.stepper(1), decoder.stepper(len(x))):
                state, steps = decoder.start(z), []
                for t in range(x.shape[1] - 1):
                    hidden, state = step(x[:, t], state)
                    assert all(len(part) == len(x) for part in state)
                    steps.append(hidden)
                torch.testing.assert_close(torch.stack(steps, 1), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "options"), AUTOREGRESSIVE)
def test_a_word_does_not_see_those_after_it(name, options):
    for vae in homes("decoder", name, options):
        x = whole_batch(vae).scored
        z = torch.randn(len(x), vae.settings.model.latent_size)
        other = x.clone()
        other[:, 4:] = 5
        assert not torch.equal(x, other)
        one, two = (vae.model.eval().decoder(z, ids) for ids in (x, other))
        torch.testing.assert_close(one[:, :4], two[:, :4], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "options"), variants(ENCODERS))
def test_features_depend_on_neither_batch_nor_padding(name, options):
    for vae in homes("encoder", name, options):
        encoder, x = vae.model.eval().encoder, batch_of(vae)
        together = encoder(x)
        assert together.shape == (len(x), encoder.output_size)
        alone = torch.cat([encoder(vae.batch([raw])) for raw in raw_of(vae.settings.codec.name)])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


PARTS = [("decoder", p) for p in variants(DECODERS)] + [("likelihood", p) for p in variants(LIKELIHOODS)]


@pytest.mark.parametrize(
    ("slot", "name", "options"), [pytest.param(slot, *p.values, id=f"{slot}-{p.id}") for slot, p in PARTS]
)
def test_a_score_depends_on_neither_batch_nor_padding_nor_other_codes(slot, name, options):
    for vae in homes(slot, name, options):
        model, x = vae.model.eval(), whole_batch(vae).scored
        z = torch.randn(3, len(x), vae.settings.model.latent_size)
        together = model.log_px(x, z)
        assert together.shape == (3, len(x))
        assert together.dtype == torch.float32
        alone = [model.log_px(one, z[1:2, i : i + 1])[0, 0] for i, one in enumerate(each_alone(vae))]
        torch.testing.assert_close(together[1], torch.stack(alone), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "options"), variants(POSTERIORS))
def test_a_posterior_is_a_distribution_over_codes(name, options):
    for vae in homes("posterior", name, options):
        x, size = batch_of(vae), vae.settings.model.latent_size
        q = vae.model.eval().posterior(x)
        assert q.batch_shape == (len(x),)
        assert q.event_shape == (size,)
        assert q.mean.shape == (len(x), size)
        z = q.rsample(torch.Size([2]))
        assert q.log_prob(z).shape == (2, len(x))
        if size and any(p.requires_grad for p in vae.model.posterior_head.parameters()):
            assert z.requires_grad


@pytest.mark.parametrize(("name", "options"), variants(PRIORS))
def test_a_prior_is_one_distribution_over_codes(name, options):
    for vae in homes("prior", name, options):
        p, size = vae.model.eval().prior(), vae.settings.model.latent_size
        assert p.batch_shape == ()
        assert p.event_shape == (size,)
        assert p.log_prob(p.sample(torch.Size([5, 2]))).shape == (5, 2)


@pytest.mark.parametrize("recipe", RECIPES)
def test_in_evaluation_nothing_is_random(recipe):
    vae = vae_of(recipe)
    x, raw = batch_of(vae), raw_of(vae.settings.codec.name)
    z = torch.randn(1, len(x), vae.settings.model.latent_size)
    model = vae.model.eval()
    assert torch.equal(model.posterior(x).mean, model.posterior(x).mean)
    scored = whole_batch(vae).scored
    assert torch.equal(model.log_px(scored, z), model.log_px(scored, z))
    assert torch.equal(vae.encode(raw), vae.encode(raw))
    vae.model.train()
    assert torch.equal(vae.encode(raw), vae.encode(raw)), "encode of a model left in training mode draws noise"
    vae.model.train()
    one, two = (evaluate(vae.model, batches_of(vae, shuffle=False), iw_samples=2, seed=3) for _ in range(2))
    assert one == two
    assert vae.model.training, "evaluate does not put the model back"


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_saved_model_is_the_same_model(recipe, dtype, tmp_path):
    vae = vae_of(recipe)
    vae.facts = {"corpus": "toy"}
    vae.save_pretrained(tmp_path / "model", dtype)
    back = TextVAE.from_pretrained(tmp_path / "model")
    assert back.settings == vae.settings
    assert back.facts == vae.facts
    assert not back.model.training
    assert all(p.dtype == torch.float32 for p in back.model.parameters())
    raw, size = raw_of(vae.settings.codec.name), vae.settings.model.latent_size
    if dtype == torch.float16:
        close = {"atol": 1e-2, "rtol": 1e-2}
    else:
        close = {"atol": 0.0, "rtol": 0.0}
        assert equal(state(vae.model), state(back.model))
        z = torch.randn(4, size)
        if not writes_from_a_code(vae):
            assert not writes_from_a_code(back)
            return
        for decoding in (Decoding("greedy"), Decoding("beam", beam_size=3)):
            first, second = vae.decode(z, decoding), back.decode(z, decoding)
            assert len(first) == len(second) == 4
            assert all(np.array_equal(a, b) for a, b in zip(first, second))
        assert str(vae.sample(2, seed=1)) == str(back.sample(2, seed=1))
    torch.testing.assert_close(vae.encode(raw), back.encode(raw), **close)
    x, z = whole_batch(vae).scored, torch.randn(1, len(raw), size)
    one, two = (v.model.eval().log_px(x, z) for v in (vae, back))
    torch.testing.assert_close(one, two, **(close if dtype == torch.float32 else {"atol": 0.5, "rtol": 1e-2}))


@pytest.mark.parametrize("recipe", RECIPES)
def test_tied_weights_stay_tied(recipe, tmp_path):
    vae = vae_of(recipe)
    tied = {key: first for key, first in aliases(vae.model).items() if key != first}
    assert bool(tied) == bool(vae.settings.model.likelihood.options.get("tied"))
    vae.save_pretrained(tmp_path / "model")
    back = TextVAE.from_pretrained(tmp_path / "model").model
    assert aliases(back) == aliases(vae.model)
    assert len(list(back.parameters())) == len(list(vae.model.parameters()))
    for key, first in tied.items():
        assert back.get_parameter(key) is back.get_parameter(first)


@pytest.mark.parametrize("recipe", RECIPES)
def test_more_importance_samples_give_a_higher_bound_and_never_one_under_the_elbo(recipe):
    vae = vae_of(recipe)
    with torch.no_grad():  # a decoder that listens to z, so that the bounds differ
        for key, p in vae.model.named_parameters():
            if "weight" in key:
                p.mul_(2.0)
    batches = batches_of(vae, shuffle=False)
    reports = [[evaluate(vae.model, batches, k, seed=s) for s in range(6)] for k in (1, 4, 32)]
    elbo = sum(r.nll for r in reports[0]) / 6
    iw = [sum(r.nll_iw for r in row) / 6 for row in reports]
    noise = 3 * max(r.nll_iw_stderr for row in reports for r in row) / 6**0.5 + 0.02 * abs(elbo)
    assert iw[0] == pytest.approx(elbo, abs=noise + 0.1 * abs(elbo))
    assert elbo + noise >= iw[1] - 1e-6
    assert iw[1] + noise >= iw[2] - 1e-6
    if vae.settings.model.latent_size:
        assert iw[2] < elbo
    else:
        assert iw[2] == pytest.approx(elbo, rel=1e-5)
    assert all(r.iw_samples == k for k, row in zip((1, 4, 32), reports) for r in row)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_wider_proposal_moves_the_bound_of_many_codes_alone_or_is_refused(recipe):
    vae = vae_of(recipe)
    vae.model.eval()  # or a look at the posterior moves the statistics of batch normalisation
    plain = evaluate(vae.model, batches_of(vae, shuffle=False), 3)
    if not is_normal(vae.model.posterior(whole_batch(vae).x)):
        with pytest.raises(RequestError, match="normal posterior"):
            evaluate(vae.model, batches_of(vae, shuffle=False), 3, widen=1.5)
        return
    wide = evaluate(vae.model, batches_of(vae, shuffle=False), 3, widen=1.5)
    assert (wide.nll_iw == plain.nll_iw) == (wide.latent_size == 0)
    same = {"nll_iw": None, "nll_iw_stderr": None, "perplexity_iw": None, "widen": 1.0}
    assert replace(wide, **same) == replace(plain, **same)


def plain(dims):
    """The sizes that a codec gives, with n-grams as the numbers that they are."""
    ngrams = dims.get("ngrams")
    return dims | ({"ngrams": (ngrams.keys.tolist(), ngrams.counts.tolist())} if ngrams else {})


@pytest.mark.parametrize("name", list(CODECS))
def test_codecs_give_an_array_for_each_example_and_come_back_from_disk(name, tmp_path):
    from textvae.assembly import load_codec

    codec, raw = codec_of(name), raw_of(name)
    encoded = codec.encode(raw)
    assert len(encoded) == len(raw)
    codec.save(tmp_path)
    back = load_codec(codec_part(name), tmp_path)
    assert back.fingerprint == codec.fingerprint
    assert plain(back.dims) == plain(codec.dims)
    x, target = codec.collate(encoded), codec.targets(encoded)
    assert torch.equal(x, back.collate(back.encode(raw)))
    assert len(x) == len(raw)
    assert target is None or torch.equal(target, back.targets(back.encode(raw)))
    once = codec.decode(x if target is None else target)
    assert len(once) == len(raw)
    if name == "codes":
        return  # what a decoder writes at a code need not have that code
    written = codec.written
    again = codec.decode(written.collate(written.encode(once)))
    assert [sorted(str(a).split()) for a in again] == [sorted(str(a).split()) for a in once]
    assert codec.encode([]) == []


def test_every_slot_of_a_model_has_its_registry():
    from textvae.settings import ModelSettings, Part

    slots = {key for key, field in ModelSettings.model_fields.items() if field.annotation is Part}
    assert slots == set(SLOTS)
