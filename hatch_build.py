"""What a wheel carries beside the package: the stored results, which `regrob.analysis.results` finds.

An editable install needs no copy, since it finds them in the checkout.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StoredResults(BuildHookInterface):  # type: ignore[type-arg]
    """Copies `book/results` to `regrob/results`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is written; version is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"]["book/results"] = "regrob/results"
