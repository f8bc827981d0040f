"""Packages that only some tests need: these are skipped without them, but not where they must be there."""

from __future__ import annotations

import importlib.util
import os

import pytest


def require(*packages: str) -> None:
    """Skip a test whose packages are missing; fail it if REGROB_REQUIRE_INTEGRATIONS=1."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("REGROB_REQUIRE_INTEGRATIONS") == "1":
        pytest.fail(f"{missing} must be installed: make integrations")
    if missing:
        pytest.skip(f"{missing} not installed: pip install 'regrob[integrations]'")
