"""Filling blanks against exhaustive search, and on a language where only one word fits."""

import itertools

import pytest
import torch

from tests.toys import SENTENCES, homes, vae_of, variants
from textvae.codecs.base import BOS, EOS, PAD, UNK
from textvae.codecs.sentencepiece import SentencePieceCodec
from textvae.codecs.words import WordCodec
from textvae.decoders import DECODERS, AutoregressiveDecoder
from textvae.errors import RequestError
from textvae.latent import imputation
from textvae.latent.imputation import Imputation, impute
from textvae.settings import Settings
from textvae.text_vae import TextVAE

AUTOREGRESSIVE = variants(DECODERS, lambda part: issubclass(part, AutoregressiveDecoder))
WIDE = Imputation(max_words=2, max_tokens=2, beam_size=400, codes=1, turns=1, iw_samples=1)


def sharpened(vae):
    """A model that has opinions."""
    model = vae.model.eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "decoder" in key or "likelihood" in key:
                p.copy_(torch.randn(p.shape) * (0.8 if p.dim() > 1 else 0.3))
        model.likelihood.bias[[PAD, UNK, BOS]] += 4.0  # tempting, and never to be said
    return vae


def few_words(vae, n=3):
    """Only the first ``n`` words of the vocabulary can be said; they are returned."""
    with torch.no_grad():
        vae.model.likelihood.bias[4 + n :] = -torch.inf
    return [vae.codec.text([4 + i]) for i in range(n)]


def log_p(vae, text, z):
    return float(vae.model.log_px(vae.batch([text]), z[None, None])[0, 0].detach())


def check_against_everything(vae, form):
    words = few_words(sharpened(vae))
    parts = imputation.parts_of(form.format(*words))
    search = imputation._Search(vae, parts, WIDE)
    z = torch.randn(1, vae.settings.model.latent_size)
    fillings = [" ".join(f) for k in (1, 2) for f in itertools.product(words, repeat=k)]
    every = list(itertools.product(fillings, repeat=len(parts) - 1))
    x = vae.batch([search.fill(filling) for filling in every])
    scores = dict(zip(every, vae.model.log_px(x, z.expand(len(every), -1)[None])[0].detach()))
    with torch.no_grad():
        found = search.proposals(z)
    assert set(found) == set(every)
    best = torch.stack(list(scores.values())).sort(descending=True).values
    torch.testing.assert_close(torch.stack([scores[f] for f in found]), best, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("form", ["{0} ___ {1}", "___ {0}", "{2} {0} ___", "___ {1} ___", "___"])
def test_a_wide_search_at_one_code_finds_what_trying_everything_finds(form, monkeypatch):
    monkeypatch.setattr(imputation, "MARGIN", torch.inf)
    check_against_everything(vae_of("sentences/ptb"), form)


@pytest.mark.parametrize(("name", "options"), AUTOREGRESSIVE)
def test_and_so_it_does_with_every_decoder(name, options, monkeypatch):
    monkeypatch.setattr(imputation, "MARGIN", torch.inf)
    home = next(vae for vae in homes("decoder", name, options) if isinstance(vae.codec, WordCodec))
    check_against_everything(home, "{0} ___ {1}")


def test_the_search_is_in_the_order_of_log_p_under_a_language_model():
    vae = vae_of("sentences/language_model")
    if not isinstance(vae.codec, WordCodec):
        settings = vae.settings.to_dict() | {"codec": {"name": "words", "max_length": 30}}
        vae = TextVAE.new(Settings.from_dict(settings), WordCodec.fit(SENTENCES))
    words = few_words(sharpened(vae))
    found = impute(vae, f"{words[0]} ___ {words[1]}", n=12, how=WIDE)
    fillings = [" ".join(f) for k in (1, 2) for f in itertools.product(words, repeat=k)]
    scores = {f: log_p(vae, f"{words[0]} {f} {words[1]}", torch.zeros(0)) for f in fillings}
    assert [one.words[0] for one in found] == sorted(scores, key=lambda f: -scores[f])
    for one in found:
        assert one.log_prob == pytest.approx(scores[one.words[0]], abs=1e-4)
        assert one.text == f"{words[0]} {one.words[0]} {words[1]}"


def test_the_bound_is_that_of_evaluate():
    from tests.toys import batches_of
    from textvae.evaluation.bounds import evaluate

    vae = sharpened(vae_of("sentences/ptb"))
    search = imputation._Search(vae, ["", ""], Imputation())
    with torch.no_grad():
        bounds = search.bounds([(text,) for text in SENTENCES], 400)
    report = evaluate(vae.model, batches_of(vae, shuffle=False), iw_samples=400, mutual_information=False)
    assert float(bounds.mean()) == pytest.approx(-report.nll_iw, abs=0.3)


ONLY = ["the cat drinks milk", "the dog eats meat", "a bird sings songs", "a man reads books"]


@pytest.fixture(scope="module")
def taught():
    """A model of four facts at four times of the day."""
    torch.manual_seed(0)
    texts = [f"{fact} {when}" for fact in ONLY for when in ("today", "at night", "slowly", "now")]
    settings = vae_of("sentences/ptb").settings.to_dict() | {"codec": {"name": "words", "max_length": 12}}
    for side in ("encoder", "decoder"):
        settings["model"][side] |= {"embedding_size": 24, "hidden_size": 24, "dropout": 0.0}
    settings["model"]["latent_size"] = 4
    vae = TextVAE.new(Settings.from_dict(settings), WordCodec.fit(texts, max_length=12))
    x, optimizer = vae.batch(texts), torch.optim.Adam(vae.model.parameters(), 0.02)
    for _ in range(150):
        q = vae.model.train().posterior(x)
        loss = (
            -vae.model.log_px(x, q.rsample((1,))).mean()
            + 0.1 * torch.distributions.kl_divergence(q, vae.model.prior()).mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return vae


@pytest.mark.parametrize("when", ["today", "at night"])
@pytest.mark.parametrize("fact", ONLY)
def test_the_one_word_that_fits_is_found(taught, fact, when):
    words = f"{fact} {when}".split()
    for i in range(len(words)):
        text = " ".join([*words[:i], "___", *words[i + 1 :]])
        found = impute(taught, text, n=1, how=Imputation(max_words=1, codes=2, turns=2, iw_samples=8))
        if i < 4:  # at other places, another time of the day may fit
            assert found[0].words == [words[i]], text
    two = impute(taught, f"{words[0]} ___ {words[2]} ____ {' '.join(words[4:])}", n=1, how=Imputation(max_words=1))
    assert two[0].words == [words[1], words[3]]


def test_the_model_is_left_as_it_was_and_a_seed_repeats(taught):
    state = torch.get_rng_state()
    one = impute(taught, "the ___ milk now", seed=3)
    assert torch.equal(state, torch.get_rng_state())
    assert one == impute(taught, "the ___ milk now", seed=3)
    assert one[0].words == ["cat drinks"]
    assert len(one) == len({c.text for c in one})
    assert [c.log_prob for c in one] == sorted((c.log_prob for c in one), reverse=True)


@pytest.fixture(scope="module")
def subwords():
    torch.manual_seed(0)
    vae = vae_of("sentences/lstm")
    assert isinstance(vae.codec, SentencePieceCodec)
    return vae


@pytest.mark.parametrize(
    "text",
    ["the ___ sat.", "___", "  ___  the   mat ___  ", '"___", (___) said… ___!', "É 🙂 ___ ½ ____ \u3000x", "___ ___",
     "the cat ___", "the-___ cat", "我___你 ___。", "\udcff ___"],
)  # fmt: skip
def test_the_text_is_the_users_own_with_its_blanks_filled(subwords, text):
    blanks = len(imputation.BLANK.findall(text))
    found = impute(subwords, text, n=4, how=Imputation(codes=2, turns=2, iw_samples=2, beam_size=6))
    assert found
    for one in found:
        assert len(one.words) == blanks
        assert one.text == imputation.BLANK.sub("{}", text).format(*one.words)
        for words in one.words:
            assert 1 <= len(words.split()) <= 2
            assert words == " ".join(words.split())
            assert all(any(map(str.isalnum, word)) for word in words.split())


def test_a_word_that_is_spelt_in_pieces_can_be_found(subwords, monkeypatch):
    monkeypatch.setattr(imputation, "MARGIN", torch.inf)
    search = imputation._Search(subwords, ["the ", " sat"], Imputation(max_words=1, max_tokens=2, beam_size=500))
    with torch.no_grad():
        found = [words[0] for words in search.proposals(torch.randn(1, subwords.settings.model.latent_size))]
    assert any(len(subwords.codec.ids([word])[0]) > 1 for word in found)
    assert all(" " not in word for word in found)


@pytest.mark.parametrize(
    ("text", "part"),
    [("", "no blank"), ("the cat", "no blank"), ("a __ b", "no blank"), ("ca___t", "whole words"),
     ("Tom___ is", "'m'"), ("___9", "'9'"), ("word " * 40 + "___", "too long")],
)  # fmt: skip
def test_texts_that_cannot_be_filled_are_refused(subwords, text, part):
    with pytest.raises(RequestError, match=part):
        impute(subwords, text)


@pytest.mark.parametrize("text", ["the ___.", '"___ cat', "the ___, cat"])
def test_a_model_of_words_wants_spaces_around_a_blank(taught, text):
    with pytest.raises(RequestError, match="put a space"):
        impute(taught, text)


def test_words_that_the_model_does_not_know_stay_as_they_are(taught):
    found = impute(taught, "the zyzzyva ___ milk", n=2)
    assert all(one.text == f"the zyzzyva {one.words[0]} milk" for one in found)


def test_no_symbol_but_a_word_is_written(taught):
    with torch.no_grad():
        before = taught.model.likelihood.bias.clone()
        taught.model.likelihood.bias[[PAD, UNK, BOS, EOS]] += 30
        found = impute(taught, "the ___ drinks ___ now", n=9)
        taught.model.likelihood.bias.copy_(before)
    assert all("⁇" not in one.text for one in found)


def test_models_that_do_not_write_word_by_word_are_refused():
    with pytest.raises(RequestError, match="word by word"):
        impute(vae_of("documents/vae"), "a ___ b")


def test_settings_out_of_range_are_refused():
    with pytest.raises(RequestError):
        Imputation(max_words=0)
