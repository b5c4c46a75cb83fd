"""Models that begin with the weights of another: what is taken, what is refused, and when it is read."""

import shutil

import pytest
import torch

from tests.toys import SENTENCES, codec_of, settings_of, vae_of
from textvae.codecs.words import WordCodec
from textvae.errors import RequestError
from textvae.settings import Settings
from textvae.tensors import state
from textvae.text_vae import TextVAE

LM = "sentences/language_model"


@pytest.fixture
def lm(tmp_path):
    """A saved language model, with the vocabulary of sentences/lstm."""
    vae_of(LM, {"train.seed": 5}).save_pretrained(tmp_path / "lm" / "model")
    return tmp_path / "lm"


def begun(**options):
    return vae_of("sentences/lstm", {f"model.{key.replace('__', '.')}": value for key, value in options.items()})


@pytest.mark.parametrize("z_to", ["state", "input", "both", "all"])
def test_a_decoder_begins_as_the_language_model_was(tmp_path, z_to):
    lm = tmp_path / "lm"
    vae_of(LM, {"train.seed": 5, "model.decoder.z_to": z_to}).save_pretrained(lm)
    vae = begun(decoder_from=str(lm), decoder__z_to=z_to)
    fresh, source = begun(decoder__z_to=z_to), TextVAE.from_pretrained(lm)
    one, two, old = state(vae.model), state(fresh.model), state(source.model)
    assert torch.equal(one["decoder.embedding.weight"], old["decoder.embedding.weight"])
    assert torch.equal(one["likelihood.bias"], old["likelihood.bias"])
    assert torch.equal(one["decoder.lstms.0.weight_hh_l0"], old["decoder.lstms.0.weight_hh_l0"])
    inputs, words = one["decoder.lstms.0.weight_ih_l0"], old["decoder.lstms.0.weight_ih_l0"]
    assert torch.equal(inputs[:, : words.shape[1]], words)
    assert inputs[:, words.shape[1] :].count_nonzero() == 0
    assert all(torch.equal(one[key], two[key]) for key in one if key.startswith(("encoder", "posterior")))
    assert one.keys() == two.keys()
    assert vae.model.likelihood.weight is vae.model.decoder.embedding.weight
    assert "decoder begins with" in vae.facts["begun_with"][0]
    assert str(lm) in vae.facts["begun_with"][0]


@pytest.mark.parametrize("cell", ["lstm", "mogrifier"])
@pytest.mark.parametrize("z_to", ["state", "input", "both", "all"])
def test_whatever_the_code_the_scores_are_those_of_the_language_model(tmp_path, z_to, cell):
    lm = tmp_path / "lm"
    vae_of(LM, {"train.seed": 5, "model.decoder.z_to": z_to, "model.decoder.cell": cell}).save_pretrained(lm)
    vae, source = begun(decoder_from=str(lm), decoder__z_to=z_to, decoder__cell=cell), TextVAE.from_pretrained(lm)
    x = vae.batch(SENTENCES)
    one = vae.model.eval().log_px(x, torch.randn(1, len(x), 3))
    two = source.model.log_px(x, torch.zeros(1, len(x), 0))
    torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_encoder_begins_with_a_language_models_decoder(lm, bidirectional):
    vae = begun(encoder_from=str(lm), encoder__bidirectional=bidirectional)
    new, old = state(vae.model), state(TextVAE.from_pretrained(lm).model)
    assert torch.equal(new["encoder.embedding.weight"], old["decoder.embedding.weight"])
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        assert torch.equal(new[f"encoder.forwards.0.{kind}_l0"], old[f"decoder.lstms.0.{kind}_l0"])
    assert f"5 of its {9 if bidirectional else 5} tensors" in vae.facts["begun_with"][0]


@pytest.mark.parametrize("name", ["bag", "conv"])
def test_encoders_of_other_kinds_take_the_embedding(lm, name):
    vae = begun(encoder_from=str(lm), encoder__name=name)
    assert torch.equal(vae.model.encoder.embedding.weight, TextVAE.from_pretrained(lm).model.decoder.embedding.weight)
    assert "begins with 1 of" in vae.facts["begun_with"][0]


@pytest.mark.parametrize("recipe", ["sentences/lstm", "images/conv_vae"])
def test_a_model_begins_as_the_whole_of_another(tmp_path, recipe):
    flow = {"model.prior.name": "flow"}
    first = vae_of(recipe, {**flow, "train.seed": 3})
    first.save_pretrained(tmp_path / "m")
    again = vae_of(recipe, {**flow, "model.all_from": str(tmp_path / "m"), "objective.name": "iwae"})
    one, two = state(first.model), state(again.model)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert again.facts["begun_with"][0].startswith(f"the model begins with {len(one)} of its {len(one)} tensors")
    with pytest.raises(RequestError, match=r"model cannot begin with .*prior\.\S+ has no place"):
        vae_of(recipe, {"model.prior.name": "standard_normal", "model.all_from": str(tmp_path / "m")})


def test_both_sides_of_a_model_can_begin_another(tmp_path):
    first = vae_of("sentences/lstm", {"train.seed": 3})
    first.save_pretrained(tmp_path / "m")
    again = begun(encoder_from=str(tmp_path / "m"), decoder_from=str(tmp_path / "m"))
    one, two = state(first.model), state(again.model)
    same = {key for key in one if torch.equal(one[key], two[key])}
    assert {key for key in one if key.startswith(("encoder", "decoder", "likelihood"))} <= same
    assert "posterior_head.mean.weight" not in same


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"decoder__hidden_size": 6}, r"decoder cannot begin.*lstms\.0.*\[32, 8\] there and \[24, 6\] here"),
        ({"decoder__z_to": "input"}, r"decoder\.initial\.weight has no place"),
        ({"decoder__embedding_size": 6}, r"decoder\.embedding\.weight is"),
        ({"likelihood__tied": False}, "ties its embedding"),
        ({"decoder__name": "dilated_conv"}, r"decoder\.lstms\.0\S+ has no place"),
        ({"encoder__hidden_size": 6}, r"encoder cannot begin.*forwards\.0"),
        ({"encoder__name": "none"}, "'none' has no tensors in common"),
    ],
)
def test_what_does_not_fit_is_named(lm, options, says):
    side = "encoder_from" if next(iter(options)).startswith("encoder") else "decoder_from"
    with pytest.raises(RequestError, match=f"(?s){says}"):
        begun(**{side: str(lm)}, **options)


@pytest.mark.parametrize("side", ["all_from", "decoder_from"])
def test_weights_of_z_are_read_at_the_scale_that_they_were_learned_at(tmp_path, side):
    first = vae_of("sentences/lstm", {"train.seed": 3, "model.decoder.z_scale": 0.5})
    first.save_pretrained(tmp_path / "m")
    with pytest.raises(RequestError, match=r"cannot begin with.*z enters it times 0\.5, and 1 here \(z_scale\)"):
        begun(**{side: str(tmp_path / "m")})
    again = begun(**{side: str(tmp_path / "m")}, decoder__z_scale=0.5)
    assert torch.equal(again.model.decoder.initial.weight, first.model.decoder.initial.weight)


def test_a_language_model_has_no_weights_of_z_to_scale(lm):
    again, first = begun(decoder_from=str(lm), decoder__z_scale=0.5), TextVAE.from_pretrained(lm)
    assert torch.equal(again.model.likelihood.bias, first.model.likelihood.bias)


def test_more_layers_than_the_encoder_has_are_refused(tmp_path):
    vae_of(LM, {"model.decoder.layers": 2}).save_pretrained(tmp_path / "lm")
    with pytest.raises(RequestError, match=r"forwards\.1\S+ has no place"):
        begun(encoder_from=str(tmp_path / "lm"))


def test_another_vocabulary_is_refused(lm):
    settings = settings_of("sentences/ptb", {"model.decoder_from": str(lm)})
    with pytest.raises(RequestError, match="vocabulary is another"):
        TextVAE.new(settings, codec_of("words"))
    other = WordCodec.fit([*SENTENCES, "zebras"], vocab_size=31)
    with pytest.raises(RequestError, match="vocabulary is another"):
        TextVAE.new(settings, other)


def test_a_model_to_begin_with_that_is_not_there_is_refused_with_its_name(tmp_path):
    with pytest.raises(RequestError, match="nowhere"):
        begun(encoder_from=str(tmp_path / "nowhere"))


def test_a_saved_model_needs_the_first_one_no_more(lm, tmp_path):
    vae = begun(encoder_from=str(lm), decoder_from=str(lm))
    vae.save_pretrained(tmp_path / "m")
    shutil.rmtree(lm)
    back = TextVAE.from_pretrained(tmp_path / "m")
    assert back.settings.model.encoder_from == str(lm), "where a model comes from is lost"
    assert all(torch.equal(value, state(vae.model)[key]) for key, value in state(back.model).items())
    assert TextVAE.new(back.settings, back.codec, begin=False).facts == {}


def test_models_without_such_a_setting_are_written_as_before():
    tree = settings_of("sentences/lstm").to_dict()
    assert not {"all_from", "encoder_from", "decoder_from"} & tree["model"].keys()
    assert Settings.from_dict(tree).model.encoder_from is None
