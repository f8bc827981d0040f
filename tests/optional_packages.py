"""Packages that only some tests need: these are skipped without them, but not where they must be there."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch


def require(*packages: str) -> None:
    """Skip a test whose packages are missing; fail it if REGROB_REQUIRE_INTEGRATIONS=1."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("REGROB_REQUIRE_INTEGRATIONS") == "1":
        pytest.fail(f"{missing} must be installed: make integrations")
    if missing:
        pytest.skip(f"{missing} not installed: pip install 'regrob[integrations]'")
    if importlib.util.find_spec("torchvision"):
        _let_torchvision_in()


_LIBRARIES: list[torch.library.Library] = []


def _let_torchvision_in() -> None:
    """Let torchvision be imported beside a torch that its compiled operators were not built for.

    Its models need none of them; but its import asks for the two that it describes to torch.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        try:
            torch._C._dispatch_find_schema_or_throw(f"torchvision::{name}", "")
        except RuntimeError:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)  # its definitions last as long as it does
