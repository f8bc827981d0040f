"""What can go wrong, as types a caller can catch."""

from __future__ import annotations


class RegrobError(ValueError):
    """Root of every error that this package raises on purpose."""


class InputError(RegrobError):
    """An argument has the wrong shape, type, range, or holds NaN or infinity."""


class NotPiecewiseLinearError(RegrobError):
    """The network has no exact local linear map: it bends inside a region, or couples examples."""


class HypothesisError(RegrobError):
    """A formula was asked for outside the hypotheses under which it is true."""


class DataError(RegrobError):
    """A data file is missing, truncated or altered."""


class ProofError(RegrobError):
    """A symbolic proof did not go through."""


class UnsuitableNetworkError(RegrobError):
    """A check is about networks of another build than the one it was given."""


class VanishingGradientWarning(UserWarning):
    """An attack failed where its gradient is zero: its failure says nothing of robustness."""
