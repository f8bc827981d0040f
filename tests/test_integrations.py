"""The book's loops in Lightning and in Hugging Face's Trainer do what the plain loop does.

The code is read from the chapter, so that what a reader copies is what runs here. Without the packages
the tests are skipped; where the environment says REGROB_REQUIRE_INTEGRATIONS=1, that is a failure.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from optional_packages import require
from torch import Tensor, nn
from torch.nn import functional

import regrob

CHAPTER = Path(__file__).parents[1] / "book" / "your_training.ipynb"

pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # theirs


def chapter(cell: str) -> dict[str, Any]:
    """What the Python in a cell of the chapter defines."""
    cells = {c["id"]: "".join(c["source"]) for c in json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]}
    block = re.fullmatch(r"```python\n(.*)\n```", cells[cell], re.DOTALL)
    assert block is not None
    assert "# the line" in block[1]
    names: dict[str, Any] = {"__name__": "chapter"}
    exec(block[1], names)
    return names


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(8, 1, 8, 8, generator=generator), torch.arange(8) % 3) for _ in range(4)]


def by_hand(network: nn.Module, penalty: nn.Module, rate: float) -> nn.Module:
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), lr=rate)
    for images, labels in batches():
        optimiser.zero_grad()
        (functional.cross_entropy(network(images), labels) + penalty(network, images, labels)).backward()
        optimiser.step()
    return network


def assert_same(ours: nn.Module, theirs: nn.Module, other: nn.Module) -> None:
    """Weights and running statistics agree, and differ from those without a penalty."""
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    apart = [float((a - b).abs().max()) for a, b in zip(ours.parameters(), other.parameters(), strict=True)]
    assert max(apart) > 1e-4


def test_lightning(tmp_path: Path) -> None:
    require("lightning")
    names = chapter("lightning")
    lightning = names["lightning"]
    torch.manual_seed(0)
    start = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    model = names["Classifier"](copy.deepcopy(start), weight=1.0)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        default_root_dir=tmp_path,
        enable_model_summary=False,
        **quiet,
    )
    trainer.fit(model, torch.utils.data.DataLoader(batches(), batch_size=None))
    assert_same(
        model.network,
        by_hand(copy.deepcopy(start), regrob.CurvaturePenalty(1.0), 0.01),
        by_hand(copy.deepcopy(start), regrob.CurvaturePenalty(0.0), 0.01),
    )


def test_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("transformers", "accelerate")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names = chapter("hugging-face")
    transformers = names["transformers"]
    torch.manual_seed(0)
    settings = transformers.ResNetConfig(
        num_channels=1, embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=3
    )
    start = transformers.ResNetForImageClassification(settings)
    exact = regrob.JacobianPenalty(1.0)  # the chapter's projections are random
    monkeypatch.setattr(names["PenalisedTrainer"], "penalty", exact)
    images = torch.cat([x for x, _ in batches()])
    labels = torch.cat([y for _, y in batches()])
    rows = [{"pixel_values": x, "labels": y} for x, y in zip(images, labels, strict=True)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=8, num_train_epochs=1, learning_rate=0.01,
        optim="sgd", lr_scheduler_type="constant", max_grad_norm=0.0, report_to=[], save_strategy="no",
        use_cpu=True, remove_unused_columns=False, disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    model = copy.deepcopy(start)
    trainer = names["PenalisedTrainer"](model=model, args=arguments, train_dataset=rows)
    monkeypatch.setattr(trainer, "_get_train_sampler", lambda *_: torch.utils.data.SequentialSampler(rows))
    trainer.train()
    Logits = names["Logits"]
    assert_same(
        model,
        by_hand(Logits(copy.deepcopy(start)), exact, 0.01).model,
        by_hand(Logits(copy.deepcopy(start)), regrob.JacobianPenalty(0.0), 0.01).model,
    )
