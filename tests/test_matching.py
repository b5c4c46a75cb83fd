"""Objectives that match codes with the prior, refine them, or pre-train them."""

import pytest
import torch

from tests.test_trainer import finish, quick, same_end, trainer_of  # noqa: F401
from tests.toys import NEEDS_BF16, batch_of, vae_of
from textvae import tensors, trainer
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.adversarial import Adversarial, reverse_gradient
from textvae.objectives.elbo import ELBO
from textvae.objectives.free_bits import FreeBits
from textvae.objectives.pretrained_autoencoder import PretrainedAutoencoder
from textvae.objectives.semi_amortised import SemiAmortised
from textvae.objectives.target_rate import TargetRate
from textvae.objectives.wae_mmd import SCALES, WassersteinMMD, mmd
from textvae.text_vae import TextVAE


def test_the_discrepancy_of_equal_distributions_is_0_and_of_others_grows_with_their_distance():
    def mean(shift, n=16):
        return float(torch.stack([mmd(torch.randn(n, 4) + shift, torch.randn(n, 4)) for _ in range(300)]).mean())

    assert mean(0.0) == pytest.approx(0.0, abs=0.02)
    assert 0.05 < mean(0.5) < mean(1.0) < mean(4.0)
    assert mean(0.0, n=2) == pytest.approx(0.0, abs=0.3), "the estimate has a bias in small batches"


def test_the_discrepancy_worked_out_by_hand():
    def k(square):
        return sum(2 * s / (2 * s + square) for s in SCALES)

    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [4.0]])
    expected = k(1) + k(4) - (k(4) + k(16) + k(1) + k(9)) / 2
    assert float(mmd(a, b)) == pytest.approx(expected, rel=1e-5)
    assert float(mmd(a[:1], b[:1])) == 0.0


def test_matching_by_the_discrepancy_moves_codes_to_the_prior():
    z = (torch.randn(64, 2) * 0.2 + 1).requires_grad_()
    optimizer = torch.optim.Adam([z], 0.1)
    for _ in range(200):
        optimizer.zero_grad()
        mmd(z, torch.randn(64, 2)).backward()
        optimizer.step()
    assert float(z.detach().mean().abs()) < 0.3
    assert float(z.detach().std()) == pytest.approx(1.0, abs=0.3)


def test_the_gradient_is_reversed_and_the_value_is_not():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 3.0)
    assert torch.equal(y, x)
    (y * torch.tensor([1.0, 5.0])).sum().backward()
    assert x.grad.tolist() == [-3.0, -15.0]


def test_one_step_teaches_the_discriminator_to_tell_and_the_encoder_not_to_be_told():
    vae = vae_of("sentences/free_bits")
    objective = Adversarial(hidden_size=8)
    objective.attach(vae.model)
    batch = Batch(batch_of(vae))

    def told():
        """The discriminator's loss alone, under the same noise."""
        torch.manual_seed(1)
        terms = objective(vae.model.eval(), batch, 0.5)
        return terms.loss - terms.distortion.mean()

    before = told()
    before.backward()
    encoder = [p for p in vae.model.posterior_head.parameters() if p.grad is not None]
    for parameters, sign in ((list(objective.parameters()), -1), (encoder, 1)):
        with torch.no_grad():
            grads = [p.grad.clone() for p in parameters]
            assert any(g.abs().sum() > 0 for g in grads)
            for p, g in zip(parameters, grads):
                p -= 1e-3 * g
            assert sign * float(told() - before) > 0
            for p, g in zip(parameters, grads):
                p += 1e-3 * g


def test_a_discriminator_starts_from_the_seed_and_trains(tmp_path):
    first, second, other = (
        trainer_of(tmp_path / str(i), objective=("adversarial", {"hidden_size": 8}), epochs=1, seed=seed)
        for i, seed in enumerate((0, 0, 1))
    )
    one, two, three = (tensors.state(run.objective) for run in (first, second, other))
    assert one
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not all(torch.equal(one[k], three[k]) for k in one)
    start = {k: v.clone() for k, v in one.items()}
    finish(first)
    assert not all(torch.equal(start[k], v) for k, v in tensors.state(first.objective).items())


def test_an_adversarial_objective_without_its_model_says_so():
    vae = vae_of("sentences/free_bits")
    with pytest.raises(RequestError, match="attach"):
        Adversarial()(vae.model, Batch(batch_of(vae)), 0.5)


def test_refinement_lowers_the_loss_and_is_part_of_training_only():
    vae = vae_of("sentences/free_bits")
    vae.model.eval()  # no dropout: the loss differs by the posterior alone
    batch = Batch(batch_of(vae))
    refined = SemiAmortised(steps=20, speed=0.1)

    def loss(objective):
        torch.manual_seed(0)
        found = [float(objective(vae.model, batch, 0.5).loss.detach()) for _ in range(20)]
        return sum(found) / len(found)

    assert loss(refined.train()) < loss(ELBO()) - 0.01
    assert loss(refined.eval()) == pytest.approx(loss(ELBO()), rel=1e-6)


@pytest.mark.parametrize("second_order", [False, True])
def test_refinement_passes_a_gradient_to_the_encoder(second_order):
    vae = vae_of("sentences/free_bits")
    batch = Batch(batch_of(vae))
    gradients = []
    for objective in (ELBO(), SemiAmortised(steps=2, speed=1e-6, second_order=second_order)):
        vae.model.zero_grad()
        torch.manual_seed(0)
        objective(vae.model.eval(), batch, 0.5).loss.backward()
        gradients.append(vae.model.posterior_head.mean.weight.grad)
    assert gradients[1].abs().sum() > 0
    assert torch.nn.functional.cosine_similarity(*(g.flatten() for g in gradients), dim=0) > 0.9
    assert all(p.grad is None or p.grad.isfinite().all() for p in vae.model.parameters())


@NEEDS_BF16
def test_second_order_in_bf16_is_that_of_float32():
    vae = vae_of("sentences/free_bits")
    batch, found = Batch(batch_of(vae)), []
    for enabled in (False, True):
        vae.model.eval().zero_grad()
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            terms = SemiAmortised(steps=3, speed=0.5, second_order=True)(vae.model, batch, 0.5)
        terms.loss.backward()
        found.append(torch.cat([p.grad.flatten() for p in vae.model.parameters() if p.grad is not None]))
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.99


def test_pretraining_gives_the_decoder_fresh_weights_once_and_the_optimiser_forgets_the_old(tmp_path):
    run = trainer_of(tmp_path, objective=("pretrained_autoencoder", {"share": 0.5}), epochs=2, evaluate_every=10**6)
    update, seen = run._update, []

    def watched(batch):
        before = {k: v.clone() for k, v in run.model.named_parameters()}
        begin, reset = run._begin_step, []

        def begun():
            begin()
            reset.extend(k.split(".")[0] for k, v in run.model.named_parameters() if not torch.equal(v, before[k]))

        run._begin_step = begun
        found = update(batch)
        run._begin_step = begin
        states = {name: run.optimizer.state.get(p, {}) for name, p in run.parameters.items()}
        seen.append((set(reset), {name.split(".")[1]: int(state["step"]) for name, state in states.items() if state}))
        return found

    run._update = watched
    finish(run)
    assert [parts for parts, _ in seen] == [set()] * 4 + [{"decoder", "likelihood"}] + [set()] * 3
    steps = seen[-1][1]
    assert steps["decoder"] == 4
    assert steps["encoder"] == 8


def test_a_decoder_that_began_with_a_language_model_begins_with_it_again(tmp_path, monkeypatch):
    vae_of("sentences/language_model", {"train.seed": 5}).save_pretrained(tmp_path / "lm")
    run = trainer_of(tmp_path, "sentences/free_bits", objective=("pretrained_autoencoder", {"share": 0.5}))
    monkeypatch.setattr(run.vae.settings.model, "decoder_from", str(tmp_path / "lm"))
    run.objective.begin_step(run.model, 0.6, run._fresh)
    lm, now = tensors.state(TextVAE.from_pretrained(tmp_path / "lm").model), tensors.state(run.model)
    for key in ("decoder.embedding.weight", "decoder.lstms.0.weight_hh_l0", "likelihood.bias"):
        assert torch.equal(now[key], lm[key])


def test_resume_is_exact_before_at_and_after_the_reset(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    for average in (0.0, 0.9):
        options = ("pretrained_autoencoder", {"share": 0.5})
        same_end(tmp_path / str(average), [3, 4, 5, 6], objective=options, epochs=2, average=average)


def test_the_phases_of_pretraining():
    vae = vae_of("sentences/free_bits")
    batch, objective = Batch(batch_of(vae)), PretrainedAutoencoder(0.2, warmup=0.5)
    beta = [float(objective(vae.model, batch, p).beta) for p in (0.0, 0.19, 0.2, 0.4, 0.6, 1.0)]
    assert beta == pytest.approx([0.0, 0.0, 0.0, 0.5, 1.0, 1.0])
    assert [objective.settled(p) for p in (0.0, 0.19, 0.3, 0.61)] == [False, False, False, True]


NEEDS_CODE = [WassersteinMMD(), Adversarial(), SemiAmortised(), PretrainedAutoencoder()]


@pytest.mark.parametrize("objective", NEEDS_CODE, ids=lambda o: type(o).__name__)
def test_what_needs_a_code_refuses_a_model_without_one(objective):
    with pytest.raises(RequestError, match="latent_size is 0"):
        objective.attach(vae_of("sentences/language_model").model)


@pytest.mark.parametrize("objective", [FreeBits(), TargetRate(8.0, "minimum"), PretrainedAutoencoder()], ids=str)
def test_a_floor_on_dimensions_refuses_a_posterior_without_a_kl_of_each(objective):
    vae = vae_of("sentences/free_bits")
    head = vae.model.posterior_head
    forward = head.forward
    objective.attach(vae.model)

    def dependent(features):
        return torch.distributions.MultivariateNormal(forward(features).mean, torch.eye(3))

    head.forward = dependent
    with pytest.raises(RequestError, match="KL of each dimension"):
        objective.attach(vae.model)
    FreeBits(per="batch").attach(vae.model)


@pytest.mark.parametrize(
    ("part", "options"),
    [
        (WassersteinMMD, {"weight": -1}),
        (Adversarial, {"weight": -1}),
        (Adversarial, {"hidden_size": 0}),
        (SemiAmortised, {"steps": 0}),
        (SemiAmortised, {"speed": 0.0}),
        (PretrainedAutoencoder, {"share": 1.0}),
    ],
)
def test_options_that_make_no_sense_are_refused(part, options):
    with pytest.raises(RequestError):
        part(**options)
