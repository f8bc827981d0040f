"""What a wheel carries beside the package: stored results and formal proofs.

`regrob.analysis.results` and `regrob.claims.formal` find them. An editable install needs no copy, since it
finds them in the checkout.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StoredFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Copies `book/results` to `regrob/results`, and the proofs, pairs and record to `regrob/proofs`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is written; version is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"]["book/results"] = "regrob/results"
            for path in sorted(Path(self.root, "book", "proofs").iterdir()):
                if path.suffix in (".v", ".toml", ".json"):
                    build_data["force_include"][str(path)] = f"regrob/proofs/{path.name}"
