"""What a CUDA graph can record, tried without a GPU: a step that never leaves its device."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from regrob import attacks
from regrob.attacks.evaluation import AttackSettings, SingleNetwork, evaluate
from regrob.bench.device_checks import ATTACKS, STACKABLE, Veiled, clouds, networks
from regrob.ensembles import graphs
from regrob.ensembles.ensemble import Ensemble
from regrob.ensembles.layers import WeightedLayer
from regrob.ensembles.network_view import StackedPullback
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training import many
from regrob.training.adversarial import Adversary
from regrob.training.many import train_ensemble

ELSEWHERE = "lazy"
"""A device type that has no kernels: only its shapes are followed. Code that asks takes it for no CPU."""

KINDS = {"none": (), **{kind: (kind,) for kind in PENALTY_NAMES}, "all": PENALTY_NAMES}


class StaysThere(TorchDispatchMode):
    """Raises as soon as an operation reads or writes a tensor of the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            if isinstance(leaf, Tensor) and leaf.device.type != ELSEWHERE:
                raise AssertionError(f"{func} touches the host: {tuple(leaf.shape)} on {leaf.device}")
        return result


def elsewhere(ensemble: Ensemble) -> Ensemble:
    """The ensemble with all its tensors on the device without kernels."""
    for layer in ensemble.layers:
        if isinstance(layer, WeightedLayer):
            for name, value in layer.tensors().items():
                setattr(layer, name, torch.empty(value.shape, device=ELSEWHERE))
    ensemble.weights = torch.empty(ensemble.weights.shape, device=ELSEWHERE)
    ensemble.directions = torch.empty(ensemble.directions.shape, device=ELSEWHERE)
    return ensemble


def step_elsewhere(ensemble: Ensemble, adversary: Adversary | None) -> Callable[[], None]:
    ensemble = elsewhere(ensemble)
    images = torch.empty(100, 1, 28, 28, device=ELSEWHERE)
    labels = torch.empty(100, dtype=torch.int64, device=ELSEWHERE)
    buffers = many._Buffers.empty(ensemble, 3, 64)
    if adversary is not None:
        buffers.starts = images.new_zeros(3, 64, 1, 28, 28)
    members = torch.zeros(3, dtype=torch.int64, device=ELSEWHERE)
    ensemble.block_size(images.new_zeros(3, 64, 1, 28, 28))  # as the warm-up does
    return many._one_step(ensemble, images, labels, members, buffers, many.CAFFE, adversary)


@pytest.mark.parametrize("adversary", [None, Adversary(0.1, steps=2)], ids=["plain", "adversarial"])
@pytest.mark.parametrize("label", KINDS)
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("name", STACKABLE)
def test_a_recorded_step_never_leaves_the_device(
    name: str, classes: int, label: str, adversary: Adversary | None
) -> None:
    weights = torch.tensor([[0.1 if kind in KINDS[label] else 0.0 for kind in PENALTY_NAMES]] * 3)
    ensemble = Ensemble(networks(name, classes, 3, torch.float32), weights, memory=2**30)
    # A fake tensor has no values: asking for one, or for a shape that depends on one, raises.
    with FakeTensorMode():
        step = step_elsewhere(ensemble, adversary)
        with StaysThere(), torch.no_grad():
            step()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x * torch.tensor([1.0, -1.0], device=ELSEWHERE),
        lambda x: x * torch.ones(2),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x * x.sum().item(),
        lambda x: x if bool((x > 0).all()) else -x,
    ],
    ids=["constant", "host", "mask", "nonzero", "item", "branch"],
)
def test_a_step_that_leaves_the_device_is_caught(wrong: Callable[[Tensor], Tensor]) -> None:
    refused = (AssertionError, DataDependentOutputException, DynamicOutputShapeException)
    with FakeTensorMode():
        x = torch.empty(3, 2, device=ELSEWHERE)
        with pytest.raises(refused), StaysThere():
            wrong(x)


@pytest.mark.parametrize("way", ["stacked", "single", "autograd"])
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", STACKABLE)
def test_attacks_make_their_tensors_where_the_images_are(name: str, attack: str, way: str) -> None:
    nets = networks(name, 10, 2, torch.float32)
    task = clouds(10, count=16, dtype=torch.float32)
    images, labels = task.test_images, task.test_labels
    target: nn.Module = nets[0] if way == "single" else Veiled(nets[0])
    if way == "stacked":
        target = StackedPullback(Ensemble(nets, torch.zeros(2, len(PENALTY_NAMES))))
        images, labels = images.repeat(2, 1, 1, 1), labels.repeat(2)
    function, settings, _ = ATTACKS[attack]
    quick = {key: min(value, 3) if isinstance(value, int) else value for key, value in settings.items()}
    with torch.device("meta"):
        result = function(target, images, labels, **quick)
    assert result.images.device == images.device


def test_evaluation_and_training_make_their_tensors_where_the_images_are() -> None:
    nets = networks("lenet-300-100", 2, 2, torch.float32)
    task = clouds(2, count=24, dtype=torch.float32)
    ensemble = Ensemble(nets, torch.full((2, 4), 1e-3))
    settings = AttackSettings(carlini_wagner={"binary_search_steps": 1, "max_iterations": 3})
    with torch.device("meta"):
        for _ in train_ensemble(ensemble, task, [0, 1], iterations=2, adversary=Adversary(0.1, steps=2)):
            pass
        list(evaluate(ensemble, task.test_images, task.test_labels, settings))
        list(evaluate(SingleNetwork(nets[0]), task.test_images, task.test_labels, settings))


def test_a_tensor_without_a_device_is_caught() -> None:
    x = torch.rand(3, device="cpu")
    with torch.device("meta"), pytest.raises((RuntimeError, NotImplementedError)):
        (x + torch.zeros(3)).to("cpu")


def test_elsewhere_than_on_cuda_a_step_stays_what_it_is() -> None:
    state = torch.zeros(1)

    def step() -> None:
        state.add_(1)

    assert graphs.captured(step, [state]) is step
    assert float(state) == 0.0


def test_full_float32_is_asked_of_products_and_convolutions() -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.deterministic
    try:
        graphs.exact_float32()
        assert cudnn.conv.fp32_precision == matmul.fp32_precision == "ieee"
        assert cudnn.deterministic
        assert not cudnn.benchmark
    finally:
        cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.deterministic = before


def test_every_attack_is_tried_on_devices() -> None:
    exported = {name: getattr(attacks, name) for name in attacks.__all__}
    returned = {
        name: get_type_hints(item).get("return")
        for name, item in exported.items()
        if inspect.isfunction(item)
    }
    public = {name.replace("_", "-") for name, kind in returned.items() if kind is attacks.AttackResult}
    assert len(public) == 6
    assert set(ATTACKS) == public
