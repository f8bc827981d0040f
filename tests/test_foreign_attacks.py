"""Attacks on networks of other people: what they really compute, functions, bounds, precision, softmax."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

from regrob import attacks, networks
from regrob.attacks import AttackResult
from regrob.ensembles import layers
from regrob.ensembles.ensemble import Ensemble
from regrob.ensembles.network_view import AutogradPullback, StackedPullback, pullback
from regrob.errors import InputError, NotPiecewiseLinearError, VanishingGradientWarning

Attack = Callable[..., AttackResult]
SETTINGS: dict[str, dict[str, object]] = {
    "fgsm": {},
    "pgd": {"steps": 10, "random_start": False},
    "apgd": {"steps": 10, "random_start": False},
    "deepfool": {},
    "carlini_wagner": {"binary_search_steps": 3, "max_iterations": 60, "learning_rate": 0.05},
    "boundary_projection": {"steps": 12},
}


def attack(name: str, network: object, x: Tensor, y: Tensor, **settings: object) -> AttackResult:
    result: AttackResult = getattr(attacks, name)(network, x, y, **SETTINGS[name] | settings)
    return result


class Veiled(nn.Module):
    """Only a forward pass: attacks cannot see the layers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights in float64."""
    chance = generator(seed)
    network = network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=chance, dtype=torch.float64))
    return network


def digits(
    shape: tuple[int, ...], network: Callable[[Tensor], Tensor], count: int = 6
) -> tuple[Tensor, Tensor]:
    x = torch.rand(count, *shape, generator=generator(1), dtype=torch.float64)
    with torch.no_grad():
        return x, network(x).argmax(dim=1)


# --- a fast path only where it computes the same ----------------------------------------


class Normalised(nn.Linear):
    """Rows of length one."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, functional.normalize(self.weight, dim=1), self.bias)


class Doubled(nn.Sequential):
    """Sees a negative of its input."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = super().forward(1 - x)
        return logits


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def subclassed_layer() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), Normalised(8, 3))


def own_forward() -> nn.Module:
    return Doubled(*plain())


def forward_of_an_instance() -> nn.Module:
    network = plain()
    network[1].forward = lambda h: h.clamp_min(0) - 0.5 * h  # type: ignore[method-assign]
    return network


def forward_hook() -> nn.Module:
    network = plain()
    network[0].register_forward_hook(lambda module, inputs, output: -output)
    return network


def forward_pre_hook_of_the_whole() -> nn.Module:
    network = plain()
    network.register_forward_pre_hook(lambda module, inputs: (1 - inputs[0],))
    return network


def backward_hook() -> nn.Module:
    network = plain()
    network[2].register_full_backward_hook(lambda module, pulled, signal: (-pulled[0],))
    return network


def parametrised() -> nn.Module:
    network = plain()
    parametrizations.weight_norm(network[0])
    assert parametrize.is_parametrized(network[0])
    return network


def pool_with_ragged_edge() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3)
    )


def late_flatten() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 7), nn.Flatten(2), nn.Flatten(), nn.ReLU(), nn.Linear(3, 3))


def fully_convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 5), nn.Flatten())


def linear_on_rows() -> nn.Module:
    return nn.Sequential(nn.Linear(7, 4), nn.ReLU(), nn.Flatten(), nn.Linear(28, 3))


VECTORS = [
    subclassed_layer,
    own_forward,
    forward_of_an_instance,
    forward_hook,
    forward_pre_hook_of_the_whole,
    parametrised,
    backward_hook,
]
IMAGES = [pool_with_ragged_edge, late_flatten, fully_convolutional]
SHAPES = dict.fromkeys(VECTORS, (6,)) | dict.fromkeys(IMAGES, (1, 7, 7)) | {linear_on_rows: (7, 7)}


@pytest.mark.parametrize("build", SHAPES)
def test_a_network_that_does_more_than_its_layers_say_is_attacked_as_it_is(
    build: Callable[[], nn.Module],
) -> None:
    network = randomise(build())
    x, y = digits(SHAPES[build], network)
    assert isinstance(pullback(network, x), AutogradPullback)
    for name in SETTINGS:
        size = {"epsilon": 0.3} if name in ("fgsm", "pgd", "apgd") else {}
        seen, other = (attack(name, target, x, y, **size) for target in (network, Veiled(network)))
        torch.testing.assert_close(seen.images, other.images)
        assert torch.equal(seen.success, other.success)
        with torch.no_grad():
            assert torch.equal(seen.success, network(seen.images).argmax(dim=1) != y)


def test_stacked_layers_would_have_answered_for_another_network() -> None:
    """The tooth: the stack of the layers' parameters has other logits and another gradient."""
    for build in (subclassed_layer, forward_hook, own_forward):
        network = randomise(build())
        x, _ = digits((6,), network)
        bare = plain().double()
        for mine, theirs in zip(bare.parameters(), network.parameters(), strict=True):
            mine.data.copy_(theirs)
        view = pullback(bare, x)
        assert isinstance(view, StackedPullback)
        assert not torch.allclose(view.logits(x), network(x), rtol=0.01)


@pytest.mark.parametrize("build", [*VECTORS, pool_with_ragged_edge, fully_convolutional])
def test_no_ensemble_of_what_has_no_stacked_form(build: Callable[[], nn.Module]) -> None:
    with pytest.raises(InputError, match=r"stacked form|last layer with weights"):
        Ensemble([build()])  # type: ignore[list-item]


def test_members_with_other_settings_are_no_ensemble() -> None:
    """Pools of other strides, rectifiers of other slopes: the shapes of all parameters agree."""

    def member(slope: float, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, stride), nn.LeakyReLU(slope), nn.Flatten(), nn.Linear(8, 3)
        )

    assert Ensemble([member(0.1, 2), member(0.1, 2)]).members == 2
    for other in (member(0.2, 2), member(0.1, 3)):
        with pytest.raises(InputError, match="member 1 has other layers"):
            Ensemble([member(0.1, 2), other])
    with pytest.raises(InputError, match="other layers"):
        Ensemble([nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2), nn.ReLU())])
    with pytest.raises(InputError, match=r"must be an nn\.Linear"):
        Ensemble([nn.Sequential(nn.Flatten())])


def test_a_hook_on_all_modules_counts() -> None:
    network = plain()
    x = torch.rand(3, 6, generator=generator())
    assert isinstance(pullback(network, x), StackedPullback)
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: 2 * output if isinstance(module, nn.ReLU) else None
    )
    try:
        assert isinstance(pullback(network, x), AutogradPullback)
    finally:
        handle.remove()
    assert isinstance(pullback(network, x), StackedPullback)


def test_logits_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a layer's stacked form be wrong one day, autograd takes over."""
    network = plain()
    x = torch.rand(3, 6, generator=generator())
    right = layers.StackedLinear.forward
    monkeypatch.setattr(
        layers.StackedLinear, "forward", lambda self, h: (1.01 * right(self, h)[0], right(self, h)[1])
    )
    assert isinstance(pullback(network, x), AutogradPullback)


# --- softmax, randomness, coupling ------------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_probabilities_are_refused_and_their_logarithms_are_not(name: str) -> None:
    network = randomise(plain())
    x, y = digits((6,), network)
    for probabilities in (nn.Sequential(*network, nn.Softmax(dim=1)), lambda x: network(x).softmax(dim=1)):
        with pytest.raises(InputError, match=r"returns probabilities.*leave the last softmax out"):
            attack(name, probabilities, x, y)
    logs = attack(name, nn.Sequential(*network, nn.LogSoftmax(dim=1)), x, y)
    torch.testing.assert_close(logs.images, attack(name, network, x, y).images, atol=1e-6, rtol=0)


def test_logits_that_sum_to_one_by_accident_are_logits() -> None:
    result = attacks.deepfool(nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0]))
    assert result.success_rate == 1.0


def test_chance_and_coupling_are_found_where_no_module_shows_them() -> None:
    network = randomise(plain())
    x, y = digits((6,), network)
    for coupled in (
        lambda x: functional.dropout(network(x), 0.5, training=True),
        lambda x: functional.batch_norm(network(x), None, None, training=True),
    ):
        with pytest.raises(NotPiecewiseLinearError, match="two copies of the first image have other logits"):
            attacks.fgsm(coupled, x, y)
    training = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)).double()
    with pytest.raises(NotPiecewiseLinearError, match=r"network\.eval"):
        attacks.fgsm(training.forward, x, y)  # a method of a module


# --- functions, bounds, precision, modes ------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_a_function_is_a_network_too(name: str) -> None:
    network = randomise(plain())
    x, y = digits((6,), network)
    result = attack(name, network.forward, x, y)
    torch.testing.assert_close(result.images, attack(name, Veiled(network), x, y).images)
    with pytest.raises(InputError, match="must map images to logits, got int"):
        attack(name, 3, x, y)


@pytest.mark.parametrize("name", SETTINGS)
def test_bounds_of_each_channel(name: str) -> None:
    """Normalising in the network or in the images: the same attack in other units."""
    mean, std = torch.tensor([0.5, 0.2, 0.1]).double().view(3, 1, 1), torch.full((3, 1, 1), 0.5).double()
    network = randomise(nn.Sequential(nn.Flatten(), nn.Linear(27, 8), nn.ReLU(), nn.Linear(8, 3)))
    x = torch.rand(5, 3, 3, 3, generator=generator(1), dtype=torch.float64)
    y = network((x - mean) / std).argmax(dim=1)
    box = (-mean / std, (1 - mean) / std)
    size = {"epsilon": 0.3} if name in ("fgsm", "pgd", "apgd") else {}
    outside = {"epsilon": 0.6} if size else {}
    step = {"step_size": 0.02} if name == "pgd" else {}
    inner = attack(name, lambda images: network((images - mean) / std), x, y, **size)
    outer = attack(name, network, (x - mean) / std, y, box=box, **outside, **step)
    assert bool((outer.images >= box[0]).all())
    assert bool((outer.images <= box[1]).all())
    if name == "carlini_wagner":  # Adam's steps have no units
        assert outer.success_rate == inner.success_rate == 1.0
    elif name != "deepfool":  # which adds a fixed 1e-4
        torch.testing.assert_close(outer.images, (inner.images - mean) / std, atol=1e-6, rtol=0)
    assert bool((inner.success == outer.success).all())
    with pytest.raises(InputError, match="must broadcast to an image"):
        attack(name, network, x, y, box=(torch.zeros(4, 1, 1), 1.0))
    with pytest.raises(InputError, match="pixels must lie in the box"):
        attack(name, network, x, y, box=(mean, 1.0))
    with pytest.raises(InputError, match="box must be"):
        attack(name, network, x, y, box=(0.0, torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1)))
    with pytest.raises(InputError, match="finite with low < high"):
        attack(name, network, x, y, box=(0.0, float("inf")))


@pytest.mark.parametrize("name", SETTINGS)
def test_rounding_does_not_put_a_pixel_outside_the_box(name: str) -> None:
    network = randomise(plain()).float()
    x, y = digits((6,), randomise(plain()))
    x = x.float()
    x[0, 0], x[1, 1] = -3e-8, 1 + 1.2e-7
    kept = x.clone()
    result = attack(name, network, x, y)
    assert torch.equal(x, kept)
    assert float(result.images.min()) >= 0.0
    assert float(result.images.max()) <= 1.0
    x[0, 0] = -1e-4
    with pytest.raises(InputError, match="pixels must lie in the box"):
        attack(name, network, x, y)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("veiled", [False, True])
def test_autograd_switched_off_changes_nothing(name: str, veiled: bool) -> None:
    network = randomise(plain())
    x, y = digits((6,), network)
    target = Veiled(network) if veiled else network
    expected = attack(name, target, x, y)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            result = attack(name, target, x.clone(), y.clone())
        assert torch.equal(result.images, expected.images)
        assert torch.equal(result.success, expected.success)
    with torch.inference_mode():
        made_inside = Veiled(randomise(plain()))
    with pytest.raises(InputError, match=r"made inside torch\.inference_mode"):
        attack(name, made_inside, x, y)


@pytest.mark.parametrize("name", SETTINGS)
def test_precision_is_right_or_refused(name: str) -> None:
    double = randomise(plain())
    x, y = digits((6,), double)
    single = randomise(plain()).float()
    with pytest.raises(InputError, match=r"images are torch.float64 and the network's weights torch.float32"):
        attack(name, single, x, y)
    for half in (torch.float16, torch.bfloat16):
        with pytest.raises(InputError, match="too coarse for the small steps of an attack"):
            attack(name, single.to(half), x.to(half), y)
    single = single.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # logits of 8 bits, images of 24
        result = attack(name, Veiled(single), x.float(), y)
    assert result.images.dtype == torch.float32


# --- what a result says -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["deepfool", "carlini_wagner", "boundary_projection"])
def test_distances_count_what_was_right(name: str) -> None:
    """Three of four are wrong from the start: they would lower the mean by their zeros."""
    network = nn.Linear(2, 2).double()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        network.bias.copy_(torch.tensor([-0.5, 0.5]))
    x = torch.tensor([[0.3, 0.5], [0.2, 0.5], [0.1, 0.5], [0.9, 0.5]], dtype=torch.float64)
    y = torch.zeros(4, dtype=torch.int64)
    result = attack(name, network, x, y)
    assert result.correct.tolist() == [False, False, False, True]
    assert result.success_rate == 1.0
    assert result.success_rate_of_correct == 1.0
    assert result.mean_distance == pytest.approx(0.4, rel=0.05)  # 0.1 with the three zeros
    stuck = attack(name, network, x, y, box=(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0])))
    assert stuck.mean_distance == pytest.approx(0.4, rel=0.05)
    with torch.no_grad():
        network.bias.copy_(torch.tensor([-0.25, 0.25]))
        network.weight.mul_(0.0)
        network.weight[0, 0] = 0.4
    x[3, 0] = 1.0
    y = torch.tensor([1, 1, 1, 1])
    none = attack(name, network, x, 1 - y)
    assert none.correct.tolist() == [False] * 4
    assert torch.tensor(none.mean_distance).isnan()
    assert torch.tensor(none.success_rate_of_correct).isnan()
    assert none.success_rate == 1.0


@pytest.mark.parametrize("name", SETTINGS)
def test_a_vanishing_gradient_is_told(name: str) -> None:
    """A steep sigmoid before the last layer: float32 rounds its slope to zero, and every attack fails."""
    body = nn.Linear(6, 3)
    with torch.no_grad():
        body.weight.copy_(1000 * torch.eye(3, 6))
        body.bias.fill_(0.0)
    x = torch.full((4, 6), 0.1)
    x[:, 0] = 0.9
    network = nn.Sequential(body, nn.Sigmoid(), nn.Linear(3, 3, bias=False))
    with torch.no_grad():
        network[2].weight.copy_(torch.diag(torch.tensor([2.0, 1.0, 1.0])))
    with pytest.warns(VanishingGradientWarning, match="vanishes at 4 of the 4 images") as seen:
        result = attack(name, network, x, torch.zeros(4, dtype=torch.int64))
    assert result.success_rate == 0.0
    assert len(seen) == 1


# --- DeepFool: targets and candidates ---------------------------------------------------


@pytest.mark.parametrize("veiled", [False, True])
def test_candidates_are_the_classes_that_lead(veiled: bool) -> None:
    """All of them change nothing; with the leading rivals alone, the boundary to these is the aim."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 30)).double()
    randomise(network)
    with torch.no_grad():
        network[1].weight *= torch.linspace(0.1, 3.0, 30)[:, None]
        network[1].bias.copy_(-network[1].weight.sum(dim=1) / 2)
    x = 0.45 + 0.1 * torch.rand(40, 12, generator=generator(1), dtype=torch.float64)
    z = network(x).detach()
    y = z.argmax(dim=1)
    target = Veiled(network) if veiled else network
    every = attacks.deepfool(target, x, y, candidates=None, overshoot=0.0, steps=1)
    torch.testing.assert_close(
        attacks.deepfool(target, x, y, candidates=30, overshoot=0.0, steps=1).images, every.images
    )
    W = network[1].weight.detach()
    for count in (2, 5):
        rivals = z.argsort(dim=1, descending=True)[:, 1:count]
        distances = (z.gather(1, y[:, None]) - z.gather(1, rivals)) / (W[rivals] - W[y][:, None]).norm(dim=2)
        few = attacks.deepfool(target, x, y, candidates=count, overshoot=0.0, steps=1)
        torch.testing.assert_close(few.distance, distances.amin(dim=1) + 1e-4)
        assert count == 5 or bool((few.distance > every.distance + 1e-6).any())


def test_candidates_do_not_feel_the_packing() -> None:
    members = [randomise(networks.mlp((12, 9, 15)), seed) for seed in range(3)]
    x = torch.rand(7, 12, generator=generator(1), dtype=torch.float64)
    y = torch.stack([member(x).argmax(dim=1) for member in members])
    together = attacks.deepfool(
        StackedPullback(Ensemble(members)),
        x.repeat(3, 1),
        y.flatten(),
        candidates=4,  # type: ignore[arg-type]
    )
    for m, member in enumerate(members):
        alone = attacks.deepfool(Veiled(member), x, y[m], candidates=4)
        torch.testing.assert_close(together.images[7 * m : 7 * m + 7], alone.images, atol=1e-9, rtol=0)


def test_the_cost_of_a_step_is_that_of_the_candidates() -> None:
    """A thousand classes, ten candidates: nine backward passes, not a thousand."""
    network = Veiled(randomise(networks.mlp((12, 9, 1000))))
    x, y = digits((12,), network, count=2)
    passes = 0

    def count(gradient: Tensor) -> None:
        nonlocal passes
        passes += 1

    def watched(images: Tensor) -> Tensor:
        z: Tensor = network(images)
        if z.requires_grad:
            z.register_hook(count)
        return z

    attacks.deepfool(watched, x, y, steps=1)
    assert 9 <= passes <= 10  # and one more where it failed, to see whether the gradient vanishes
