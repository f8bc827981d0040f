"""A network of the reader's own, and images to try it on, by name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from regrob.errors import InputError, RegrobError


def load_network(
    factory: str, *, images: Path | None = None, shape: tuple[int, ...] | None = None, seed: int = 0
) -> tuple[nn.Module, Tensor, Tensor | None]:
    """The network, what to feed it (N, …), and the labels (N,) if they are known.

    Args:
        factory: "module:function", a function without arguments that returns an `nn.Module`,
            or a tuple (network, images, labels); the current folder is searched too.
        images: a .npz or .pt file that holds "images", and "labels" if known.
        shape: of one input; 8 random inputs in [0, 1] of that shape are made.
        seed: of the random inputs.

    Raises:
        InputError: the factory or the file cannot be used, or there is nothing to feed.
    """
    made = _call_factory(factory)
    network, inputs, labels = made if isinstance(made, tuple) and len(made) == 3 else (made, None, None)
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{factory} returned {type(network).__name__}; expected an nn.Module, "
            "or a tuple (nn.Module, images, labels)"
        )
    if images:
        inputs, labels = _read_images(images)
    elif shape:
        generator = torch.Generator().manual_seed(seed)
        inputs, labels = torch.rand(8, *shape, generator=generator), None
    elif inputs is None:
        raise InputError("say what to feed the network: --input-shape 1,28,28, or --images FILE")
    return network, inputs, labels


def _call_factory(name: str) -> object:
    module_name, separator, attribute = name.partition(":")
    if not separator or not module_name or not attribute:
        raise InputError(f"--network must be MODULE:FACTORY, as in mypackage.models:make, got {name!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
        factory = getattr(module, attribute, None)
        if not callable(factory):
            raise InputError(f"module {module_name!r} has no function {attribute!r}")
        made: object = factory()
    except ImportError as error:
        raise InputError(f"cannot import {module_name!r}: {error}") from error
    except TypeError as error:
        raise InputError(f"{name} must be callable without arguments: {error}") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    return made


def _read_images(path: Path) -> tuple[Tensor, Tensor | None]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        elif path.suffix in (".pt", ".pth"):
            stored = torch.load(path, map_location="cpu", weights_only=True)
            found = stored if isinstance(stored, dict) else {"images": stored}
        else:
            raise InputError(f"--images reads .npz and .pt, got {path}")
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, RegrobError):
            raise
        raise InputError(f"cannot read {path}: {error}") from error
    if "images" not in found:
        raise InputError(
            f"{path} holds {', '.join(found) or 'nothing'}; expected 'images', and 'labels' if known"
        )
    return found["images"], found.get("labels")
