"""A network by name: a factory in a module or a file, its weights, its normalisation of pixels."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import pickle
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from regrob.attacks._common import FunctionNetwork
from regrob.errors import DataError, InputError


class Normalise(nn.Module):
    """(x − mean)/std for each channel, so that lengths are in units of the pixels as they are."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, height, width) → the same shape."""
        return (x - self.mean) / self.std


class LogitsOf(nn.Module):
    """A network that returns a tuple, a dictionary or an object, reduced to its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) → (N, K)."""
        output = self.network(x)
        if isinstance(output, Tensor):
            return output
        logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
        if logits is None and isinstance(output, tuple | list):
            logits = output[0]
        if not isinstance(logits, Tensor):
            raise InputError(
                f"the network returns a {type(output).__name__} without logits; expected a tensor (N, K), "
                "an object with the attribute logits, or a tuple that begins with them"
            )
        return logits


def as_module(network: object) -> nn.Module:
    """A network as it is, a plain function of images as a module.

    Raises:
        InputError: it is neither.
    """
    if isinstance(network, nn.Module):
        return network
    if callable(network):
        return FunctionNetwork(network)
    raise InputError(
        f"the factory returned {type(network).__name__}; expected an nn.Module, a function of "
        "images, or a tuple (nn.Module, images, labels)"
    )


def with_images(product: object, factory: str) -> tuple[nn.Module, Any, Any]:
    """The network that a factory returned, with the images and labels beside it; None where there are none.

    Args:
        product: a network, or a tuple (network, images) or (network, images, labels).
        factory: its name, for messages.

    Raises:
        InputError: a tuple of another length, or no network.
    """
    if not isinstance(product, tuple):
        return as_module(product), None, None
    if len(product) not in (2, 3):
        raise InputError(
            f"{factory} returned a tuple of {len(product)}; expected (network, images) or "
            "(network, images, labels), or the network alone"
        )
    network, images, *labels = product
    return as_module(network), images, labels[0] if labels else None


def load_network(
    factory: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    weights: Path | None = None,
    normalise: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Any:
    """What a factory returns, with its weights loaded and its normalisation put in front.

    Args:
        factory: "module:function" or "file.py:function"; the current folder is searched too. A
            module-level network or function of images serves as well as a factory.
        arguments: passed to the factory by name.
        weights: a .safetensors file, or a torch file that holds tensors alone.
        normalise: means and standard deviations, one a channel, applied to the pixels first.

    Raises:
        InputError: there is no such factory, it fails, or the weights do not fit it.
        DataError: the weights cannot be read.
    """
    product = _call(_resolve(factory), factory, arguments or {})
    if isinstance(product, tuple):
        if weights is not None or normalise is not None:
            raise InputError("weights and normalise go with a factory that returns the network alone")
        return product
    if weights is not None:
        if not isinstance(product, nn.Module):
            raise InputError(
                f"{factory} returned {type(product).__name__}, which takes no weights; expected an nn.Module"
            )
        load_weights(product, weights)
    if normalise is not None:
        return nn.Sequential(Normalise(*normalise), as_module(product))
    return product


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as keyword arguments; a value that is no Python literal stays a string.

    Raises:
        InputError: a word without "=" or with a key that is no name.

    >>> parse_arguments(["depth=3", "name=resnet", "sizes=(784, 10)"])
    {'depth': 3, 'name': 'resnet', 'sizes': (784, 10)}
    """
    arguments = {}
    for word in words:
        key, separator, text = word.partition("=")
        if not separator or not key.isidentifier():
            raise InputError(f"--arg must be key=value, got {word!r}")
        try:
            arguments[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            arguments[key] = text
    return arguments


def parse_normalisation(text: str) -> tuple[list[float], list[float]]:
    """`mean,std`, or all channels' means and then all their standard deviations.

    Raises:
        InputError: an odd number of values, a value that is no number, or a deviation that is not positive.

    >>> parse_normalisation("0.5,0.25")
    ([0.5], [0.25])
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    half = len(values) // 2
    if not values or len(values) % 2 or min(values[half:]) <= 0:
        raise InputError(
            "--normalise must be mean,std, or the means of all channels and then their (positive) standard "
            f"deviations, got {text!r}"
        )
    return values[:half], values[half:]


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a .safetensors file, or a torch file read with weights_only=True, strictly.

    A checkpoint's "state_dict" or "model" is looked into, and a prefix that every name shares
    ("module.", "model.", "_orig_mod.") is taken off where the network does not have it.

    Raises:
        DataError: the file cannot be read.
        InputError: names or shapes differ from the network's.
    """
    state = _read_state(path)
    own = network.state_dict()
    for prefix in ("module.", "_orig_mod.", "model.", "network."):
        if state and all(name.startswith(prefix) for name in state) and not set(state) <= set(own):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    missing, unknown = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    unlike = [
        f"{name} is {tuple(state[name].shape)}, the network's {tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    if missing or unknown or unlike:
        faults = [
            f"{words} {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
            for words, names in (
                ("it lacks", missing),
                ("the network has no", unknown),
                ("shapes differ:", unlike),
            )
            if names
        ]
        raise InputError(
            f"{path} does not fit the network: {'; '.join(faults)}; "
            "build the network with the same arguments (--arg) as when it was trained"
        )
    network.load_state_dict(state)


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise DataError(f"{path} is truncated, or no safetensors file: {error}") from error
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"cannot read {path} as tensors alone ({first}); store network.state_dict(), not the network"
        ) from error
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(stored, Mapping) and isinstance(stored.get(name), Mapping):
            stored = stored[name]
    if not isinstance(stored, Mapping) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise InputError(f"{path} holds no state dict: expected names and tensors")
    return dict(stored)


def _resolve(name: str) -> Any:
    module_name, separator, attribute = name.rpartition(":")
    if not separator or not module_name or not attribute:
        raise InputError(
            f"the network must be MODULE:FACTORY or FILE.py:FACTORY, as in models.py:make, got {name!r}"
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a chatty module must not spoil --json
            module = _import_file(module_name) if module_name.endswith(".py") else _import(module_name)
    finally:
        sys.path.remove(str(Path.cwd()))
    factory: Any = module
    for part in attribute.split("."):
        factory = getattr(factory, part, None)
    if not callable(factory):
        raise InputError(f"{module_name!r} has no function {attribute!r}")
    return factory


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, SyntaxError) as error:
        raise InputError(f"cannot import {name!r}: {error}") from error


def _import_file(name: str) -> ModuleType:
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if specification is None or specification.loader is None:
        raise InputError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    try:
        specification.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise InputError(f"cannot import {path}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _call(factory: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    if isinstance(factory, nn.Module):  # a network at module level, no factory
        return factory
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return factory(**arguments)
    except TypeError as error:
        raise InputError(
            f"{name}({', '.join(arguments)}) fails: {error}; pass arguments by --arg key=value"
        ) from error
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"{name}({', '.join(arguments)}) fails: {type(error).__name__}: {error}, in {last.filename}, "
            f"line {last.lineno}"
        ) from error
