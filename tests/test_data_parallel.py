"""Penalties under DistributedDataParallel: two processes descend as the mean of their two halves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from regrob.training import REGULARIZERS
from regrob.training.regularizers import Regularizer

pytestmark = pytest.mark.slow

RANKS = 2


def small() -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network with BatchNorm, eight images and their labels; the same in every process."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    ).double()
    x = torch.rand(8, 1, 6, 6, dtype=torch.float64)
    network(x + 0.5)  # running statistics that are not the batch's
    network[1].momentum = 0.0  # each process would move its own
    return network, x, torch.arange(8) % 3


def objective(
    network: nn.Module, penalised: nn.Module, R: type[Regularizer], x: Tensor, y: Tensor, *, first: bool
) -> Tensor:
    """The loss of a loop that takes the penalty before, or after, its own pass."""
    penalty = R(0.3)
    if first:
        term = penalty(penalised, x, y)
        return term + functional.cross_entropy(network(x), y)
    return functional.cross_entropy(network(x), y) + penalty(penalised, x, y)


def variants() -> list[tuple[type[Regularizer], bool, bool]]:
    """Penalty, whether it is given the wrapper or the network inside, whether it comes first."""
    return [(R, wrapped, first) for R in REGULARIZERS for wrapped in (True, False) for first in (True, False)]


def process(rank: int, folder: str) -> None:
    """What each process does: one backward a variant, its gradients written to a file."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS
    )
    gradients = []
    for R, wrapped, first in variants():
        network, x, y = small()
        parallel = DistributedDataParallel(network)
        half = slice(4 * rank, 4 * rank + 4)
        penalised = parallel if wrapped else network
        objective(parallel, penalised, R, x[half], y[half], first=first).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    torch.save(gradients, f"{folder}/gradients-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_descend_as_the_mean_of_their_halves(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(process, args=(str(tmp_path),), nprocs=RANKS)
    ranks = [torch.load(tmp_path / f"gradients-{rank}.pt", weights_only=True) for rank in range(RANKS)]
    for number, (R, _, first) in enumerate(variants()):
        network, x, y = small()
        halves = [slice(4 * rank, 4 * rank + 4) for rank in range(RANKS)]
        total = sum(objective(network, network, R, x[half], y[half], first=first) for half in halves)
        plain = sum(functional.cross_entropy(network(x[half]), y[half]) for half in halves)
        expected, without = (
            torch.cat([g.flatten() for g in torch.autograd.grad(value / RANKS, list(network.parameters()))])
            for value in (total, plain)
        )
        for gradients in ranks:
            torch.testing.assert_close(gradients[number], expected, rtol=1e-9, atol=1e-12)
        assert float((expected - without).abs().max()) > 1e-3  # the term is felt
