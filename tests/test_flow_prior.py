"""The flow prior against its own Jacobian, and against what it is fitted to."""

import torch

from textvae.priors.flow import FlowPrior


def bent(size: int = 3, layers: int = 4) -> FlowPrior:
    torch.manual_seed(0)
    prior = FlowPrior(size, layers, 8)
    for p in prior.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return prior


def test_it_begins_as_the_standard_normal():
    z = torch.randn(5, 4)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(FlowPrior(4)().log_prob(z), expected)


def test_log_prob_is_the_change_of_variables():
    prior = bent()
    u = torch.randn(3)

    def forward(u):
        for coupling in prior.couplings:
            u = coupling(u)
        return u

    jacobian = torch.autograd.functional.jacobian(forward, u)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum() - torch.linalg.slogdet(jacobian)[1]
    torch.testing.assert_close(prior().log_prob(forward(u)), expected, atol=1e-4, rtol=1e-4)


def test_it_integrates_to_one():
    prior = bent(2)
    axis = torch.linspace(-15, 15, 601)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = prior().log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(float(total) - 1) < 0.01


def test_it_learns_a_correlated_normal():
    torch.manual_seed(0)
    prior = FlowPrior(2, 4, 16)
    target = torch.distributions.MultivariateNormal(torch.tensor([1.0, -1.0]), torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    for _ in range(300):
        loss = -prior().log_prob(target.sample((128,))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        drawn = prior().sample((4000,))
        assert abs(float(loss.detach() - target.entropy())) < 0.15
        torch.testing.assert_close(drawn.mean(0), target.mean, atol=0.15, rtol=0)
        assert 0.65 < float(torch.corrcoef(drawn.T)[0, 1]) < 0.92
