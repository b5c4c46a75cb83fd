"""Codecs: round trips, strange texts, limits, and what is refused."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toys import SENTENCES, codec_of
from textvae.assembly import fit_codec, load_codec
from textvae.codecs.bag_of_words import BagOfWordsCodec
from textvae.codecs.base import BOS, EOS, PAD, UNK
from textvae.codecs.pixels import PixelCodec
from textvae.codecs.sentencepiece import SentencePieceCodec
from textvae.codecs.words import WordCodec
from textvae.errors import CorruptFolder, RequestError
from textvae.settings import Part

STRANGE = ["", " ", "Straße 🚲 naïve", "日本語 text", "a\u0301", "\ud800 alone", "x" * 300, "\u202eleft", "a\tb"]


def through(codec, text):
    return codec.decode(codec.collate(codec.encode([text])))[0]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=20))
def test_sentencepiece_spells_any_text(text):
    codec = codec_of("sentencepiece")
    once = through(SentencePieceCodec(codec._model, 500), text)
    again = through(SentencePieceCodec(codec._model, 500), once)
    assert again == once, "one round normalises, the second changes nothing"
    if text.isascii() and text == " ".join(text.split()):
        assert once == text


@pytest.mark.parametrize("name", ["sentencepiece", "words"])
@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_any_text_is_encoded_between_its_ends(name, text):
    codec = codec_of(name)
    ids = codec.encode([text])[0]
    assert ids[0] == BOS
    assert ids[-1] == EOS
    assert ids.dtype == np.uint16
    assert len(ids) <= codec.max_length + 2
    inner = ids[1:-1].astype(int)
    assert ((inner >= 4) | (inner == UNK)).all()
    assert (inner < codec.vocab_size).all()
    assert isinstance(codec.decode(codec.collate([ids]))[0], str)
    if name == "sentencepiece":
        assert UNK not in inner, "a byte spells what no piece covers"


def test_emoji_come_back_whole_from_bytes():
    assert through(codec_of("sentencepiece"), "a 🚲 and 日本") == "a 🚲 and 日本"


def test_an_empty_sentence_is_its_two_ends():
    for name in ("sentencepiece", "words"):
        codec = codec_of(name)
        assert codec.encode([""])[0].tolist() == [BOS, EOS]
        assert through(codec, "") == ""


def test_ids_without_an_end_and_ids_after_the_end():
    codec = WordCodec(["a", "b", "c"])
    x = torch.tensor([[BOS, 4, 5, 6], [BOS, 4, EOS, 5], [BOS, EOS, PAD, PAD], [BOS, UNK, 6, EOS]])
    assert codec.decode(x) == ["a b c", "a", "", "⁇ c"]


def bag(words, shown=10):
    return BagOfWordsCodec(words, [1] * len(words), 1, shown)


def test_words_are_ranked_by_frequency_then_spelling_and_capped():
    codec = WordCodec.fit(["b a c", "b a", "b"], vocab_size=2)
    assert codec.vocab_size == 6
    assert through(codec, "b a c d") == "b a ⁇ ⁇"
    assert WordCodec.fit(["c a b"], 5).fingerprint == WordCodec.fit(["b c a"], 5).fingerprint
    assert WordCodec.fit(["c a b"], 3, max_length=5).fingerprint != WordCodec.fit(["c a b"], 3).fingerprint


def test_the_corpus_own_unk_is_one_word_and_stands_for_unknown_ones():
    codec = WordCodec.fit(["the <unk> sat", "the <unk>"], 10)
    ids = codec.encode(["the <unk> slept"])[0].tolist()
    assert UNK not in ids
    assert ids[2] == ids[3]
    assert len(ids) == 5, "<unk> is scored as one word"
    assert through(codec, "the <unk> slept") == "the <unk> <unk>"
    plain = WordCodec.fit(["the cat"], 10)
    assert plain.encode(["the dog"])[0].tolist()[2] == UNK


@pytest.mark.parametrize("text", ["<pad> <s> </s> <unk> a", "▁ <0x41> ⁇"])
def test_spellings_of_special_symbols_in_a_corpus_are_words(text):
    codec = WordCodec.fit([text], 10)
    assert through(codec, text) == text
    pieces = codec_of("sentencepiece")
    ids = pieces.encode([text])[0][1:-1].astype(int).tolist()
    assert not {PAD, BOS, EOS} & set(ids), "text can smuggle in a special symbol"


def test_truncation_keeps_the_beginning_and_is_told():
    codec = WordCodec(["a", "b"], max_length=2)
    assert codec.encode(["a b a"])[0].tolist() == [BOS, 4, 5, EOS]
    assert codec.truncated("a b a")
    assert not codec.truncated("a b")


def test_padding_stands_at_the_right_and_nowhere_else():
    codec = WordCodec(["a", "b"])
    x = codec.collate(codec.encode(["a b a", "b"]))
    assert x.dtype == torch.long
    assert x.tolist() == [[BOS, 4, 5, 4, EOS], [BOS, 5, EOS, PAD, PAD]]


def test_a_large_vocabulary_gets_a_wider_dtype():
    assert WordCodec([str(i) for i in range(2**16 - 4)]).encode(["7"])[0].dtype == np.uint16
    wide = WordCodec([str(i) for i in range(2**16)])
    assert wide.encode(["65535"])[0].dtype == np.uint32
    assert through(wide, "65535") == "65535"


def test_lone_surrogates_in_a_corpus_are_replaced(tmp_path):
    codec = WordCodec.fit(["\ud800x the cat"], 10)
    codec.save(tmp_path)
    assert WordCodec.load(tmp_path).fingerprint == codec.fingerprint
    assert UNK not in codec.encode(["\ud800x"])[0]
    assert BagOfWordsCodec.fit(["\ud800x the cat", "a dog"], 10).words


def test_sentencepiece_is_the_same_twice_and_reads_its_iterator_once():
    one, two = (SentencePieceCodec.fit(iter(SENTENCES), vocab_size=320) for _ in range(2))
    assert one.fingerprint == two.fingerprint
    assert one._model == two._model


def test_a_tiny_corpus_gets_the_vocabulary_that_it_supports():
    codec = SentencePieceCodec.fit(["a cat", "a dog"], vocab_size=8000)
    assert codec.vocab_size < 400
    assert through(codec, "a dog and a 🚲") == "a dog and a 🚲"


@pytest.mark.parametrize("corpus", [["x"], ["same"] * 20, [""], []], ids=["a letter", "all the same", "blank", "none"])
def test_a_next_to_empty_corpus_is_fitted_or_refused(corpus):
    if corpus and corpus[0]:
        assert through(SentencePieceCodec.fit(corpus, vocab_size=8000), corpus[0]) == corpus[0]
    else:
        with pytest.raises(RequestError, match="more text"):
            SentencePieceCodec.fit(corpus, vocab_size=8000)


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(RequestError, match="vocab_size"):
        SentencePieceCodec.fit(SENTENCES, vocab_size=50)


def test_what_a_corpus_raises_while_it_is_read_comes_through():
    def broken():
        yield "one sentence"
        raise RequestError("line 2 is not UTF-8")

    for kind in (SentencePieceCodec, WordCodec, BagOfWordsCodec):
        with pytest.raises(RequestError, match="line 2"):
            kind.fit(broken())


def test_a_control_symbol_of_sentencepiece_is_not_read_from_text():
    codec = codec_of("sentencepiece")
    assert not {PAD, BOS, EOS} & set(codec.encode(["<s> </s> <pad>"])[0][1:-1].astype(int).tolist())


def test_bags_of_words_are_sparse_and_dense_only_in_a_batch():
    codec = bag(["cat", "dog", "the"])
    encoded = codec.encode(["The cat, the CAT! 42 a", "", "unknown words"])
    assert [e.shape for e in encoded] == [(2, 2), (2, 0), (2, 0)]
    assert encoded[0].tolist() == [[0, 2], [2, 2]]
    assert encoded[0].dtype == np.uint32
    x = codec.collate(encoded)
    assert x.tolist() == [[2, 0, 2], [0, 0, 0], [0, 0, 0]]
    assert x.dtype == torch.float32
    assert codec.decode(torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])) == ["dog cat", ""]
    assert bag(["cat", "dog", "the"], shown=1).decode(x) in (["cat", "", ""], ["the", "", ""])


def test_words_of_too_many_documents_are_left_out():
    texts = ["der cat", "der dog", "der bird", "der cat"]
    assert BagOfWordsCodec.fit(texts, max_share=0.5).words == ["cat", "bird", "dog"]
    assert BagOfWordsCodec.fit(texts, max_share=1.0).words[0] == "der"
    assert len(BagOfWordsCodec.fit(texts, vocab_size=2).words) == 2
    assert BagOfWordsCodec.fit(["one document", "alone"]).words


def test_stop_words_are_left_out_however_rare_and_another_language_brings_its_own():
    texts = ["the cat and The dog", "le chat et le chien", "Ωμέγα не слово"]
    words = BagOfWordsCodec.fit(texts).words
    assert set(words) == {"cat", "dog", "le", "chat", "et", "chien", "ωμέγα", "не", "слово"}
    assert {"the", "and"} < set(BagOfWordsCodec.fit(texts, stop_words="none").words)
    french = BagOfWordsCodec.fit(texts, stop_words=["le", "Et"]).words
    assert not {"le", "et"} & set(french)
    with pytest.raises(RequestError, match="stop_words=none"):
        BagOfWordsCodec.fit(["the and of", "is it"])


def test_a_vocabulary_of_the_corpus_is_taken_as_it_is():
    words = ["the", "unseen", "cat"]
    codec = fit_codec(Part(name="bag_of_words", vocab_size=2), ["the cat", "the", "the dog"], words)
    assert codec.words == words
    assert codec.dims == {"input_shape": (3,), "document_frequency": (1.0, 0.0, 1 / 3)}
    assert (
        fit_codec(Part(name="words"), ["a b"], words).fingerprint == fit_codec(Part(name="words"), ["a b"]).fingerprint
    )
    for wrong in ([], ["cat", "cat"], ["Cat"], ["two words"], ["a"], ["c4t"]):
        with pytest.raises(RequestError, match="vocabulary"):
            BagOfWordsCodec.fit(["the cat"], vocabulary=wrong)


def test_document_frequencies_are_shares_of_the_documents_and_come_back_from_disk(tmp_path):
    codec = BagOfWordsCodec.fit(["cat cat dog", "cat", "", "bird"])
    assert dict(zip(codec.words, codec.dims["document_frequency"])) == {"cat": 0.5, "dog": 0.25, "bird": 0.25}
    codec.save(tmp_path)
    assert BagOfWordsCodec.load(tmp_path).dims == codec.dims


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cat\ndog",
        "2\tdocuments",
        "2\tdocuments\n3\tcat",
        "2\tdocuments\n-1\tcat",
        "2\tdocuments\n1\tcat\n1\tcat",
        "2\tdocuments\n1\tcat\tdog",
        "2\tdocuments\n1\tCat",
        "x\tdocuments\n1\tcat",
        "9" * 5000 + "\tdocuments\n1\tcat",
    ],
)
def test_a_vocabulary_that_does_not_add_up_is_a_corrupt_folder(text, tmp_path):
    (tmp_path / "vocabulary.txt").write_text(text)
    with pytest.raises(CorruptFolder):
        BagOfWordsCodec.load(tmp_path)


def test_a_document_of_a_million_words_is_one_bag():
    codec = bag(["cat", "dog", "the"])
    (encoded,) = codec.encode(["the cat sat " * 333_334])
    assert encoded.tolist() == [[0, 2], [333_334, 333_334]]


def test_the_memory_for_bags_does_not_follow_vocabulary_times_documents():
    words = [f"w{''.join(chr(97 + (i // 26**k) % 26) for k in range(4))}" for i in range(100_000)]
    codec = bag(words)
    texts = [" ".join(words[(37 * i + k) % len(words)] for k in range(20)) for i in range(5_000)]
    tracemalloc.start()
    encoded = codec.encode(texts)
    first = codec.collate(encoded[:8])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first.shape == (8, 100_000)
    assert sum(a.nbytes for a in encoded) == 5_000 * 20 * 2 * 4
    assert peak < 50_000_000, "dense, these documents take 2,000 MB"


def test_pictures_come_back_and_others_are_refused():
    codec = PixelCodec((1, 2, 3))
    picture = np.arange(6, dtype=np.uint8).reshape(1, 2, 3) * 51
    x = codec.collate(codec.encode([picture, picture]))
    assert x.shape == (2, 1, 2, 3)
    assert float(x.min()) == 0.0
    assert float(x.max()) == 1.0
    assert np.array_equal(codec.decode(x)[0], picture)
    for wrong in (picture[:, :1], picture.astype(np.float32), picture.astype(np.int64), picture[0], picture.tolist()):
        with pytest.raises(RequestError, match="uint8"):
            codec.encode([wrong])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("words", {"max_length": 0}),
        ("words", {"max_length": "ten"}),
        ("words", {"vocab_size": -3}),
        ("words", {"vocabulary": 10}),
        ("sentencepiece", {"vocab_size": 0}),
        ("sentencepiece", {"lowercase": "perhaps"}),
        ("bag_of_words", {"vocab_size": 0}),
        ("bag_of_words", {"shown": 0}),
        ("sentencepeice", {}),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options):
    with pytest.raises(RequestError):
        fit_codec(Part(name=name, **options), ["some words here", "some more words"])


@pytest.mark.parametrize("name", ["words", "bag_of_words"])
def test_a_corpus_without_words_is_refused(name):
    with pytest.raises(RequestError):
        fit_codec(Part(name=name), [" ", "", "\n"])


def test_no_pictures_are_refused():
    with pytest.raises(RequestError, match="no pictures"):
        fit_codec(Part(name="pixels"), [])


@pytest.mark.parametrize("name", ["sentencepiece", "words", "bag_of_words", "pixels"])
def test_a_codec_whose_file_is_missing_or_garbage_is_a_corrupt_folder(name, tmp_path):
    with pytest.raises(CorruptFolder):
        load_codec(Part(name=name), tmp_path)
    codec_of(name).save(tmp_path)
    file = next(tmp_path.iterdir())
    file.write_bytes(b"\xff\xfe\x00garbage\xff" * 20)
    with pytest.raises(CorruptFolder):
        load_codec(Part(name=name), tmp_path)
    file.write_bytes(b'{"shape": 7}' if name == "pixels" else b"\xff")
    with pytest.raises(CorruptFolder):
        load_codec(Part(name=name), tmp_path)


def grey(n=40):
    return list(np.random.default_rng(0).integers(0, 256, (n, 1, 20, 20)).astype(np.uint8))


@pytest.mark.parametrize("binarise", ["fixed", "dynamic"])
def test_a_pixel_is_white_with_the_probability_of_its_grey(binarise):
    raw = grey()
    codec = fit_codec(Part(name="pixels", binarise=binarise), raw)
    x = codec.collate(codec.encode(raw), np.random.default_rng(1))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    p = torch.from_numpy(np.stack(raw)).double() / 255
    for low in np.arange(0, 1, 0.25):
        near = (p >= low) & (p < low + 0.25)
        assert float(x[near].mean()) == pytest.approx(float(p[near].mean()), abs=0.03)
    ends = codec.collate(codec.encode([np.full((1, 20, 20), v, np.uint8) for v in (0, 255)]), np.random.default_rng(2))
    assert ends[0].max() == 0
    assert ends[1].min() == 1


def test_fixed_is_drawn_once_and_dynamic_in_each_step_of_the_training():
    raw = grey(4)
    for binarise, anew in (("none", False), ("fixed", False), ("dynamic", True)):
        codec = fit_codec(Part(name="pixels", binarise=binarise), raw)
        one, two = (codec.collate(codec.encode(raw), np.random.default_rng(seed)) for seed in (1, 2))
        assert torch.equal(one, two) != anew
        evaluated = codec.collate(codec.encode(raw))
        alone = torch.cat([codec.collate(codec.encode([picture])) for picture in raw])
        assert torch.equal(evaluated, alone), "what is evaluated depends on the batch"
        assert len({str(row.tolist()) for row in evaluated}) == 4


def test_binarisation_is_kept_with_the_model(tmp_path):
    raw, prints = grey(2), set()
    for binarise in ("none", "fixed", "dynamic"):
        part = Part(name="pixels", binarise=binarise)
        codec = fit_codec(part, raw)
        codec.save(tmp_path)
        assert load_codec(part, tmp_path).binarise == binarise
        prints.add(codec.fingerprint)
    assert len(prints) == 3
    (tmp_path / "pixels.json").write_text('{"shape": [1, 20, 20], "binarise": "all"}')
    with pytest.raises(CorruptFolder, match="all"):
        load_codec(part, tmp_path)
    (tmp_path / "pixels.json").write_text('{"shape": [1, 20, 20]}')
    assert load_codec(part, tmp_path).binarise == "none"
    with pytest.raises(RequestError, match="dynamic"):
        fit_codec(Part(name="pixels", binarise="dinamic"), raw)


def test_a_sample_of_a_large_corpus_is_always_the_same_one():
    texts = [f"{i} mats and {i * i % 97} cats in {i % 13} gardens" for i in range(400)]
    fitted = [SentencePieceCodec.fit(texts, vocab_size=400, sample=150).fingerprint for _ in range(2)]
    assert fitted[0] == fitted[1]
    assert fitted[0] != SentencePieceCodec.fit(texts, vocab_size=400).fingerprint
    SentencePieceCodec.fit((text for text in texts), vocab_size=400, sample=150)  # what has no length is sampled too
