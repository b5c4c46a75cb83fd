"""Restricted Boltzmann machines against enumeration, and the stack that they pre-train."""

import itertools

import pytest
import torch
from torch import nn

from tests.test_trainer import finish, quick, same_end, trainer_of  # noqa: F401
from tests.toys import batch_of, vae_of
from textvae import trainer
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.layerwise import RBM, Layerwise, stack

STATES = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)  # of 4 visible units


def tiny(visible="bernoulli", hidden="bernoulli", scale=0.5):
    torch.manual_seed(0)
    draw = [(scale * torch.randn(*size, dtype=torch.float64)).requires_grad_() for size in ((3, 4), (4,), (3,))]
    return RBM(*draw, visible, hidden), draw


def log_likelihood(machine, v):
    """Exact: the partition function is a sum over all states of the visible units."""
    return -machine.free_energy(v) - torch.logsumexp(-machine.free_energy(STATES), 0)


def test_the_free_energy_is_minus_the_log_of_the_sum_over_hidden_states():
    machine, (w, a, b) = tiny()
    hidden = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)), dtype=torch.float64)
    energy = -(STATES @ a)[:, None] - hidden @ b - STATES @ w.T @ hidden.T
    torch.testing.assert_close(machine.free_energy(STATES), -torch.logsumexp(-energy, 1))


def test_the_free_energy_of_linear_hidden_units_is_the_integral_over_them():
    machine, (w, a, b) = tiny(hidden="gaussian", scale=0.3)
    grid = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    inputs = STATES @ w.T
    energy = 0.5 * (grid - b[:, None]) ** 2 - inputs[..., None] * grid  # E = ½ (h − b)² − h Wv, each unit by itself
    integral = torch.logsumexp(-energy, -1).sum(-1) + STATES @ a
    found = -machine.free_energy(STATES)
    torch.testing.assert_close(found - found[0], integral - integral[0])


def test_with_particles_from_the_model_itself_the_gradient_is_that_of_the_exact_likelihood():
    machine, parameters = tiny()
    data = STATES[[3, 5, 6, 15]]
    with torch.no_grad():
        model = torch.softmax(-machine.free_energy(STATES), 0)
    loss = machine.free_energy(data).mean() - (model * machine.free_energy(STATES)).sum()
    for parameter, found in zip(parameters, torch.autograd.grad(loss, parameters)):
        for place in itertools.product(*map(range, parameter.shape)):
            values = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter[place] += step
                    values.append(float(log_likelihood(machine, data).mean()))
                    parameter[place] -= step
            assert -float(found[place]) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-7)


def test_long_chains_end_in_the_models_distribution():
    machine, _ = tiny(scale=1.0)
    with torch.no_grad():
        p = torch.softmax(-machine.free_energy(STATES), 0)
        means = machine.reconstruction(STATES.repeat(500, 1), 30).mean(0)
    torch.testing.assert_close(means, p @ STATES, atol=0.01, rtol=0)


def test_contrastive_divergence_raises_the_exact_likelihood():
    machine, parameters = tiny(scale=0.1)
    data = STATES[[0, 3, 12, 15]].repeat(25, 1)  # two pairs of equal bits
    optimizer = torch.optim.SGD(parameters, 1.0)
    before = log_likelihood(machine, data).mean().item()
    for _ in range(200):
        optimizer.zero_grad()
        machine.contrastive_divergence(data).backward()
        optimizer.step()
    after = log_likelihood(machine, data).mean().item()
    assert before < -2.6  # ln 16 is 2.77
    assert after > before + 0.6  # up to the entropy of the data, ln 4 = 1.39


def test_reconstructed_words_are_as_many_as_there_were():
    machine, _ = tiny("multinomial")
    v = torch.tensor([[3.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    particles = machine.reconstruction(v, 3)
    torch.testing.assert_close(particles.sum(-1), v.sum(-1))
    assert (particles >= 0).all()


MODELS = {
    "documents/autoencoder": {},
    "images/vae": {"model.encoder.activation": "sigmoid", "model.decoder.activation": "sigmoid"},
    "documents/semantic_hashing": {"model.encoder.activation": "sigmoid", "model.decoder.activation": "sigmoid"},
}


@pytest.mark.parametrize("recipe", list(MODELS))
@pytest.mark.parametrize("method", ["rbm", "denoising", "contractive"])
def test_each_layer_has_its_turn_and_the_decoder_is_unrolled_from_them(recipe, method, tmp_path):
    sizes = {"model.encoder.hidden_sizes": [6, 5], "model.decoder.hidden_sizes": [5, 6]}
    vae = vae_of(recipe, {**MODELS[recipe], **sizes})
    objective, model = Layerwise(method, share=0.6), vae.model.train()
    objective.attach(model)
    layers = stack(model)
    assert [layer.up.in_features for layer in layers[1:]] == [6, 5]
    for place, layer in enumerate(layers):
        progress = 0.2 * place + 0.1
        assert list(objective.begin_step(model, progress, None)) == []
        model.zero_grad()
        found = objective(model, Batch(batch_of(vae)), progress)
        found.loss.backward()
        touched = {id(p) for p in model.parameters() if p.grad is not None}
        assert touched == {id(p) for p in (layer.up.weight, layer.up.bias, layer.down.bias)}
        assert not objective.settled(progress)
        assert found.distortion.shape == (16,)
    replaced = list(objective.begin_step(model, 0.6, None))
    assert {id(p) for p in replaced} == {
        id(p) for layer in layers for m in (layer.up, layer.down) for p in m.parameters()
    }
    for layer in layers:
        assert torch.equal(layer.down.weight, layer.up.weight.T)
    assert list(objective.begin_step(model, 0.7, None)) == []
    assert objective.settled(0.6)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_the_contraction_of_each_layer_is_its_jacobians_norm(activation):
    names = {"model.encoder.activation": activation, "model.decoder.activation": activation}
    for layer in stack(vae_of("images/vae", names).model):
        v = torch.rand(3, layer.up.in_features)
        jacobians = [torch.autograd.functional.jacobian(layer.ascend, row[None]).flatten(1) for row in v]
        expected = torch.stack([(j**2).sum() for j in jacobians])
        torch.testing.assert_close(layer.contraction(v), expected)


def test_a_contractive_layer_trades_its_error_for_codes_that_move_less(tmp_path):
    found = {}
    for weight in (0.0, 10.0):
        options = {"method": "contractive", "share": 0.99, "contraction": weight}
        run = trainer_of(tmp_path / str(weight), "documents/autoencoder", objective=("layerwise", options), epochs=3)
        finish(run)
        layer = stack(run.model)[0]
        found[weight] = layer.contraction(torch.ones(1, layer.up.in_features)).item()
    assert found[10.0] < 0.9 * found[0.0]


def test_the_distortion_of_the_last_layer_is_that_of_the_whole_network():
    vae = vae_of("documents/autoencoder")
    objective, batch = Layerwise(share=0.5), Batch(batch_of(vae))
    with torch.no_grad():
        for layer in stack(vae.model):
            layer.down.weight.copy_(layer.up.weight.T)
    z = vae.model.posterior(batch.x).mean
    expected = -vae.model.log_px(batch.x, z[None])[0]
    torch.testing.assert_close(objective(vae.model, batch, 0.49).distortion, expected)


@pytest.mark.parametrize("method", ["rbm", "denoising", "contractive"])
def test_resume_is_exact_in_every_phase(method, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    options = {"method": method, "share": 0.5}
    whole = same_end(
        tmp_path, range(1, 12, 2), recipe="documents/autoencoder", objective=("layerwise", options), epochs=3
    )
    assert bool(whole.objective.unrolled)


def test_without_a_share_it_is_the_plain_autoencoder(tmp_path):
    ends = []
    for name, objective in (("a", ("layerwise", {"share": 0.0})), ("b", ("autoencoder", {}))):
        run = trainer_of(tmp_path / name, "documents/autoencoder", objective=objective, epochs=1)
        finish(run)
        ends.append(run.model.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize(
    ("recipe", "assignments", "why"),
    [
        ("sentences/lstm", {}, "fully connected"),
        ("documents/vae", {}, r"hidden_sizes=\[8\]"),
        ("images/vae", {}, "activation=sigmoid"),
        ("images/vae", {"model.encoder.activation": "tanh", "model.decoder.activation": "sigmoid"}, "same activation"),
        ("images/vae", {"model.posterior.name": "iaf"}, "constant_variance"),
        ("documents/autoencoder", {"model.labels": "condition", "model.classes": ["a", "b"]}, "labels"),
    ],
)
def test_what_is_no_stack_is_refused_with_the_reason(recipe, assignments, why):
    with pytest.raises(RequestError, match=why):
        Layerwise().attach(vae_of(recipe, assignments).model)


def test_a_denoising_stack_takes_any_activation():
    vae = vae_of("images/vae")
    Layerwise("denoising").attach(vae.model)
    assert isinstance(stack(vae.model)[0].activation, nn.ReLU)


@pytest.mark.parametrize(
    "options", [{"share": 1.0}, {"steps": 0}, {"corruption": 1.5}, {"share": -0.1}, {"contraction": -1.0}]
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(RequestError):
        Layerwise(**options)
