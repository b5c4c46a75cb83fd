"""The plain language model on the command line: what it can do, what it refuses, and what begins with it."""

import json
import shutil

SIZES = ["--set=model.decoder.hidden_size=16", "--set=model.decoder.embedding_size=16", "--set=codec.vocab_size=400"]
SIZES += ["--batch-size=16", "--precision=fp32", "--device=cpu", "--threads=1"]


def test_it_trains_resumes_samples_and_evaluates_and_says_that_it_has_no_code(textvae):
    done = textvae("train", "toy:200", "--recipe=sentences/language_model", "--steps=12", "--out=lm", *SIZES)
    assert done.exit_code == 0, done.output
    assert "next: textvae sample --model lm" in done.stdout
    done = textvae("train", "--resume", "--out=lm", "--steps=20")
    assert done.exit_code == 0, done.output
    done = textvae("sample", "-n", "3", "--model=lm", "--json")
    assert len(json.loads(done.stdout)["samples"]) == 3
    found = json.loads(textvae("evaluate", "toy:20", "--model=lm", "--json").stdout)
    assert found["rate"] == found["mi"] == found["active_units"] == 0
    judged = textvae("evaluate", "toy:20", "--model=lm", "--samples=8", "--judge=lm", "--json")
    samples = json.loads(judged.stdout)["of_samples"]
    assert samples["judge"] == "lm"
    assert abs(samples["text_perplexity"] - found["perplexity"]) < 1e-3
    for words in (["interpolate", "a", "b"], ["reconstruct", "a"]):
        done = textvae(*words, "--model=lm")
        assert done.exit_code == 2
        assert "without a code" in done.stderr


def test_a_model_begins_with_it_and_goes_on_without_it(textvae):
    textvae("train", "toy:200", "--recipe=sentences/language_model", "--steps=4", "--out=lm", *SIZES)
    encoder = ["--set=model.encoder.hidden_size=16", "--set=model.encoder.embedding_size=16"]
    begin = [f"--set=model.{side}_from=lm" for side in ("encoder", "decoder")]
    words = ["train", "--recipe=sentences/lstm", "--steps=4", *SIZES, *encoder, *begin]
    done = textvae(*words, "toy:200", "--out=vae")
    assert done.exit_code == 0, done.output
    assert "the encoder begins with 5 of its 5 tensors from lm" in done.stderr
    assert "the decoder begins with 8 of its 8 tensors from lm" in done.stderr
    done = textvae(*words, "toy:90", "--out=other")
    assert done.exit_code == 2
    assert "its vocabulary is another" in done.stderr
    shutil.rmtree("lm")
    assert textvae("train", "--resume", "--out=vae", "--steps=6").exit_code == 0
    assert textvae("sample", "--model=vae").exit_code == 0
