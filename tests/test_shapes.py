"""The shapes in signatures are checked while tests run, and a wrong one is caught."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from shape_checks import ROOMS, checked

import regrob.theory
from regrob import affine, attacks, certificates, theory
from regrob.checks import Jacobian, Labels, Logits, Mask, PerExample
from regrob.errors import InputError

V, z, y = torch.rand(4, 3, 2), torch.rand(4, 2), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize("room", [affine, theory, certificates, attacks])
def test_every_public_function_is_checked_and_its_tensors_have_shapes(room: object) -> None:
    assert room.__name__ in ROOMS
    functions = [getattr(room, name) for name in room.__all__]
    functions = [f for f in functions if hasattr(f, "__code__")]
    assert functions
    for function in functions:
        assert function.__code__.co_filename == checked(len_of).__code__.co_filename, function


def len_of(V: Jacobian) -> int:
    return len(V)


def test_a_wrong_annotation_is_caught() -> None:
    def right(V: Jacobian, z: Logits, y: Labels) -> PerExample:
        return theory.input_gradient(V, z, y).sum(dim=-1)

    def wrong_axes(V: Jacobian, z: Logits, y: Labels) -> Logits:
        return theory.input_gradient(V, z, y)

    def wrong_rank(V: Logits, z: Logits, y: Labels) -> PerExample:
        return right(V, z, y)

    def wrong_type(V: Jacobian, z: Logits, y: Labels) -> Mask:
        return right(V, z, y)

    assert checked(right)(V, z, y).shape == (4,)
    for wrong in (wrong_axes, wrong_rank, wrong_type):
        with pytest.raises(BeartypeCallHintViolation):
            checked(wrong)(V, z, y)


def test_the_packages_own_errors_come_through_and_other_misuse_does_not_pass() -> None:
    with pytest.raises(InputError, match="V must have shape"):
        regrob.theory.input_gradient(V, z[:, :1], y)
    with pytest.raises(BeartypeCallHintViolation):  # the bare function would run into an AttributeError
        theory.zero_sum_basis(3, [1.0])
    with pytest.raises(BeartypeCallHintViolation):  # and here it would broadcast
        theory.rival_distances(V, z[:1], y)


def test_a_machine_without_jaxtyping_runs_the_package_all_the_same() -> None:
    code = """
import importlib.util, sys
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "jaxtyping" else find_spec(name)
import torch
from regrob import attacks, certificates, checks, theory
assert checks.Jacobian is torch.Tensor and "jaxtyping" not in sys.modules
print(float(theory.curvature(torch.tensor([[2.0, 0.0]]), torch.zeros(2))))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(output) == 1.0
