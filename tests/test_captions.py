"""Pictures to words: what is read, what is written, and how a caption finds its picture."""

import numpy as np
import pytest
import torch

from tests.toys import CAPTIONED, PICTURES, batches_of, settings_of, vae_of, whole_batch
from textvae.captioned import Captioned
from textvae.codecs.base import EOS, PAD
from textvae.codecs.captions import CaptionCodec
from textvae.errors import CorruptFolder, RequestError
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.text import captions_come_back
from textvae.latent.said import READINGS, readings, said_of
from textvae.text_vae import TextVAE

RECIPE = "images/captions"


@pytest.fixture
def codec():
    return CaptionCodec.fit(iter(CAPTIONED), text="words")


def test_the_first_caption_is_scored_and_training_draws_among_all(codec):
    examples = codec.encode(CAPTIONED[:4])
    assert torch.equal(codec.collate(examples), codec.pixels.collate(PICTURES[:4]))
    assert codec.decode(codec.targets(examples)) == [one.captions[0] for one in CAPTIONED[:4]]
    drawn = [codec.decode(codec.targets(examples, np.random.default_rng(i))) for i in range(20)]
    for texts, one in zip(zip(*drawn), CAPTIONED):
        assert set(texts) == set(one.captions)


def test_as_many_captions_as_there_are_and_a_picture_alone(codec):
    many = Captioned(PICTURES[0], ["a cat", "a dog ran", "", "rain"])
    encoded = codec.encode([many, PICTURES[1]])
    drawn = {codec.decode(codec.targets(encoded[:1], np.random.default_rng(i)))[0] for i in range(60)}
    assert drawn == set(many.captions)
    assert torch.equal(codec.collate(encoded), codec.pixels.collate(PICTURES[:2]))
    with pytest.raises(RequestError, match="no caption"):
        codec.targets(encoded)


def test_both_halves_of_the_codec_are_in_its_fingerprint(codec):
    other = CaptionCodec.fit([Captioned(p, ["another word"]) for p in PICTURES], text="words")
    wide = CaptionCodec.fit([Captioned(p.repeat(2, 1), said) for p, said in CAPTIONED], text="words")
    assert len({one.fingerprint for one in (codec, other, wide)}) == 3


def test_half_a_codec_is_damaged(codec, tmp_path):
    codec.save(tmp_path)
    (tmp_path / "pixels.json").unlink()
    with pytest.raises(CorruptFolder):
        CaptionCodec.load(tmp_path, text="words")


def test_a_batch_says_what_is_read_and_what_is_scored():
    vae = vae_of(RECIPE)
    batch = next(batches_of(vae, shuffle=False).epoch())
    assert batch.x.shape[1:] == (1, 4, 4)
    assert batch.scored is batch.target
    assert batch.target.dtype == torch.long
    again = next(batches_of(vae, shuffle=False).epoch())
    assert torch.equal(batch.target, again.target)
    assert batch.to(torch.device("cpu")).target is not None


def test_the_bound_is_that_of_the_captions():
    vae = vae_of(RECIPE)
    report = evaluate(vae.model, batches_of(vae, shuffle=False))
    batch = whole_batch(vae)
    assert report.tokens == int((batch.target[:, 1:] != PAD).sum())
    assert report.nll == pytest.approx(report.distortion + report.rate)


@pytest.mark.parametrize(
    "assignment",
    [
        {"model.encoder.name": "lstm"},
        {"model.decoder.name": "conv2d"},
        {"model.likelihood.name": "bernoulli"},
    ],
)
def test_parts_that_read_words_or_write_pictures_are_refused(assignment):
    with pytest.raises(RequestError):
        vae_of(RECIPE, assignment)


def test_what_begins_with_a_text_is_as_probable_as_all_that_goes_on_from_it():
    vae = vae_of(RECIPE)
    text, z = CAPTIONED[0].captions[0], torch.randn(5, 3)
    codec, model = vae.codec.written, vae.model.eval()
    x = codec.collate(codec.encode([text]))
    hidden = model.hidden(x.expand(5, -1), z)
    before = (x[:, :t].expand(5, -1) for t in range(1, x.shape[1]))
    logits = [model.likelihood.logits(hidden[:, t], words) for t, words in enumerate(before)]
    log_p = torch.stack(logits, 1).log_softmax(-1)
    words = x[0, 1:][x[0, 1:] != EOS]
    expected = sum(log_p[:, t, word] for t, word in enumerate(words.tolist()))
    torch.testing.assert_close(said_of(vae, text, z, gaps=0), expected.detach(), atol=1e-4, rtol=1e-4)


def test_a_model_that_learned_its_captions_says_and_finds_them(codec):
    settings = settings_of(RECIPE, {"model.latent_size": 8, "model.decoder.hidden_size": 32})
    vae = TextVAE.new(settings, codec)
    model, encoded = vae.model, codec.encode(CAPTIONED)
    x, target = codec.collate(encoded), codec.targets(encoded)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        (-model.log_px(target, model.posterior(x).mean[None])).mean().backward()
        optimizer.step()
    found = captions_come_back(vae, CAPTIONED)
    assert found["exact"] > 0.8
    assert found["caption_bleu"] > 80
    z = vae.encode([one.picture for one in CAPTIONED])
    ranks = [int(said_of(vae, one.captions[0], z).argmax()) == i for i, one in enumerate(CAPTIONED)]
    assert np.mean(ranks) > 0.8
    text = "woman tea and the man"  # of "the woman drinks tea and the man drinks milk"
    assert int(said_of(vae, text, z).argmax()) == 6
    ways = vae.codec.decode(torch.nn.utils.rnn.pad_sequence(readings(vae, text, z), batch_first=True))
    assert ways[:2] == [text, "the woman drinks tea and the man"]
    assert len(ways) <= READINGS
    assert (said_of(vae, text, z) >= said_of(vae, text, z, gaps=0)).all()
