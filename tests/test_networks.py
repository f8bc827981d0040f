"""The paper's networks: their layers, their start, and that the local map reads them exactly."""

from __future__ import annotations

import oracles
import pytest
import torch
from torch import Tensor, nn

from regrob import networks
from regrob.affine import local_map, require_piecewise_linear
from regrob.data import tasks
from regrob.training.policy import CaffePolicy
from regrob.training.single import Descent, accuracy

DEEP = sorted(networks.SOLO)


def build(name: str, classes: int = 2, seed: int = 0) -> nn.Module:
    return networks.NETWORKS[name](classes, generator=torch.Generator().manual_seed(seed))


def count(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


@pytest.mark.parametrize(
    ("name", "convolutions", "connected", "norms"),
    [("conv-bn", 2, 2, 3), ("vgg", 12, 2, 0), ("resnet-32", 31, 1, 0)],
)
def test_layers_are_those_of_the_paper(name: str, convolutions: int, connected: int, norms: int) -> None:
    network = build(name)
    assert count(network, nn.Conv2d) == convolutions
    assert count(network, nn.Linear) == connected
    assert count(network, nn.modules.batchnorm._BatchNorm) == norms


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("name", DEEP)
def test_shapes_and_seeds(name: str, classes: int) -> None:
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    one, again, other = (build(name, classes, seed).eval()(x) for seed in (3, 3, 4))
    assert one.shape == (2, classes)
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", DEEP)
def test_the_local_map_is_autograds(name: str) -> None:
    """With random statistics and weights in every branch, in float64."""
    generator = torch.Generator().manual_seed(5)
    network = build(name, 3).double()
    for key, value in network.state_dict().items():
        if key.endswith(("running_mean", "bias")) or (value.ndim > 1 and not value.any()):
            value.copy_(0.05 * torch.randn(value.shape, generator=generator, dtype=torch.float64))
        elif key.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator, dtype=torch.float64))
    network.eval()
    x = torch.rand(2, 3, 32, 32, generator=generator, dtype=torch.float64)
    require_piecewise_linear(network, x)
    V, z = local_map(network, x)
    for i in range(2):
        torch.testing.assert_close(V[i], oracles.jacobian(network, x[i]), rtol=1e-12, atol=1e-14)
    # It predicts the logits nearby, which a map of another point would not.
    step = 1e-9 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    moved = network(x + step).detach() - z
    predicted = torch.einsum("ink,in->ik", V, step.flatten(1))
    torch.testing.assert_close(moved, predicted, rtol=1e-4, atol=1e-14)
    assert (moved - predicted.flip(0)).abs().max() > 1e-3 * moved.abs().max()


def test_signals_survive_the_depth_at_the_start() -> None:
    """An image is told from another by the logits; with Caffe's weights VGG would not tell them."""
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(2))

    def spread(network: nn.Module) -> Tensor:
        with torch.no_grad():
            return network.eval()(x).std(dim=0)

    for name in ("vgg", "resnet-32"):
        assert 0.005 < float(spread(build(name)).min()) < float(spread(build(name)).max()) < 10
    plain = build("vgg")
    networks.initialise_caffe(plain, torch.Generator().manual_seed(0))
    assert spread(plain).max() < 0.002


def test_a_residual_block_starts_as_its_shortcut() -> None:
    network = build("resnet-32").eval()
    h = torch.rand(2, 16, 8, 8)
    blocks = [m for m in network.modules() if isinstance(m, networks.Residual)]
    assert len(blocks) == 15
    torch.testing.assert_close(blocks[0](h), h, rtol=0, atol=0)
    halved = blocks[5](h)
    assert halved.shape == (2, 32, 4, 4)
    torch.testing.assert_close(halved[:, :16], h[:, :, ::2, ::2], rtol=0, atol=0)
    assert not halved[:, 16:].any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conv-bn", "vgg"])
def test_a_few_steps_learn(name: str) -> None:
    """Ones and sevens in colour."""
    task = tasks.colour_pair("embedded")
    network = build(name)
    run = Descent(network, CaffePolicy(batch=16), None, 0.0)
    assert len(list(run.steps(task.train_images, task.train_labels, range(120), seed=0))) == 120
    assert accuracy(network, task.test_images, task.test_labels) > 0.9


def test_a_residual_network_without_normalisation_learns() -> None:
    """Dark from bright, with few channels."""
    network = networks.resnet_32(2, width=4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(32) % 2
    x = 0.2 + 0.6 * y[:, None, None, None] * torch.ones(32, 3, 32, 32)
    run = Descent(network, CaffePolicy(base=0.05, batch=8), None, 0.0)
    assert len(list(run.steps(x, y, range(60), seed=0))) == 60
    assert run.losses[-1] < 0.3 < 0.6 < run.losses[0]


@pytest.mark.parametrize("name", DEEP)
def test_every_part_of_an_untrained_network_can_be_made_to_matter(name: str) -> None:
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(8, 3, 32, 32, generator=generator)
    network = build(name)
    networks.make_every_part_matter(network, images, generator)
    assert not network.training
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert all(bool(weight.any()) for weight in weights)
    inputs: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    network(images)
    # Before the first BatchNorm nothing is normalised: its statistics are the batch's own.
    first = next((m for m in network.modules() if isinstance(m, nn.BatchNorm2d)), None)
    assert (first is None) == (name != "conv-bn")
    if first is not None and first.running_mean is not None:
        torch.testing.assert_close(first.running_mean, inputs[0].mean(dim=(0, 2, 3)))


def test_scattered_biases_fill_their_range_and_leave_weights_alone() -> None:
    plain, scattered = (
        networks.mlp((3, 200, 2), generator=torch.Generator().manual_seed(0)) for _ in range(2)
    )
    assert networks.scatter_biases(scattered, 0.5, torch.Generator().manual_seed(1)) is scattered
    bias = scattered[1].bias.detach()
    assert torch.equal(scattered[1].weight, plain[1].weight)
    assert 0.45 < float(bias.max()) <= 0.5 and -0.5 <= float(bias.min()) < -0.45
    assert scattered[1].bias.is_leaf and scattered[1].bias.requires_grad
    networks.scatter_biases(networks.mlp((3, 4, 2), bias=False), 0.5)  # nothing to draw
