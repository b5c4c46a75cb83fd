"""Codes in layers at values known otherwise: one layer, linear layers, numerical integrals and slow references."""

import itertools
import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from tests.toys import batch_of, batches_of, shaken, vae_of, whole_batch
from textvae.assembly import build_objective
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.objectives.base import kl, kl_per_layer
from textvae.objectives.free_bits import FreeBits
from textvae.posteriors.top_down import TopDownPosterior
from textvae.priors.hierarchical import Hierarchical, TopDown, layer_sizes
from textvae.priors.standard_normal import StandardNormal
from textvae.settings import Part

K = torch.Size


def linear(sizes, seed):
    """A code in layers whose means are linear in those above, and the normal distribution that it is."""
    generator = torch.Generator().manual_seed(seed)
    n = sum(sizes)
    pull = 0.5 * torch.randn(n, n, generator=generator, dtype=torch.double)
    scale = 0.5 + torch.rand(n, generator=generator, dtype=torch.double)
    shift = torch.randn(n, generator=generator, dtype=torch.double)
    layers, noise = [], torch.eye(n, dtype=torch.double)
    for l, size in enumerate(sizes):
        start = sum(sizes[:l])
        own = slice(start, start + size)
        pull[own, start:] = 0

        def layer(above, own=own):
            mean = above @ pull[own, : own.start].T + shift[own]
            return Independent(Normal(mean, scale[own].expand(mean.shape)), 1)

        layers.append(layer)
    spread = torch.linalg.solve(noise - pull, noise)  # z = pull z + shift + scale · noise
    whole = MultivariateNormal(spread @ shift, spread @ (scale**2).diag() @ spread.T)
    return TopDown(layers, sizes, torch.zeros(0, dtype=torch.double)), whole


def test_linear_layers_are_a_normal_distribution():
    p, whole = linear([2, 1, 3], 0)
    z = 2 * torch.randn(5, 4, 6, dtype=torch.double)
    torch.testing.assert_close(p.log_prob(z), whole.log_prob(z))
    torch.testing.assert_close(p.mean, whole.mean)
    drawn = p.sample(K([10_000]))
    torch.testing.assert_close(drawn.T.cov(), whole.covariance_matrix, atol=0.15, rtol=0.05)


def test_the_kl_of_linear_layers_is_that_of_the_normal_distributions_and_varies_less_than_by_densities():
    (q, one), (p, two) = linear([2, 1, 2], 1), linear([2, 1, 2], 2)
    z = q.sample(K([10_000, 1]))
    each = kl_per_layer(q, p, z)
    assert each.shape == (1, 3)
    known = float(kl_divergence(one, two))
    assert float(kl(q, p, z).mean()) == pytest.approx(known, rel=0.02)
    by_density = q.log_prob(z) - p.log_prob(z)
    assert float(by_density.mean()) == pytest.approx(known, rel=0.05)
    by_layer = torch.stack([kl(q, p, one[None]) for one in z[:1000]])
    assert float(by_layer.var()) < 0.7 * float(by_density.var())


def test_one_layer_is_a_diagonal_normal_under_a_diagonal_normal():
    head, prior = shaken(TopDownPosterior(5, 3, layers=1), 0.2), shaken(Hierarchical(3, layers=1), 0.2)
    q, p = head(torch.randn(4, 5)), prior()
    z = q.rsample(K([2]))
    one, two = next(q.given(z)), next(p.given(z[0, 0]))
    assert isinstance(one.base_dist, Normal)
    torch.testing.assert_close(q.mean, one.mean[0])
    torch.testing.assert_close(q.log_prob(z.clone()), one.log_prob(z))
    torch.testing.assert_close(kl(q, p, z), kl_divergence(one, two)[0])
    torch.testing.assert_close(kl(q, p, z), kl_divergence(one, two)[1])


@pytest.mark.parametrize("flows", [0, 1])
def test_log_q_and_log_p_are_sums_over_the_layers_given_those_above(flows):
    head = shaken(TopDownPosterior(5, 5, layers=3, hidden_size=8, flows=flows), 0.2)
    prior, features = shaken(Hierarchical(5, layers=3, hidden_size=8), 0.2), torch.randn(4, 5)
    assert head.sizes == prior.sizes == [2, 2, 1]
    q, p = head(features), prior()
    z = q.sample(K([3]))
    slow_q, slow_p = torch.zeros(3, 4), torch.zeros(3, 4)
    for k in range(3):
        for b in range(4):
            start = 0
            for l, size in enumerate(head.sizes):
                above, part = z[k, b, :start], z[k, b, start : start + size]
                merged = torch.nn.functional.elu(head.up(features[b]) + head.down[l].weight @ above)
                given = head.heads[l](merged[None])
                slow_q[k, b] += given.log_prob(part[None])[0]
                slow_p[k, b] += prior.layers[l](above).log_prob(part)
                start += size
    torch.testing.assert_close(q.log_prob(z), slow_q, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.log_prob(z.clone()), slow_q, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(p.log_prob(z), slow_p, atol=1e-4, rtol=1e-4)
    every = q.log_prob(z[0][:, None])  # each code under each posterior
    torch.testing.assert_close(every.diagonal(), slow_q[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("flows", [0, 1])
def test_the_densities_integrate_to_1(flows):
    q = shaken(TopDownPosterior(3, 2, 2, hidden_size=8, flows=flows), 0.3)(torch.randn(1, 3))
    p = shaken(Hierarchical(2, 2, hidden_size=8), 0.2)()
    for density in (q, p):
        z = density.sample(K([5000])).view(-1, 2)
        edges = [torch.linspace(float(c.min()) - 2, float(c.max()) + 2, 401) for c in z.T]
        grid = torch.cartesian_prod(*edges).view(-1, *density.batch_shape, 2)
        cell = math.prod(float(e[1] - e[0]) for e in edges)
        assert float(density.log_prob(grid).exp().sum().detach() * cell) == pytest.approx(1.0, abs=0.02)


def test_a_layer_does_not_read_those_below_it():
    q = shaken(TopDownPosterior(3, 4, 4, flows=1), 0.2)(torch.randn(1, 3))
    z = q.sample()[0]
    jacobian = torch.autograd.functional.jacobian(lambda z: q.log_prob_per_layer(z[None])[0], z)
    assert torch.equal(jacobian, jacobian.tril())
    assert (jacobian.diagonal() != 0).all()


@pytest.mark.parametrize("flows", [0, 1])
def test_the_rate_has_gradients_for_every_weight_of_both(flows):
    head, prior = TopDownPosterior(3, 4, 2, hidden_size=16, flows=flows), Hierarchical(4, 2, hidden_size=16)
    q = head(torch.randn(6, 3))
    rate = kl(q, prior(), q.rsample(K([7])))
    assert rate.shape == (6,)
    assert (rate > 0).all() or flows
    rate.sum().backward()
    for part in (head, prior):
        weights = [w for w in part.parameters() if w.numel()]
        assert all(w.grad is not None and w.grad.isfinite().all() for w in weights)
        assert all(w.grad.any() for w in weights)


def test_gradients_of_the_density_are_those_of_finite_differences():
    head = shaken(TopDownPosterior(3, 4, 2, hidden_size=6), 0.2).double()
    z, features = torch.randn(2, 4, dtype=torch.double), torch.randn(2, 3, dtype=torch.double)
    up = head.up(features).detach()
    layers = [lambda above, d=d, h=h: h(torch.nn.functional.elu(up + d(above))) for d, h in zip(head.down, head.heads)]
    with pytest.MonkeyPatch.context() as patch:  # the heads work in float32
        patch.setattr(torch.Tensor, "float", lambda tensor: tensor)
        density = TopDown(layers, head.sizes, up[:, :0])
        assert torch.autograd.gradcheck(density.log_prob, z.requires_grad_())


def test_free_bits_per_layer_pay_for_the_layers_over_the_floor_alone():
    vae = vae_of("images/top_down")
    model, batch = vae.model.eval(), whole_batch(vae)
    with torch.no_grad():
        model.posterior_head.heads[0].mean.bias += 3.0
    torch.manual_seed(0)
    q = model.posterior(batch.x)
    each = kl_per_layer(q, model.prior(), q.rsample(K([1]))).mean(0)
    assert each[0] > 1.0 > each[1]
    torch.manual_seed(0)
    terms = FreeBits(1.0, "layer")(model, batch, 1.0)
    cost = terms.loss - terms.distortion.mean()
    torch.testing.assert_close(cost, each[0] + 1.0, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(terms.rate.mean(), each.sum(), atol=1e-4, rtol=1e-4)
    heads = model.posterior_head.heads
    paid, free = torch.autograd.grad(cost, [heads[0].mean.weight, heads[1].mean.weight], allow_unused=True)
    assert float(paid.abs().sum()) > 0
    assert free is None or not free.any()


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"model.posterior.name": "diagonal_normal"}, "layers"),
        ({"model.prior.name": "standard_normal"}, "layers"),
        ({"model.prior.layers": 1}, "layers"),
    ],
)
def test_free_bits_per_layer_are_refused_without_layers_in_common(settings, method):
    with pytest.raises(RequestError, match="codes in layers, the same in posterior and prior"):
        FreeBits(1.0, "layer").attach(vae_of("images/top_down", settings).model)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("free_bits", {"per": "dimension"}),
        ("target_rate", {"method": "minimum"}),
        ("iwae", {"gradient": "dreg"}),
        ("semi_amortised", {}),
    ],
)
def test_what_needs_independent_dimensions_refuses_layers(name, options):
    with pytest.raises(RequestError, match="diagonal_normal"):
        build_objective(Part(name=name, **options)).attach(vae_of("images/top_down").model)


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        *itertools.product(["top_down"], ["standard_normal", "hierarchical", "flow", "mixture", "vamp"]),
        *itertools.product(["diagonal_normal", "batch_norm", "iaf"], ["hierarchical"]),
    ],
)
def test_layers_go_with_every_posterior_and_every_prior_on_the_plane(posterior, prior):
    settings = {"model.posterior": {"name": posterior}, "model.prior": {"name": prior}, "objective.per": "batch"}
    vae = vae_of("images/iaf", settings)
    report = evaluate(vae.model, batches_of(vae, shuffle=False), 8)
    assert all(map(math.isfinite, (report.nll, report.nll_iw, report.mi)))
    assert len(vae.sample(2)) == 2


@pytest.mark.parametrize("slot", ["posterior", "prior"])
@pytest.mark.parametrize(("layers", "size"), [(0, 3), (4, 3), (-1, 3), (100, 200), (1, 0)])
def test_layers_that_make_no_sense_are_refused(slot, layers, size):
    names = {"posterior": "top_down", "prior": "hierarchical"}
    settings = {f"model.{slot}": {"name": names[slot], "layers": layers}, "model.latent_size": size}
    with pytest.raises(RequestError, match="cannot be cut into"):
        vae_of("images/conv_vae", settings)


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("posterior.hidden_size", 0, "hidden_size of 1 or more"),
        ("posterior.flows", -1, "0 flows or more"),
        ("prior.hidden_size", 0, "1 unit or more"),
    ],
)
def test_networks_that_make_no_sense_are_refused(option, value, why):
    with pytest.raises(RequestError, match=why):
        vae_of("images/top_down", {f"model.{option}": value})


def test_sizes_of_layers_add_up():
    assert layer_sizes(32, 4) == [8, 8, 8, 8]
    assert layer_sizes(32, 3) == [11, 11, 10]
    assert layer_sizes(3, 3) == [1, 1, 1]


def test_the_mean_is_a_code_without_noise_and_standard_normal_layers_cost_what_is_expected():
    vae = vae_of("images/top_down", {"model.prior": {"name": "standard_normal"}, "objective.per": "batch"})
    q = vae.model.eval().posterior(batch_of(vae))
    assert torch.equal(q.mean, vae.model.posterior(batch_of(vae)).mean)
    z = q.sample(K([4000]))
    layers = [(one.mean**2 + one.variance - 1 - one.variance.log()).sum(-1) / 2 for one in q.given(z)]
    expected = torch.stack(layers).sum(0).mean(0)
    torch.testing.assert_close(kl(q, StandardNormal(3)(), z), expected, atol=0.15, rtol=0.05)
