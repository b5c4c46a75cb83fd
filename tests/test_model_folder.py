"""Model folders: what is damaged, newer or hostile is refused in words, and loading runs no foreign code."""

import ast
import json
import resource
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import textvae
from tests.toys import RECIPES, raw_of, vae_of
from textvae import model_folder
from textvae.errors import CorruptFolder, RequestError, TextvaeError
from textvae.text_vae import TextVAE

WHOLE = 400 * 2**20  # bytes that a refusal may take on top


@pytest.fixture(params=RECIPES)
def folder(request, tmp_path):
    """A saved model of each recipe."""
    vae_of(request.param).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def ptb(tmp_path):
    """A saved sentence VAE over words."""
    vae_of("sentences/ptb").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(folder, change):
    """Change the config in place."""
    file = folder / model_folder.CONFIG
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))


def test_a_missing_truncated_or_garbled_file_is_a_corrupt_folder(folder):
    needed = [file for file in folder.rglob("*") if file.is_file() and file.name != model_folder.CARD]
    assert len(needed) >= 3
    for file in needed:
        data = file.read_bytes()
        cuts = {0, 1, len(data) // 3, len(data) // 2, len(data) - 1}
        for damaged in [*(data[:n] for n in sorted(cuts)), b"\xff" * len(data), b"\x00" * 64, b"[" * 100_000]:
            file.write_bytes(damaged)
            if file.name == model_folder.CONFIG and damaged == data[:-1]:
                continue  # only the last line feed is gone
            with pytest.raises(TextvaeError):
                TextVAE.from_pretrained(folder)
        file.unlink()
        with pytest.raises(TextvaeError):
            TextVAE.from_pretrained(folder)
        file.write_bytes(data)
    (folder / model_folder.CARD).unlink()
    TextVAE.from_pretrained(folder)


def test_another_vocabulary_of_the_same_size_is_noticed(ptb):
    file = ptb / "vocabulary.txt"
    words = file.read_text().split("\n")
    file.write_text("\n".join([words[1], words[0], *words[2:]]))
    with pytest.raises(CorruptFolder, match="vocabulary"):
        TextVAE.from_pretrained(ptb)


def test_a_truncated_tokenizer_is_never_a_different_tokenizer(tmp_path):
    vae_of("sentences/lstm").save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "tokenizer.model"
    data = file.read_bytes()
    for n in range(0, len(data), max(1, len(data) // 120)):
        file.write_bytes(data[:n])
        with pytest.raises(CorruptFolder):
            TextVAE.from_pretrained(tmp_path / "model")


def test_a_flipped_bit_in_a_tensor_is_noticed(ptb):
    file = ptb / model_folder.WEIGHTS
    data = bytearray(file.read_bytes())
    data[-3] ^= 1  # within the last tensor: sizes and header are as before
    file.write_bytes(data)
    with pytest.raises(CorruptFolder, match=model_folder.WEIGHTS):
        TextVAE.from_pretrained(ptb)


def test_weights_that_do_not_go_with_the_config_are_noticed(ptb):
    file = ptb / model_folder.WEIGHTS
    weights = load_file(file)
    name = next(iter(weights))
    for changed in (
        {k: v for k, v in weights.items() if k != name},
        {**weights, "more": torch.zeros(1)},
        {**weights, name: torch.zeros(1)},
    ):
        save_file(changed, file)
        with pytest.raises(CorruptFolder, match="does not go with"):
            TextVAE.from_pretrained(ptb)


def test_a_newer_format_asks_for_an_upgrade(ptb):
    edit(ptb, lambda c: c.update(format=model_folder.FORMAT + 1))
    with pytest.raises(RequestError, match="upgrade"):
        TextVAE.from_pretrained(ptb)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["settings"]["model"]["encoder"].update(name="lsmt"), "Did you mean lstm"),
        (lambda c: c["settings"]["model"]["encoder"].update(name="os:system"), "no encoder"),
        (lambda c: c["settings"]["model"]["encoder"].update(name="textvae.files:sweep"), "no encoder"),
        (lambda c: c["settings"]["model"]["encoder"].update(hiden_size=3), "hidden_size"),
        (lambda c: c["settings"]["model"]["encoder"].update(vocab_size=3), "no option"),
        (lambda c: c["settings"]["model"]["encoder"].update(pooling="median"), "pooling"),
        (lambda c: c["settings"]["model"].update(latent=3), "latent_size"),
        (lambda c: c["settings"]["codec"].update(name="pickle"), "no codec"),
        (lambda c: c["settings"]["codec"].update(max_len=3), "max_length"),
        (lambda c: c["settings"]["codec"].update(max_length="long"), "max_length"),
        (lambda c: c["settings"].update(extra=1), "no setting"),
        (lambda c: c["settings"].pop("codec"), "missing"),
        (lambda c: c["settings"].update(model=[]), "wrong"),
        (lambda c: c["settings"]["model"]["prior"].pop("name"), "name"),
        (lambda c: c.pop("settings"), "not a whole model"),
        (lambda c: c.pop("format"), "not a whole model"),
        (lambda c: c.update(format="one"), "upgrade"),
        (lambda c: c.update(settings=7), "settings|wrong|config"),
    ],
)
def test_a_config_with_unknown_or_wrong_entries_is_refused_by_name(ptb, change, says):
    edit(ptb, change)
    with pytest.raises(TextvaeError, match=says):
        TextVAE.from_pretrained(ptb)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(latent_size=10**12),
        lambda m: m.update(latent_size=-1),
        lambda m: m.update(latent_size=65_536),
        lambda m: m["encoder"].update(hidden_size=10**12),
        lambda m: m["encoder"].update(hidden_size=10**6),
        lambda m: m["encoder"].update(hidden_size=-5),
        lambda m: m["encoder"].update(hidden_size=10**30),
        lambda m: m["encoder"].update(layers=10**9),
        lambda m: m["decoder"].update(layers=10**9),
        lambda m: m["decoder"].update(layers=0),
        lambda m: m["decoder"].update(embedding_size=10**12),
        lambda m: m["decoder"].update(dropout=7.0),
        lambda m: m["decoder_noise"].update(name="word_dropout", rate=-1),
        lambda m: m["likelihood"].update(tied="maybe"),
        lambda m: m["likelihood"].update(name="bernoulli"),
        lambda m: m["decoder"].update({"name": "mlp"}) or [m["decoder"].pop(k) for k in [*m["decoder"]] if k != "name"],
    ],
)
def test_sizes_made_to_exhaust_the_machine_are_refused_at_once(ptb, change):
    edit(ptb, lambda c: change(c["settings"]["model"]))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(TextvaeError):
        TextVAE.from_pretrained(ptb)
    assert time.process_time() - start < 1.0
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < WHOLE


def test_a_vocabulary_or_picture_of_a_trillion_is_refused_at_once(tmp_path):
    vae_of("images/vae").save_pretrained(tmp_path / "model")
    start = time.process_time()
    for shape in ([10**6, 10**6, 1], [10**12], [-1, 4, 4], [0], [], "abc", None):
        (tmp_path / "model" / "pixels.json").write_text(json.dumps({"shape": shape}))
        with pytest.raises(TextvaeError):
            TextVAE.from_pretrained(tmp_path / "model")
    edit(tmp_path / "model", lambda c: c["settings"].update(codec={"name": "pixels", "vocab_size": 10**12}))
    with pytest.raises(TextvaeError):
        TextVAE.from_pretrained(tmp_path / "model")
    assert time.process_time() - start < 1.0


def test_a_config_of_many_megabytes_is_not_read(ptb):
    edit(ptb, lambda c: c.update(facts={"x": "y" * 2_000_000}))
    with pytest.raises(CorruptFolder):
        TextVAE.from_pretrained(ptb)


def test_a_safetensors_header_that_lies_is_damage(ptb):
    file = ptb / model_folder.WEIGHTS
    for size in (2**63 - 1, 100_000_000, 0):
        file.write_bytes(size.to_bytes(8, "little") + b"{}" * 8)
        with pytest.raises(CorruptFolder):
            TextVAE.from_pretrained(ptb)


def test_half_precision_halves_the_file_and_loads_in_single(tmp_path):
    vae = vae_of("sentences/lstm")
    vae.save_pretrained(tmp_path / "whole")
    vae.save_pretrained(tmp_path / "half", torch.float16)
    whole, half = ((tmp_path / n / model_folder.WEIGHTS).stat().st_size for n in ("whole", "half"))
    assert half < 0.65 * whole
    assert {v.dtype for v in load_file(tmp_path / "half" / model_folder.WEIGHTS).values()} == {torch.float16}
    assert {p.dtype for p in TextVAE.from_pretrained(tmp_path / "half").model.parameters()} == {torch.float32}
    assert {p.dtype for p in vae.model.parameters()} == {torch.float32}, "saving changed the model"


def test_a_model_is_replaced_whole_and_nothing_else_ever_is(tmp_path):
    vae = vae_of("sentences/ptb")
    vae.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "leftover").write_text("of an older save")
    vae.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "leftover").exists()
    (tmp_path / "home").mkdir()
    vae.save_pretrained(tmp_path / "home")  # empty: nothing is lost
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one").write_text("dear")
    (tmp_path / "file").write_text("mine")
    for name in ("letters", "file"):
        with pytest.raises(RequestError, match="left alone"):
            vae.save_pretrained(tmp_path / name)
    assert (tmp_path / "letters" / "one").read_text() == "dear"
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "home", "letters", "model"]


def test_a_model_is_found_by_folder_run_or_not_at_all(tmp_path, monkeypatch):
    vae_of("sentences/ptb").save_pretrained(tmp_path / "run" / "model")
    assert model_folder.find(tmp_path / "run" / "model") == tmp_path / "run" / "model"
    assert model_folder.find(str(tmp_path / "run")) == tmp_path / "run" / "model"
    assert model_folder.find(None) == model_folder.SHIPPED
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="not a model"):
        model_folder.find(tmp_path / "empty")
    for name in (tmp_path / "nowhere", "nowhere", "./no/where", "runs/nowhere", "~/nothing", "a/b/c"):
        with pytest.raises(RequestError, match="no such folder"):
            model_folder.find(name)


def test_a_hub_name_without_a_network_is_a_clear_refusal(tmp_path, monkeypatch):
    import huggingface_hub

    def unreachable(*args, **kwargs):
        raise huggingface_hub.errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(RequestError, match="hub"):
        model_folder.find("someone/some-model")


def test_a_hub_download_asks_for_no_code_and_no_pickles(tmp_path, monkeypatch):
    import huggingface_hub

    vae_of("sentences/ptb").save_pretrained(tmp_path / "model")
    asked = {}
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **k: asked.update(k) or tmp_path / "model")
    assert TextVAE.from_pretrained("someone/some-model").settings.recipe == "sentences/ptb"
    assert not [p for p in asked["allow_patterns"] if p.endswith((".py", ".bin", ".pt", ".pkl", "*"))]


def test_pushing_uploads_what_saving_writes(monkeypatch):
    import huggingface_hub

    seen = {}

    class Api:
        def create_repo(self, repo_id, private, exist_ok):
            seen.update(repo=repo_id, private=private)

        def upload_folder(self, repo_id, folder_path):
            seen["files"] = sorted(p.name for p in Path(folder_path).iterdir())
            return "address"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert vae_of("sentences/ptb").push_to_hub("someone/model", private=True) == "address"
    assert seen["repo"] == "someone/model"
    assert seen["private"]
    assert seen["files"] == ["README.md", "config.json", "model.safetensors", "ngrams.safetensors", "vocabulary.txt"]


def test_the_card_tells_corpus_command_numbers_and_warning(tmp_path):
    vae = vae_of("sentences/ptb")
    vae.facts = {
        "corpus": "Tales", "license": "cc-by-2.0", "command": "textvae train tales.txt", "attribution": "By them.",
        "validation": {"nll": 12.5, "sentences": 9, "empty": 0}, "warning": "Posterior collapse!",
    }  # fmt: skip
    vae.save_pretrained(tmp_path / "tales" / "model")
    card = (tmp_path / "tales" / "model" / "README.md").read_text()
    shown = (
        "license: cc-by-2.0",
        "# tales\n",
        "textvae train tales.txt",
        "| nll | 12.5 | −ELBO |",
        "By them.",
        "collapse!",
    )
    assert all(part in card for part in shown)
    assert "empty" not in card


def test_no_source_file_unpickles_or_evaluates():
    forbidden = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
    for path in Path(textvae.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
            assert not forbidden & set(names), path
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in {"torch.load", "torch.save", "eval", "exec"}, path
                if ast.unparse(node.func) == "np.load":
                    assert "allow_pickle=False" in map(ast.unparse, node.keywords), path


def test_a_folder_can_be_moved_and_used_elsewhere(ptb, tmp_path, monkeypatch):
    shutil.move(ptb, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert len(TextVAE.from_pretrained("elsewhere").sample(2, seed=1)) == 2


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_a_user_asks_of_a_model(recipe):
    vae = vae_of(recipe)
    raw, size = raw_of(vae.settings.codec.name), vae.settings.model.latent_size
    assert vae.encode(raw[0]).shape == (size,)
    assert vae.encode(raw[:3]).shape == (3, size)
    assert vae.encode([]).shape == (0, size)
    try:
        vae.sample(1)
    except RequestError as refusal:
        pytest.skip(str(refusal))
    steps = vae.interpolate(raw[0], raw[1], steps=4)
    assert [round(s.t, 3) for s in steps] == [0.0, 0.333, 0.667, 1.0]
    guessed = vae.guess(raw[:2])
    ends = vae.write(vae.encode(raw[:2]), label=guessed)[0]
    assert str(steps[0].raw) == str(ends[0])
    assert str(steps[-1].raw) == str(ends[1])
    assert all(s.log_prob < 0 for s in steps)
    assert guessed or str(vae.decode(vae.encode(raw[0]))) == str(ends[0])
    assert vae.sample(0) == []
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two = vae.sample(3, seed=5), vae.sample(3, seed=5)
    assert torch.equal(torch.rand(1), expected), "a seeded sample moved the caller's random numbers"
    assert str(one) == str(two)
    assert str(vae.sample(3, seed=6)) != str(one)
    rows = vae.reconstruct(raw[:2], samples=2)
    assert [len(row) for row in rows] == [3, 3]
    assert [str(row[0]) for row in rows] == [str(end) for end in ends]
    assert vae.reconstruct([]) == []
    with pytest.raises(RequestError, match="at least 2"):
        vae.interpolate(raw[0], raw[1], steps=1)
