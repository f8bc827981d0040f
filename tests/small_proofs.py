"""Formal proofs so small that a test can write them: two files, one claim, what Coq would say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from regrob.claims.formal import AXIOMS, Proofs, file_of

WORDS = """(* Words: doubled numbers.
   Nothing else. *)
From Coq Require Import Reals.
Open Scope R_scope.

(* 2 x and 4 x *)
Definition twice x := 2 * x.
Definition fourfold x := twice (twice x).

(* never used *)
Definition thrice x := 3 * x.
"""
THEOREMS = """(* Doubling makes a positive number larger. *)
From Coq Require Import Reals Lra.
From Regrob Require Import Words.
Open Scope R_scope.

Lemma twice_is_sum x : twice x = x + x.
Proof. unfold twice. ring. Qed.

(* The claim. Qed. *)
Theorem grows (x : R) (* any *) : 0 < x -> x < fourfold x.
Proof.
  intros P. unfold fourfold. rewrite twice_is_sum, (twice_is_sum x). lra.
Qed.

Theorem grows_at_one : 0 < 1 /\\ 1 < fourfold 1.
Proof. split; [lra|]. apply grows. lra. Qed.

Theorem not_for_all : ~ forall x, x < fourfold x.
Proof. intros A. specialize (A 0). unfold fourfold, twice in A. lra. Qed.
"""
PAIRS = """
["new-1.a"]
theorems = ["Theorems.grows"]
instance = "Theorems.grows_at_one"
negation = "Theorems.not_for_all"
reading = "The function $f$ is `fourfold`."
omits = ""
[["new-1.a".wrong]]
theorem = "Theorems.grows"
replace = "x < fourfold x"
by = "fourfold x < x"
what = "the inequality turned round"
"""
CLAIM = "new-1.a"


def write(folder: Path, **texts: str) -> Proofs:
    """The tiny project, with other texts in the place of some."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"Words.v": WORDS, "Theorems.v": THEOREMS, "pairs.toml": PAIRS}
    for name, text in {**files, **{name.replace("_", "."): text for name, text in texts.items()}}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return Proofs(folder)


def record_of(proofs: Proofs) -> dict[str, Any]:
    """What the tool would write, Coq's answers invented."""
    names = [name for pair in proofs.pairs.values() for name in pair.named]
    return {
        "coq": "8.16.1",
        "coquelicot": "3.2.0",
        "interval": "4.6.1",
        "seconds": 7,
        "theorems": {
            name: {
                "statement": "forall x : R, 0 < x -> x < fourfold x",
                "axioms": sorted(AXIOMS),
                "sha256": proofs.sha256(file_of(name)),
            }
            for name in names
        },
        "wrong": {
            claim: [
                {
                    "theorem": wrong.theorem,
                    "what": wrong.what,
                    "rejected": True,
                    "error": "Tactic failure.",
                    "sha256": proofs.variant_sha256(wrong),
                }
                for wrong in pair.wrong
            ]
            for claim, pair in proofs.pairs.items()
        },
    }


def store(folder: Path, record: dict[str, Any]) -> None:
    """Write the record."""
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
