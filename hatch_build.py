"""What a wheel carries beside the package: stored results and formal proofs.

`regrob.analysis.results` and `regrob.claims.formal` find them. An editable install needs no copy, since it
finds them in the checkout.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StoredFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Copies `book/results` to `regrob/results`, and `book/proofs` to `regrob/proofs`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is written; version is "standard" or "editable"."""
        if version == "standard":
            for folder in ("results", "proofs"):
                build_data["force_include"][f"book/{folder}"] = f"regrob/{folder}"
