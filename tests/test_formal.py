"""Formal proofs: what counts as proved, what breaks a claim, and the tool that asks Coq."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_proofs import CLAIM, PAIRS, record_of, store, write

from regrob.claims import formal, ledger
from regrob.claims.claim import Claim, Evidence, Result, Verdict, judge
from regrob.claims.formal import AXIOMS, FormalProof, Proofs
from regrob.errors import DataError

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("proofs", ROOT / "book" / "_tools" / "proofs.py")
assert _spec is not None
assert _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny project with its record."""
    proofs = write(tmp_path / "proofs")
    store(proofs.folder, record_of(proofs))
    return proofs.folder


def judged(folder: Path, expected: Verdict = Verdict.HOLDS) -> Result:
    """A claim with nothing but its formal proof."""
    proofs = Proofs(folder)
    proof = FormalProof(proofs.pairs[CLAIM], proofs)
    return judge(
        Claim(CLAIM, "new", "t", "1 = 1", "book/x", formal=proof, corrected="1 = 1", expected=expected)
    )


def change(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


# --- What counts as proved ------------------------------------------------------------------


def test_a_recorded_proof_is_the_strongest_evidence(folder: Path) -> None:
    result = judged(folder)
    assert (result.verdict, result.evidence, result.failures) == (Verdict.HOLDS, (Evidence.FORMAL,), ())
    assert next(iter(Evidence)) is Evidence.FORMAL
    assert ledger.evidence_in_words(result) == "formally proved; negation formally proved"
    assert ledger.as_record(result)["evidence"] == ["formally proved"]
    assert ledger.as_record(result)["formal"] == {
        "theorems": ["Theorems.grows"],
        "instance": "Theorems.grows_at_one",
        "negation": "Theorems.not_for_all",
        "axioms": sorted(AXIOMS),
    }


Damage = Callable[[Path, dict[str, Any]], None]


def entry(record: dict[str, Any], name: str = "Theorems.grows") -> dict[str, Any]:
    return record["theorems"][name]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f, r: change(f, "Theorems.v", "rewrite twice", "rewrite  twice"), "Theorems.grows is stale"),
        (
            lambda f, r: change(f, "Words.v", "4 x *)", "4x *)"),
            "stale, Theorems.v or a file that it requires",
        ),
        (
            lambda f, r: entry(r).update(axioms=["Regrob.Words.cheat"]),
            "assumes Regrob.Words.cheat, which is none",
        ),
        (lambda f, r: entry(r).update(axioms=[*AXIOMS, "Elsewhere.classic"]), "assumes Elsewhere.classic"),
        (lambda f, r: entry(r).pop("axioms"), "assumes an unknown axiom"),
        (lambda f, r: entry(r).update(statement=""), "no statement of Theorems.grows; run `make proofs`"),
        (lambda f, r: r["theorems"].pop("Theorems.grows_at_one"), "no statement of Theorems.grows_at_one"),
        (lambda f, r: r["theorems"].pop("Theorems.not_for_all"), "no statement of Theorems.not_for_all"),
        (lambda f, r: r["wrong"].pop(CLAIM), "no wrong variant of Theorems.grows with the inequality turned"),
        (lambda f, r: r["wrong"][CLAIM][0].update(rejected=False), "Coq accepts a wrong variant"),
        (lambda f, r: r["wrong"][CLAIM][0].update(sha256="0"), "of the wrong variant (the inequality turned"),
        (
            lambda f, r: change(f, "pairs.toml", 'by = "fourfold', 'by = "2 < fourfold'),
            "of the wrong variant",
        ),
        (lambda f, r: change(f, "pairs.toml", 'replace = "x <', 'replace = "x >'), "of the wrong variant"),
        (lambda f, r: change(f, "pairs.toml", "Theorems.grows_at_one", ""), "names no instance"),
        (
            lambda f, r: change(f, "pairs.toml", '["Theorems.grows"]', '["Theorems.not_for_all"]'),
            "a wrong variant of Theorems.grows, which is none of the claim's theorems",
        ),
        (lambda f, r: change(f, "pairs.toml", '["Theorems.grows"]', "[]"), "names no theorem"),
        (
            lambda f, r: (f / "pairs.toml").write_text(PAIRS.partition("[[")[0], encoding="utf-8"),
            "has no wrong variant of its theorem",
        ),
    ],
)
def test_whatever_is_amiss_breaks_the_claim(folder: Path, damage: Damage, message: str) -> None:
    record = record_of(Proofs(folder))
    damage(folder, record)
    store(folder, record)
    result = judged(folder)
    assert result.verdict is Verdict.BROKEN
    assert Evidence.FORMAL not in result.evidence
    assert any(message in failure for failure in result.failures), result.failures
    assert not result.as_expected


def test_a_byte_that_no_proof_of_the_claim_needs_may_change(folder: Path) -> None:
    (folder / "Other.v").write_text("(* apart *)\n", encoding="utf-8")
    assert judged(folder).verdict is Verdict.HOLDS


def test_without_a_record_the_claim_is_broken(folder: Path) -> None:
    (folder / "record.json").unlink()
    assert judged(folder).failures == ("the formal proof has no record; run `make proofs`",)
    (folder / "record.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"is no JSON.*run `make proofs`"):
        judged(folder)


@pytest.mark.parametrize("expected", [Verdict.FAILS, Verdict.PARTLY])
def test_what_fails_as_printed_needs_the_proof_of_its_negation(folder: Path, expected: Verdict) -> None:
    assert judged(folder, expected).failures == ()
    change(folder, "pairs.toml", "Theorems.not_for_all", "")
    assert judged(folder).failures == ()
    assert judged(folder, expected).failures == (
        "the printed statement fails, and pairs.toml names no proof of its negation",
    )


# --- Pairs and files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Theorems.grows_at_one",
            "Theorems.grows_at_two",
            r"\[new-1.a\]: Theorems.v has no theorem 'grows_at_two'",
        ),
        ('["Theorems.grows"]', '["Theorem.grows"]', r"\[new-1.a\]: there is no Theorem.v"),
        ('["Theorems.grows"]', '["Theorems"]', "Theorems.v has no theorem ''"),
        ('["Theorems.grows"]', '"Theorems.grows"', "'theorems' must be a list"),
        ("omits =", "omit =", "no entry is called 'omit'; there are theorems"),
        ('omits = ""', "", "'omits' is missing"),
        ("what =", "why =", r"\[\[new-1.a.wrong\]\]: no entry is called 'why'"),
        ('["new-1.a"]', "[new-1.a]", r"\[new-1\]: no entry is called 'a'.*an id with a dot needs quotation"),
        ('omits = ""', "omits =", "pairs.toml is no TOML"),
    ],
)
def test_pairs_that_cannot_be_read_are_named(folder: Path, old: str, new: str, message: str) -> None:
    text = PAIRS.replace('["new-1.a".wrong]', "[new-1.a.wrong]") if new == "[new-1.a]" else PAIRS
    (folder / "pairs.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Proofs(folder).pairs  # noqa: B018


@pytest.fixture
def _book_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tiny project is the book's."""
    monkeypatch.setattr(formal, "PLACES", (folder,))
    formal.stored.cache_clear()
    yield
    formal.stored.cache_clear()


@pytest.mark.usefixtures("_book_has")
def test_the_ledger_refuses_a_pair_for_a_claim_that_it_does_not_have() -> None:
    with pytest.raises(DataError, match=r"a table \[new-1.a\], but the ledger has no claim of that name"):
        ledger.select(["eq-5"])


@pytest.mark.usefixtures("_book_has")
@pytest.mark.parametrize("symbolic", [True, False])
def test_the_ledger_gives_a_claim_its_proof(folder: Path, symbolic: bool) -> None:
    text = PAIRS.replace(CLAIM, "eq-5").replace("Theorems.not_for_all", "")
    store(folder, record_of(write(folder, pairs_toml=text)))
    proved, other = ledger.select(["eq-5", "eq-8"], symbolic=symbolic)
    assert other.formal is None
    result = judge(proved, trials=20)
    assert result.as_expected
    assert result.evidence[:2] == (Evidence.FORMAL, Evidence.GENERAL)
    assert ledger.evidence_in_words(result).startswith("formally proved; general derivation")
    assert ledger.table([result]).startswith("✓ eq-5  holds             formally proved; general derivation")


@pytest.mark.usefixtures("_book_has")
def test_without_the_files_there_is_no_tier_and_no_failure(folder: Path) -> None:
    shutil.rmtree(folder)
    (claim,) = ledger.select(["eq-5"], symbolic=True)
    assert claim.formal is None
    result = judge(claim)
    assert (result.verdict, result.evidence) == (Verdict.HOLDS, (Evidence.GENERAL, Evidence.ENCLOSED))
    assert ledger.as_record(result)["formal"] is None


def test_a_file_stands_on_all_that_it_requires(folder: Path) -> None:
    files = {
        "Top": "From Regrob\n  Require Export Theorems\n Apart.\n(* From Regrob Require Import Nothing. *)",
        "Apart": "From Coq Require Import Reals. (* (* nested *) Require Regrob. *)",
    }
    for name, text in files.items():
        (folder / f"{name}.v").write_text(text, encoding="utf-8")
    proofs = Proofs(folder)
    assert proofs.closure("Top") == ["Apart", "Theorems", "Top", "Words"]
    assert proofs.closure("Words") == ["Words"]
    assert len({proofs.sha256(name) for name in proofs.files}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Require Import Regrob.Words.", "Odd.v: write `From Regrob Require Import FILE.`"),
        ("From Coq Require Import Reals Regrob.Words.", "Odd.v: write"),
        ("Load Words.", "Odd.v: write"),
        ("From Regrob Require Import Nowhere.", "Odd.v requires Nowhere, but there is no Nowhere.v"),
    ],
)
def test_a_requirement_that_a_hash_would_miss_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "Odd.v").write_text(text + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(message)):
        Proofs(folder).closure("Odd")


def test_comments_and_strings_become_blanks_of_the_same_length() -> None:
    text = 'a (* b (* c *) "*)" d *) e "(*" f (* g\nh *)\ni'
    bare = formal.without_comments(text)
    assert len(bare) == len(text)
    assert bare.split() == ["a", "e", "f", "i"]
    assert bare.count("\n") == 2


def test_a_theorem_is_cut_from_its_first_word_to_the_end_of_its_proof(folder: Path) -> None:
    proofs = Proofs(folder)
    text = proofs.theorem("Theorems.grows")
    assert text.startswith("Theorem grows (x : R)")
    assert text.endswith("lra.\nQed.")
    assert text.count("Qed.") == 1


@pytest.mark.parametrize(
    ("replace", "message"),
    [("lra", "stands in its proof"), ("x", "occurs"), ("zeta", "'zeta' occurs 0 times")],
)
def test_a_wrong_variant_changes_one_place_of_the_statement(folder: Path, replace: str, message: str) -> None:
    proofs = Proofs(folder)
    wrong = formal.Wrong("Theorems.grows", replace, "z", "w")
    with pytest.raises(DataError, match=message):
        proofs.variant(wrong)
    statement, proof = proofs.variant(proofs.pairs[CLAIM].wrong[0])
    assert statement.endswith("0 < x -> fourfold x < x.")
    assert proof.startswith("\nProof.")


def test_the_glossary_has_the_words_of_the_statement_and_the_words_of_these(folder: Path) -> None:
    proofs = Proofs(folder)
    (term,) = proofs.glossary(("Theorems.grows",))
    assert (term.file, term.names) == ("Words", ("twice", "fourfold"))
    assert term.meaning == "2 x and 4 x"
    assert term.code == "Definition twice x := 2 * x.\nDefinition fourfold x := twice (twice x)."
    assert proofs.files["Words"][term.start :].startswith(term.code)
    assert [other.meaning for other in proofs.definitions("Words")] == ["2 x and 4 x", "never used"]


# --- The book's own -------------------------------------------------------------------------

BOOK = Proofs(ROOT / "book" / "proofs")


@pytest.mark.parametrize("claim", BOOK.pairs)
def test_every_pair_of_the_book_counts(claim: str) -> None:
    statement = ledger.CLAIMS[claim]
    slip = statement.transcription and statement.counterexample is not None
    refuted = statement.expected in (Verdict.FAILS, Verdict.PARTLY) or slip
    pair = BOOK.pairs[claim]
    assert FormalProof(pair, BOOK).faults(refuted=refuted) == []
    assert pair.reading


def test_the_record_has_nothing_that_no_pair_names() -> None:
    assert BOOK.record is not None
    assert set(BOOK.record["theorems"]) == {name for pair in BOOK.pairs.values() for name in pair.named}
    assert set(BOOK.record["wrong"]) == set(BOOK.pairs)


@pytest.mark.parametrize("file", BOOK.files)
def test_no_file_assumes_anything_of_its_own(file: str) -> None:
    code = formal.without_comments(BOOK.files[file])
    assert re.findall(r"\b(?:Admitted|Axioms?|Parameters?|Conjecture|admit|bypass_check)\b", code) == []
    assert not re.search(r"\b(?:Uns|S)et\b[^.]*\bChecking\b", code)
    assert BOOK.closure(file)


@pytest.mark.parametrize("file", BOOK.files)
def test_every_file_has_its_page(file: str) -> None:
    page = (ROOT / "book" / "formal" / f"{file}.md").read_text(encoding="utf-8")
    assert f"```{{formal-file}} {file}\n" in page
    assert f"book/formal/{file}\n" in (ROOT / "_toc.yml").read_text(encoding="utf-8")


# --- The tool -------------------------------------------------------------------------------


def run(folder: Path, *options: str) -> int:
    build = folder.parent / "build"
    return int(tool.main(["--proofs", str(folder), "--build", str(build), "--jobs", "2", *options]))


@pytest.fixture
def _coq() -> None:
    """Skip where there is no Coq; fail there if REGROB_REQUIRE_COQ=1."""
    if shutil.which("coqc") is None and os.environ.get("REGROB_REQUIRE_COQ") == "1":
        pytest.fail("there must be a Coq: apt-get install coq libcoq-coquelicot libcoq-interval")
    if shutil.which("coqc") is None:
        pytest.skip("there is no Coq")


def test_without_coq_the_tool_says_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert run(folder) == 1
    assert "apt-get install --no-install-recommends coq libcoq-coquelicot" in capsys.readouterr().err


@pytest.mark.usefixtures("_coq")
def test_the_tool_records_what_coq_says_and_changes_no_byte_when_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proofs = write(tmp_path / "proofs")
    assert run(proofs.folder) == 0
    assert judged(proofs.folder).evidence == (Evidence.FORMAL,)
    path = proofs.folder / "record.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    grows = record["theorems"]["Theorems.grows"]
    assert grows["statement"] == "forall x : R, 0 < x -> x < fourfold x"
    assert set(grows["axioms"]) <= set(AXIOMS)
    assert "Coq.Reals.ClassicalDedekindReals.sig_forall_dec" in grows["axioms"]
    assert grows["sha256"] == proofs.sha256("Theorems")
    (rejected,) = record["wrong"][CLAIM]
    assert rejected["rejected"] is True
    assert rejected["error"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", record["coq"])

    changed = {**record, "seconds": record["seconds"] + 5}
    store(proofs.folder, changed)
    path.write_text(tool.written(changed), encoding="utf-8")
    before = path.read_bytes()
    assert "asked for 3 theorems of Theorems.v" in capsys.readouterr().out
    assert run(proofs.folder) == 0
    assert path.read_bytes() == before
    told = capsys.readouterr().out
    assert "record.json is as it was" in told
    assert "asked" not in told, "Coq has said it of just these bytes"
    assert "rejected" not in told

    entry(changed)["statement"] = "forall x : R, x < fourfold x"
    entry(changed)["axioms"] = entry(changed)["axioms"][1:]
    store(proofs.folder, changed)
    before = path.read_bytes()
    change(proofs.folder, "Words.v", "4 x *)", "4x *)")
    assert run(proofs.folder, "--check") == 1
    told = capsys.readouterr().err
    assert "Theorems.grows: its sha256 differs" in told
    assert "Theorems.grows: its statement differs" in told, "a check asks all again"
    assert "Theorems.grows: its axioms differs" in told, (
        "though those with the same axioms are asked together"
    )
    assert path.read_bytes() == before, "a check writes nothing"


VARIANTS = {
    "x <= fourfold x": "Coq accepts it, so it is no wrong one",
    "x < fivefold x": "its statement is none that Coq understands",
    "x < fourfold (x": "its statement is none that Coq understands",
    "x < fourfold": "its statement is none that Coq understands",
    "fourfold x < x": None,
}
"""What may stand in the place of `x < fourfold x`, and what the tool says of it."""


@pytest.mark.usefixtures("_coq")
def test_only_a_wrong_statement_counts_as_a_wrong_variant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, table, wrong = PAIRS.partition("[[")
    wrong = table + wrong
    tables = [
        wrong.replace("fourfold x < x", by).replace("the inequality turned round", f"variant {by}.")
        for by in VARIANTS
    ]
    folder = write(tmp_path / "proofs", pairs_toml=head + "\n".join(tables)).folder
    assert run(folder) == 1
    told = capsys.readouterr()
    for by, message in VARIANTS.items():
        if message is None:
            assert f"rejected, as it must be: Theorems.grows with variant {by}." in told.out
        else:
            assert f"the wrong variant of Theorems.grows with variant {by}.: {message}" in told.err
    assert not (folder / "record.json").exists()


@pytest.mark.usefixtures("_coq")
def test_an_axiom_of_ours_is_seen_even_under_the_name_of_one_of_coqs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "proofs").folder
    change(folder, "Theorems.v", "unfold twice. ring. Qed.", "Admitted.")
    own = (
        "Axiom classic : forall x, x < fourfold x.\n"
        "Theorem mine x : x < fourfold x.\nProof. apply classic. Qed.\n"
    )
    change(folder, "Theorems.v", "Lemma twice_is_sum", f"{own}Lemma twice_is_sum")
    change(folder, "pairs.toml", "Theorems.not_for_all", "Theorems.mine")
    assert run(folder) == 1
    told = capsys.readouterr().err
    assert "Theorems.mine assumes Regrob.Theorems.classic, which is none of the axioms" in told
    assert "Theorems.grows assumes Regrob.Theorems.twice_is_sum" in told
    assert not (folder / "record.json").exists()


@pytest.mark.usefixtures("_coq")
def test_a_proof_that_does_not_compile_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "proofs").folder
    change(folder, "Words.v", "2 * x.", "3 * x.")
    assert run(folder) == 1
    assert "Theorems.v does not compile" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ("Closed under the global context\n", []),
        ("Axioms:\nB.long\n  : forall P : Prop,\n    P\nA.short : False\n", ["A.short", "B.long"]),
        ("Axioms:\nTheorems.f is assumed to be guarded.\n", None),
        ("Section Variables:\nx : R\n", None),
        ("Axioms:\n", None),
        ("", None),
    ],
)
def test_only_a_list_of_axioms_is_read_as_one(answer: str, names: list[str] | None) -> None:
    if names is None:
        with pytest.raises(tool.NotProvedError, match="is no list of axioms"):
            tool._axioms(answer)
    else:
        assert tool._axioms(answer) == names


def test_an_error_is_told_in_short() -> None:
    error = 'In environment\nn : nat\nV, x :\n  nat -> R\nP := 0 : R\nUnable to unify "a" with\n "b".\n'
    assert tool._in_short(error) == 'Unable to unify "a" with "b".'
    error = 'In environment\nP := fun n : nat =>\n     n = n : \nnat -> Prop\nx : nat\nThe term "x"\n "is".\n'
    assert tool._in_short(error) == 'The term "x" "is".', "a type may begin at the margin"
    assert tool._in_short("Tactic failure: Cannot find witness.") == "Tactic failure: Cannot find witness."
    assert tool._in_short("word " * 100).endswith("word …")
    assert len(tool._in_short("word " * 100)) <= tool.LENGTH_OF_ERROR


def test_a_variant_that_fails_for_its_scripts_sake_is_named(folder: Path) -> None:
    record = record_of(Proofs(folder))
    assert tool.weak(record) == []
    record["wrong"][CLAIM][0]["error"] = "No product even after head-reduction."
    (said,) = tool.weak(record)
    assert said.startswith(f"[{CLAIM}]: Coq rejects 'the inequality turned round'")


def test_another_version_of_coq_may_use_other_words(folder: Path) -> None:
    stored = record_of(Proofs(folder))
    made = json.loads(json.dumps(stored))
    entry(made)["statement"] = "forall x, x < fourfold x"
    made["wrong"][CLAIM][0]["error"] = "No."
    assert tool.differences(stored, stored) == []
    assert tool.differences(stored, made) == [
        "Theorems.grows: its statement differs",
        f"[{CLAIM}]: its wrong variants differ",
    ]
    assert tool.differences(stored, {**made, "coq": "9.0.0"}) == []
    entry(made)["axioms"] = []
    assert tool.differences(stored, {**made, "coq": "9.0.0"}) == ["Theorems.grows: its axioms differs"]
