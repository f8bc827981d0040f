"""The four penalties against their definitions, and their gradients with respect to weights."""

from __future__ import annotations

from collections.abc import Callable

import oracles
import pytest
import torch
from cases import NAMES, case
from small_task import small_task
from torch import nn
from torch.nn import functional

from regrob import networks
from regrob.affine import local_map
from regrob.ensembles import multiplications, penalty_weights
from regrob.errors import InputError
from regrob.experiments import grid, in_memory, predictions
from regrob.theory import PENALTIES, derivatives, penalties, probability
from regrob.training import columns
from regrob.training.policy import CaffePolicy
from regrob.training.single import Descent, objective, train


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(("-2", "-5"))])
def test_each_penalty_is_its_definition(name: str) -> None:
    c = case(name)
    V, z = local_map(c.network, c.images)
    found = {key: penalty(V, z, c.y) for key, penalty in PENALTIES.items()}
    noise = 1 / probability.rival_probability(z, z.argmax(dim=-1))
    for i, (image, label) in enumerate(zip(c.images, c.y, strict=True)):
        J = oracles.jacobian(c.network, image)
        loose = 1e-13 * float(noise[i])
        gradient = oracles.gradient(c.network, image, label)
        assert float(found["input-gradient"][i]) == pytest.approx(float(gradient @ gradient), rel=loose)
        assert float(found["jacobian"][i]) == pytest.approx(oracles.frobenius_squared(J), rel=1e-12)
        H = oracles.hessian(c.network, image, label)
        assert float(found["curvature"][i]) == pytest.approx(float(torch.linalg.norm(H, ord=2)), rel=loose)
        assert float(found["cross-lipschitz"][i]) == pytest.approx(oracles.cross_lipschitz_sum(J), rel=1e-12)


@pytest.mark.parametrize("y", [0, 1])
def test_two_classes_by_hand(y: int) -> None:
    V = torch.tensor([[1.0, -2.0], [0.0, 4.0]], dtype=torch.float64)  # ν = 5
    z = torch.tensor([4.0, 1.0], dtype=torch.float64).log()  # p = (4/5, 1/5)
    label = torch.tensor(y)
    q = (0.2, 0.8)[y]
    expected = {"input-gradient": 25 * q**2, "jacobian": 21.0, "curvature": 4.0, "cross-lipschitz": 12.5}
    assert {key: float(penalty(V, z, label)) for key, penalty in PENALTIES.items()} == pytest.approx(
        expected, rel=1e-13
    )


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", ["with_bias-2", "leaky-3", "relu_then_pool-3"])
def test_a_training_step_sees_the_right_slope(penalty: str, name: str) -> None:
    """d(penalty)/d(weights) along a random direction against a central difference."""
    c = case(name)
    generator = torch.Generator().manual_seed(4)
    parameters = [p for p in c.network.parameters() if p.ndim > 1]
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]

    def total(create_graph: bool) -> torch.Tensor:
        V, z = local_map(c.network, c.images, create_graph=create_graph, check=False)
        return PENALTIES[penalty](V, z, c.y).mean()

    slopes = torch.autograd.grad(total(True), parameters)
    along = sum(float((s * d).sum()) for s, d in zip(slopes, direction, strict=True))
    step, values = 1e-6, []
    for sign in (1, -2):  # forwards by one, then back by two: at −1
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(sign * step * d)
        values.append(float(total(False)))
    difference = (values[0] - values[1]) / (2 * step)
    assert along == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("classes", [2, 3])
def test_gradcheck(penalty: str, classes: int) -> None:
    generator = torch.Generator().manual_seed(1)
    V = torch.randn(2, 3, classes, generator=generator, dtype=torch.float64, requires_grad=True)
    z = torch.randn(2, classes, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1])
    assert torch.autograd.gradcheck(lambda a, b: PENALTIES[penalty](a, b, y), (V, z))


def test_the_label_enters_the_input_gradient_only() -> None:
    c = case("with_bias-3")
    V, z = local_map(c.network, c.images)
    other = (c.y + 1) % 3
    for key, penalty in PENALTIES.items():
        same = torch.equal(penalty(V, z, c.y), penalty(V, z, other))
        assert same == (key != "input-gradient")


def test_a_gradient_of_the_mean_loss_hides_a_factor() -> None:
    """Why per-example gradients come from a sum: the mean's are N times too small."""
    c = case("with_bias-3")
    V, z = local_map(c.network, c.images)
    x = c.images.clone().requires_grad_(True)
    (mean,) = torch.autograd.grad(functional.cross_entropy(c.network(x), c.y), x)
    ours = derivatives.input_gradient(V, z, c.y)
    torch.testing.assert_close(3 * mean, ours)
    torch.testing.assert_close(9 * mean.square().sum(dim=1), penalties.input_gradient_penalty(V, z, c.y))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_maps_that_do_not_fit_are_refused(penalty: str) -> None:
    with pytest.raises(InputError, match="V must have shape"):
        PENALTIES[penalty](torch.zeros(2, 4, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))


def test_names_are_the_command_lines() -> None:
    assert list(PENALTIES) == ["input-gradient", "jacobian", "curvature", "cross-lipschitz"]


def network_with_statistics() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


SHORT = grid.Budget(seeds=1, reference=1, fine_tuning=1)


def tuned_for_predictions(name: str) -> object:
    reference = grid.Shard("mnist-1-7", "lenet-300-100", None, 0.0, 0.1, SHORT, "a digest").reference
    start = predictions.Finished(reference, [networks.lenet_300_100(2)], [-1])
    return list(predictions.fine_tuned(start, [name], 0.1, 1))


def tuned_live(name: str) -> object:
    start = in_memory.Trained("made up", "lenet-300-100", small_task(), (0,), [networks.mlp((36, 4, 2))])
    return in_memory.fine_tuned(start, [(name, 0.1)], iterations=1)


def shard(name: str) -> grid.Shard:
    return grid.Shard("mnist-1-7", "lenet-300-100", name, 0.1, 0.1, SHORT, "a digest")


WAYS: dict[str, Callable[[str], object]] = {
    "train": lambda name: train(network_with_statistics(), small_task(), iterations=1, penalty=name),
    "descent": lambda name: Descent(network_with_statistics(), CaffePolicy(), name, 0.1),
    "columns": lambda name: columns.penalty_by_columns(
        network_with_statistics().eval(), torch.zeros(2, 36), torch.zeros(2, dtype=torch.int64), name
    ),
    "gram": lambda name: penalties.gram_penalty(
        torch.eye(2), torch.zeros(2), torch.tensor(0), torch.ones(4), ("jacobian", name)
    ),
    "weights": lambda name: penalty_weights(["jacobian", name], [0.1]),
    "multiplications": lambda name: multiplications.columns(("jacobian", name), 2),
    "shard": shard,
    "live": tuned_live,
    "stored predictions": tuned_for_predictions,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["cross_lipschitz", "none", "Jacobian", ""])
def test_a_name_that_no_penalty_has_stops_before_anything_is_trained(way: str, name: str) -> None:
    if (way, name) == ("live", "none"):
        name = "None"  # there "none" stands for fine-tuning without a penalty
    with pytest.raises(InputError, match=r"input-gradient, jacobian, curvature, cross-lipschitz") as error:
        WAYS[way](name)
    assert repr(name) in str(error.value)


def test_an_unknown_name_leaves_the_networks_statistics_alone() -> None:
    network = network_with_statistics()
    images, labels = torch.rand(4, 36), torch.tensor([0, 1, 0, 1])
    with pytest.raises(InputError, match="no penalty is called 'none'"):
        objective(network, images, labels, "none")
    assert network[2].num_batches_tracked == 0
    objective(network, images, labels, "jacobian")
    assert network[2].num_batches_tracked == 1


def test_a_penalty_without_its_fast_forms_is_refused(monkeypatch):
    """A fifth penalty that only has a definition must not get another one's gradient."""
    monkeypatch.setitem(PENALTIES, "fifth", PENALTIES["curvature"])
    z, y = torch.zeros(1, 2), torch.tensor([0])
    with pytest.raises(InputError, match="'fifth' has no form by columns"):
        columns.penalty_columns("fifth", z, z, y)
    with pytest.raises(InputError, match="'fifth' has no Gram form"):
        penalties.gram_penalty(torch.eye(2)[None], z, y, torch.ones(4), ("jacobian", "fifth"))
