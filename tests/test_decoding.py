"""Decoding against slow references: recomputed forwards, exhaustive search, one code at a time."""

import itertools

import numpy as np
import pytest
import torch

from tests.toys import homes, vae_of, variants
from textvae.codecs.base import BOS, EOS, PAD, UNK
from textvae.decoders import DECODERS, AutoregressiveDecoder
from textvae.decoding import Decoding, _draw, _top, generate
from textvae.errors import RequestError

AUTOREGRESSIVE = variants(DECODERS, lambda part: issubclass(part, AutoregressiveDecoder))
NEVER = [PAD, UNK, BOS]


def sharpened(vae):
    """A model that has opinions: its choices differ between codes, and sentences end at different lengths."""
    model = vae.model.eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "decoder" in key or "likelihood" in key:
                p.copy_(torch.randn(p.shape) * (0.8 if p.dim() > 1 else 0.3))
        model.likelihood.bias[EOS] += 1.0
        model.likelihood.bias[[PAD, UNK, BOS]] += 4.0  # tempting, and never to be said
    return vae


def models(name="lstm", options=None):
    return [sharpened(vae) for vae in homes("decoder", name, options or {})]


def one_model(vocab=None):
    """A model of words; with ``vocab`` only that many words beside the special symbols can be said."""
    vae = sharpened(vae_of("sentences/ptb"))
    if vocab:
        with torch.no_grad():
            vae.model.likelihood.bias[4 + vocab :] = -torch.inf
    return vae.model


def codes(model, n):
    return torch.randn(n, model.prior().event_shape[0]) * 2


def next_words(model, z, ids):
    """log p of the next word, from the whole forward pass again; and the same with what is never said left out."""
    x = torch.tensor([[*ids, EOS]])
    logits = model.likelihood.logits(model.decoder(z[None], x)[:, -1], x[:, :-1])[0]
    said = logits.clone()
    said[NEVER] = -torch.inf
    return logits.log_softmax(-1), said


@torch.no_grad()
def slow_greedy(model, z, length):
    ids, total = [BOS], 0.0
    for _ in range(length):
        log_p, said = next_words(model, z, ids)
        word = int(said.argmax())
        ids.append(word)
        total += float(log_p[word])
        if word == EOS:
            break
    return ids, total


def sentences(x):
    """Rows up to and with EOS."""
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in x.tolist()]


@pytest.mark.parametrize(("name", "options"), AUTOREGRESSIVE)
def test_greedy_equals_forwards_made_again_for_each_word(name, options):
    texts = set()
    for vae in models(name, options):
        z = codes(vae.model, 6)
        x, log_prob = generate(vae.model, z, Decoding("greedy", max_length=8))
        for row, score, code in zip(sentences(x), log_prob, z):
            ids, total = slow_greedy(vae.model, code, 8)
            assert row == ids
            assert float(score) == pytest.approx(total, rel=3e-4, abs=1e-3)
            texts.add(tuple(row))
    assert len(texts) > 3, "these models say too little for the comparison to mean much"


@pytest.mark.parametrize(("name", "options"), AUTOREGRESSIVE)
def test_the_score_that_is_returned_is_that_of_the_model(name, options):
    ends = 0
    for vae in models(name, options):
        z = codes(vae.model, 12)
        for decoding in (Decoding("greedy", max_length=12), Decoding("sample", max_length=12, temperature=2.0, top_k=9),
                         Decoding("beam", beam_size=4, max_length=12)):  # fmt: skip
            x, log_prob = generate(vae.model, z, decoding)
            ended = (x == EOS).any(1)
            ends += int(ended.sum())
            scored = vae.model.log_px(x, z[None])[0].detach()
            torch.testing.assert_close(log_prob[ended], scored[ended], atol=1e-3, rtol=3e-4)
            torch.testing.assert_close(log_prob[~ended], scored[~ended], atol=1e-3, rtol=3e-4)
    assert ends > 12


def test_a_beam_of_one_is_greedy():
    model = one_model()
    z = codes(model, 10)
    one, two = (generate(model, z, Decoding(m, beam_size=1, max_length=9)) for m in ("greedy", "beam"))
    assert torch.equal(one[0], two[0])
    torch.testing.assert_close(one[1], two[1])


@torch.no_grad()
def exhaustive(model, z, words, length):
    """The most probable of all sentences of at most ``length`` symbols, ended or cut."""
    best, found = -torch.inf, None
    for n in range(length + 1):
        for inner in itertools.product(range(4, 4 + words), repeat=n):
            ids = [BOS, *inner] if n == length else [BOS, *inner, EOS]
            score = float(model.log_px(torch.tensor([ids]), z[None, None])[0, 0])
            if score > best:
                best, found = score, ids
    return found, best


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_beam_that_holds_everything_finds_the_most_probable_sentence(length):
    model = one_model(vocab=3)
    z = codes(model, 4)
    x, log_prob = generate(model, z, Decoding("beam", beam_size=4**length, max_length=length))
    for row, score, code in zip(sentences(x), log_prob, z):
        found, best = exhaustive(model, code, 3, length)
        assert float(score) == pytest.approx(best, abs=1e-4)
        assert row == found


def test_a_wider_beam_finds_better_sentences_on_the_whole():
    model = one_model()
    z = codes(model, 40)
    narrow, wide = (generate(model, z, Decoding("beam", beam_size=k, max_length=9))[1] for k in (1, 20))
    assert wide.mean() > narrow.mean()


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_batch_is_decoded_as_its_rows_are_alone(method):
    model = one_model()
    z = codes(model, 9)
    decoding = Decoding(method, beam_size=3, max_length=10)
    x, log_prob = generate(model, z, decoding)
    alone = [generate(model, code[None], decoding) for code in z]
    assert sentences(x) == [sentences(row)[0] for row, _ in alone]
    torch.testing.assert_close(log_prob, torch.cat([score for _, score in alone]), atol=1e-4, rtol=1e-4)
    assert len({len(row) for row in sentences(x)}) > 1


@pytest.mark.parametrize("method", ["greedy", "beam"])
@pytest.mark.parametrize("words", [3, 100])
def test_sentences_that_ended_may_wait_for_the_end_of_a_round(method, words, monkeypatch):
    model = one_model()
    z, decoding = codes(model, 30), Decoding(method, beam_size=3, max_length=10)
    x, log_prob = generate(model, z, decoding)
    monkeypatch.setattr("textvae.decoding.ROUND", {"cpu": words})
    later, same = generate(model, z, decoding)
    assert sentences(later) == sentences(x)
    torch.testing.assert_close(same, log_prob)


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_an_end_symbol_that_never_comes_is_not_waited_for(method):
    model = one_model()
    with torch.no_grad():
        model.likelihood.bias[EOS] = -torch.inf
    x, log_prob = generate(model, codes(model, 5), Decoding(method, max_length=6))
    assert x.shape == (5, 7)
    assert (x[:, 1:] > EOS).all()
    assert log_prob.isfinite().all()


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_nothing_is_said_but_words_between_the_first_symbol_and_the_end(method):
    model = one_model()
    x, _ = generate(model, codes(model, 40), Decoding(method, max_length=12))
    assert (x[:, 0] == BOS).all()
    for row in x.tolist():
        end = row.index(EOS) if EOS in row else len(row)
        assert all(i > EOS for i in row[1:end])
        assert all(i == PAD for i in row[end + 1 :])


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.0}, {"temperature": 1e-4}, {"temperature": 1e-45}, {"top_k": 1}, {"top_p": 1e-6}],
    ids=str,
)
def test_sampling_with_no_freedom_is_greedy(options):
    model = one_model()
    z = codes(model, 20)
    greedy = generate(model, z, Decoding("greedy", max_length=9))
    sampled = generate(model, z, Decoding("sample", max_length=9, **options))
    assert torch.equal(greedy[0], sampled[0])
    torch.testing.assert_close(greedy[1], sampled[1])


def first_words(model, decoding, n=6000):
    z = codes(model, 1).expand(n, -1)
    x, _ = generate(model, z, decoding)
    _, said = next_words(model, z[0], [BOS])
    return x[:, 1].bincount(minlength=len(said)) / n, said.detach()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_words_are_drawn_at_the_temperature(temperature):
    share, said = first_words(one_model(), Decoding("sample", temperature=temperature, max_length=1))
    torch.testing.assert_close(share, (said / temperature).softmax(-1), atol=0.03, rtol=0)


def test_top_k_and_top_p_draw_among_the_best_in_their_own_proportions():
    model = one_model()
    share, said = first_words(model, Decoding("sample", top_k=3, max_length=1))
    best = said.topk(3)
    expected = torch.zeros(len(said)).scatter(0, best.indices, best.values.softmax(-1))
    torch.testing.assert_close(share, expected, atol=0.03, rtol=0)
    share, said = first_words(model, Decoding("sample", top_p=0.6, max_length=1))
    ranked = said.softmax(-1).sort(descending=True)
    kept = int((ranked.values.cumsum(-1) < 0.6).sum()) + 1  # the smallest set that holds 0.6
    p = torch.zeros(len(said)).scatter(0, ranked.indices[:kept], ranked.values[:kept])
    torch.testing.assert_close(share, p / p.sum(), atol=0.03, rtol=0)


def test_top_k_is_taken_row_by_row():
    model = one_model()
    z = codes(model, 60)
    x, _ = generate(model, z, Decoding("sample", top_k=2, max_length=1))
    for code, word in zip(z, x[:, 1].tolist()):
        assert word in next_words(model, code, [BOS])[1].topk(2).indices.tolist()


@pytest.mark.parametrize("words", [7, 300], ids="{} words".format)
@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.5}, {"temperature": 2.0}, {"top_k": 5}, {"top_p": 0.8},
                {"temperature": 1.5, "top_k": 6, "top_p": 0.9}], ids=str,
)  # fmt: skip
def test_draws_pass_a_chi_square_test(words, options):
    torch.manual_seed(1)
    n, logits = 20_000, torch.randn(words) * 1.5
    logits[3] = -torch.inf
    log_p, decoding = logits.log_softmax(-1), Decoding("sample", **options)
    counts = _draw(log_p.expand(n, -1), decoding)[:, 0].bincount(minlength=words)
    p = (log_p / decoding.temperature).softmax(-1)
    if decoding.top_k:
        p[p < p.topk(decoding.top_k).values[-1]] = 0
    ranked = (p / p.sum()).sort(descending=True)
    kept = int((ranked.values.cumsum(-1) < decoding.top_p).sum()) + 1
    p = torch.zeros(words).scatter(0, ranked.indices[:kept], ranked.values[:kept])
    expected = n * p / p.sum()
    assert not counts[expected == 0].any()
    often = expected > 5
    rest = (counts[~often].sum() - expected[~often].sum()) ** 2 / expected[~often].sum().clamp(min=1)
    chi_square = ((counts - expected)[often] ** 2 / expected[often]).sum() + rest
    freedom = int(often.sum()) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5 + 8


@pytest.mark.parametrize("words", [3, 128, 257, 10_004])
def test_words_of_probability_0_are_never_drawn_and_the_last_one_can_be(words, monkeypatch):
    log_p = torch.full((4000, words), -torch.inf)
    log_p[:, 1], log_p[:, -1] = np.log(0.999), np.log(0.001) + 1.5
    assert set(_draw(log_p, Decoding("sample"))[:, 0].tolist()) == {1, words - 1}
    monkeypatch.setattr(torch, "rand", lambda *size, **options: torch.zeros(*size, **options))
    assert (_draw(log_p, Decoding("sample")) == 1).all()  # not word 0, at the end of its empty share


@pytest.mark.parametrize("words", [5, 128, 257, 2000])
@pytest.mark.parametrize("k", [1, 5, 300])
def test_the_best_are_those_of_topk(words, k):
    scores = torch.randn(9, words)
    values, places = _top(scores, k)
    expected = scores.topk(min(k, words))
    assert torch.equal(values, expected.values)
    assert torch.equal(places, expected.indices)


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_many_rows_are_decoded_as_few_are(method):
    model = one_model()  # many rows take other routes: see LSTMDecoder and Categorical.stepwise_logits
    z, decoding = codes(model, 40), Decoding(method, beam_size=3, max_length=10)
    many = generate(model, z, decoding)
    few = [generate(model, piece, decoding) for piece in z.split(4)]
    assert sentences(many[0]) == [row for x, _ in few for row in sentences(x)]
    torch.testing.assert_close(many[1], torch.cat([score for _, score in few]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_finished_rows_leave_the_batch(method, monkeypatch):
    model = one_model()
    z, seen, step = codes(model, 12), [], model.decoder.stepper(36)
    monkeypatch.setattr(model.decoder, "stepper", lambda rows: lambda t, s: seen.append(len(t)) or step(t, s))
    x, _ = generate(model, z, Decoding(method, beam_size=3, max_length=20))
    lengths = np.array([len(row) - 1 for row in sentences(x)])
    assert len(set(lengths)) > 2
    if method == "beam":  # a code may have to wait for a worse hypothesis to end
        assert seen[0] == 12 < seen[1] <= 36  # all hypotheses begin alike
        assert seen[1:] == sorted(seen[1:], reverse=True)
        assert seen[-1] < 36
    else:
        assert seen == [int((lengths > t).sum()) for t in range(lengths.max())]


@pytest.mark.parametrize("recipe", ["sentences/ptb", "sentences/language_model", "documents/vae", "images/vae"])
@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_no_codes_give_no_examples(recipe, method):
    vae = vae_of(recipe)
    x, log_prob = generate(vae.model.eval(), torch.zeros(0, vae.settings.model.latent_size), Decoding(method))
    assert len(x) == len(log_prob) == 0
    assert vae.write(torch.zeros(0, vae.settings.model.latent_size)) == ([], [])


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"beam_size": 0},
        {"max_length": 0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(RequestError):
        Decoding("sample", **options)


def test_decoding_leaves_no_gradient_behind():
    model = one_model()
    assert not generate(model, codes(model, 2).requires_grad_(), Decoding("greedy"))[1].requires_grad


def test_a_sentence_that_reaches_the_limit_of_the_codec_is_cut_there():
    vae = sharpened(vae_of("sentences/ptb"))
    with torch.no_grad():
        vae.model.likelihood.bias[EOS] = -torch.inf
    assert len(vae.decode(torch.zeros(3), Decoding("greedy", max_length=10_000)).split()) == vae.codec.max_length
