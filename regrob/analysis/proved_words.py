"""What stored proofs say, as tables and parts of sentences for the prose of a page.

Everything is computed from the tables, so that a sentence cannot lag behind its numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from regrob.analysis import phrases
from regrob.analysis.intervals import Interval
from regrob.analysis.measures import (
    ADVERSARIAL,
    BENIGN,
    PENALTY_PHRASES,
    UNPENALISED,
    Measure,
    NetworkResults,
    Setting,
    setting_name,
    setting_phrase,
)
from regrob.analysis.proved import (
    ATTACKED,
    CERTIFIED,
    CLOSED,
    FOUND,
    LINEAR,
    SLOPE,
    TIGHTNESS,
    TOLERANCE,
    UNSTABLE,
    Proved,
    agreement,
    champions,
    is_settled,
    proved_leader,
)
from regrob.analysis.words import FAILED, HELD, UNDECIDED, tick

if TYPE_CHECKING:
    import pandas as pd

RANKINGS = {"certified": CERTIFIED, "found": FOUND, "attacked": ATTACKED, "linear": LINEAR}
"""How the names of `lead_facts` end, and by what is ranked."""

PRICES = (0.0, 0.2, 0.5, 1.0)
"""Points of accuracy that `at_equal_accuracy` lets a penalty give up."""

MOST = 0.95
"""The share of settled digits on which attacks must show the truth, to be believed."""


def origin(stored: Iterable[Proved]) -> dict[str, str]:
    """Where the numbers come from, each fact as a short text."""
    stored = list(stored)
    sidecars = [sidecar for proofs in stored for sidecar in proofs.sidecars]
    settings = [sidecar["settings"] for sidecar in sidecars]
    makers = [maker for sidecar in sidecars for maker in sidecar["made_by"]]

    def each(values: Iterable[object]) -> str:
        return phrases.listed(dict.fromkeys(str(value) for value in values))

    def digits(proofs: Proved) -> str:
        count = len(proofs.of(UNPENALISED).index.unique("image"))
        return (
            f"of {proofs.results.title} {phrases.counted(proofs.results.seeds, 'seed')}, "
            f"with {phrases.counted(count, 'digit')} of each network"
        )

    budgets = {proofs.results.title: proofs.sidecars[0]["settings"]["seconds"] for proofs in stored}
    return {
        "networks": phrases.sentence(phrases.listed(map(digits, stored))),
        "reference": each(phrases.thousands(one["reference"]) for one in settings),
        "fine-tuning": each(phrases.thousands(one["fine_tuning"]) for one in settings),
        "budgets": phrases.listed(f"{seconds:g} s a digit of {title}" for title, seconds in budgets.items()),
        "devices": each(phrases.device(maker["device"]) for maker in makers),
        "dates": each(sorted(maker["date"] for maker in makers)),
        "commits": each(maker["commit"] for maker in makers),
    }


# --- who leads ------------------------------------------------------------------------------


def ranked(pairs: Iterable[tuple[Setting, Interval]], digits: str = ".2f") -> str:
    """Settings with their means in a row.

    >>> from regrob.analysis.intervals import mean_interval
    >>> ranked([(("curvature", 1.6), mean_interval([0.708])), (("jacobian", 0.1), mean_interval([0.571]))])
    'the curvature penalty at λ = 1.6 (0.71) and the Jacobian penalty at λ = 0.1 (0.57)'
    """
    return phrases.listed(f"{setting_phrase(setting)} ({value.mean:{digits}})" for setting, value in pairs)


def lead_facts(proofs: Proved, penalties: Sequence[str]) -> dict[str, str]:
    """Each ranking of the penalties, "by-certified", …, and what follows: "verdict" and "takeaway"."""
    results = proofs.results
    rankings = {name: champions(results, measure, penalties) for name, measure in RANKINGS.items()}
    facts = {f"by-{name}": ranked(pairs) for name, pairs in rankings.items()}
    first = {name: pairs[0][0][0] for name, pairs in rankings.items()}
    named = {name: PENALTY_PHRASES[penalty] for name, penalty in first.items()}
    truth = proved_leader(results, penalties)
    if truth is not None:
        said = (
            f"{phrases.sentence(PENALTY_PHRASES[truth])} is proved to be ahead: its certified median lies "
            "above all that the others could reach at any of their λ. "
        )
    else:
        bar = rankings["certified"][0][1].mean
        open_still = [
            PENALTY_PHRASES[setting[0]] for setting, value in rankings["found"] if value.mean >= bar
        ]
        said = f"Which of them is ahead in truth is open between {phrases.listed(open_still)}. "
    if first["linear"] == first["attacked"]:
        said += f"Linear bounds and attacks both put {named['linear']} first."
    else:
        said += f"Linear bounds put {named['linear']} first, and attacks {named['attacked']}"
        sides = {first["linear"]: "linear bounds", first["attacked"]: "attacks"}
        said += "." if truth is None else f"; the truth sides with {sides.get(truth, 'neither')}."
    facts["verdict"] = said
    facts["takeaway"] = (
        f"On {results.title} attacks rank {named['attacked']} first, linear bounds {named['linear']}, "
        f"and a complete search {named['certified']}."
    )
    return facts


def linear_words(proofs: Proved, settings: Iterable[Setting]) -> str:
    """Which share of the found distance linear bounds prove, at each setting."""
    shares = [(setting, proofs.results.interval(setting, TIGHTNESS).mean) for setting in settings]
    return phrases.listed(f"{share:.0f} % of what is found after {_after(s)}" for s, share in shares)


def _after(setting: Setting) -> str:
    return "no penalty" if setting == UNPENALISED else setting_phrase(setting)


def duel_words(proofs: Proved, first: Setting, second: Setting) -> str:
    """What is proved, digit by digit, of which of two networks is farther from its mistake."""
    order = proofs.order(first, second)
    farther, nearer, unknown = (words.replace("no", "none") for words in phrases.numbers([*order]))
    return (
        f"of {phrases.counted(sum(order), 'digit')}, {setting_phrase(first)} is proved to have the farther "
        f"mistake on {farther} and {setting_phrase(second)} on {nearer}; on {unknown} neither is proved"
    )


# --- why ------------------------------------------------------------------------------------


def times(results: NetworkResults, setting: Setting, measure: Measure) -> float:
    """A setting's mean over that without a penalty."""
    return results.interval(setting, measure).mean / results.interval(UNPENALISED, measure).mean


def explanation_table(stored: Iterable[Proved], penalties: Sequence[str]) -> pd.DataFrame:
    """Each penalty at its best certified λ, over no penalty: distance, slope, units, nodes, linear bounds."""
    import pandas as pd

    lines = []
    for proofs in stored:
        results = proofs.results
        for setting, _ in champions(results, CERTIFIED, penalties):
            line = {"network": results.title, "trained with": setting_name(setting)}
            for title, measure in (
                ("certified", CERTIFIED),
                ("attacked", ATTACKED),
                ("ν", SLOPE),
                ("units that may switch", UNSTABLE),
                ("linear bounds / found", TIGHTNESS),
            ):
                line[title] = f"{times(results, setting, measure):.2f}"
            lines.append(line)
    return pd.DataFrame(lines)


def reason_sentence(proofs: Proved, penalties: Sequence[str]) -> str:
    """How ν and the units that may switch change, each penalty at its best certified λ, in one sentence."""
    results = proofs.results
    best = [setting for setting, _ in champions(results, CERTIFIED, penalties)]
    slopes = [f"{times(results, s, SLOPE):.2f} with {PENALTY_PHRASES[s[0]]}" for s in best]
    units = {s[0]: times(results, s, UNSTABLE) for s in best}
    said = f"At its best certified λ each penalty multiplies ν: by {phrases.listed(slopes)}. "
    sides: dict[str, list[str]] = {words: [] for words in ("fewer", "as many", "more")}
    for penalty, share in units.items():
        words = "fewer" if share < 1 else "more" if share > 1 else "as many"
        sides[words].append(f"{PENALTY_PHRASES[penalty]} (times {share:.2f})")
    parts = [f"{words} with {phrases.listed(chosen)}" for words, chosen in sides.items() if chosen]
    return said + f"The units that may switch become {phrases.listed(parts)}."


def reasons(proofs: Proved, penalties: Sequence[str]) -> dict[str, str]:
    """Which penalty takes away most slope, and which most units that may switch, each at its best λ.

    "slope" and "units" name them, "…-times" says what is left, over no penalty, and "…-share" which
    percentage of the found distance linear bounds prove; also "none-share".
    """
    results = proofs.results
    best = [setting for setting, _ in champions(results, CERTIFIED, penalties)]
    facts = {"none-share": f"{results.interval(UNPENALISED, TIGHTNESS).mean:.0f}"}
    for name, measure in (("slope", SLOPE), ("units", UNSTABLE)):
        chosen = min(best, key=lambda setting: times(results, setting, measure))
        facts[name] = setting_phrase(chosen)
        facts[f"{name}-times"] = f"{times(results, chosen, measure):.2f}"
        facts[f"{name}-share"] = f"{results.interval(chosen, TIGHTNESS).mean:.0f}"
    return facts


# --- at equal accuracy ----------------------------------------------------------------------


def at_equal_accuracy(results: NetworkResults, penalties: Sequence[str]) -> pd.DataFrame:
    """The best certified and the best attacked median among the λ that cost at most so much accuracy."""
    import pandas as pd

    start = results.interval(UNPENALISED, BENIGN).mean
    lines = []
    for price in PRICES:
        for penalty in penalties:
            line = {"points given up, at most": f"{price:g}", "penalty": PENALTY_PHRASES[penalty]}
            allowed = [s for s in results.whole(penalty) if results.interval(s, BENIGN).mean >= start - price]
            for measure in (CERTIFIED, ATTACKED):
                best = max(allowed, key=lambda s: results.interval(s, measure).mean, default=None)
                line[measure.title] = (
                    "–" if best is None else f"{_written(results, best, measure)}, λ = {best[1]:g}"
                )
            lines.append(line)
    return pd.DataFrame(lines)


def best_by_price(results: NetworkResults, penalties: Sequence[str]) -> str:
    """Which penalty has the largest certified median for each of `PRICES`, as a list."""
    start = results.interval(UNPENALISED, BENIGN).mean
    parts = []
    for price in PRICES:
        allowed = [s for s in results.whole(*penalties) if results.interval(s, BENIGN).mean >= start - price]
        if allowed:
            best = max(allowed, key=lambda s: results.interval(s, CERTIFIED).mean)
            value = results.interval(best, CERTIFIED).mean
            parts.append(f"for at most {price:g} points {setting_phrase(best)} ({value:.2f})")
    return phrases.listed(parts)


def _written(results: NetworkResults, setting: Setting, measure: Measure) -> str:
    """A mean with its interval; of one seed, as a table's caption may say for all, the mean alone."""
    value = results.interval(setting, measure)
    return f"{value.mean:{measure.digits}}" if value.count == 1 else f"{value:{measure.digits}}"


# --- attacks and theory ---------------------------------------------------------------------


def attack_facts(stored: Iterable[Proved]) -> dict[str, str]:
    """How far attacks were from the truth, over all settled digits."""
    import pandas as pd

    rows = pd.concat([is_settled(proofs.digits) for proofs in stored])
    ratio = (rows["attacked"] / rows["found"]).to_numpy(dtype=np.float64)
    long = int((ratio > 1 + TOLERANCE).sum())
    believed = long <= (1 - MOST) * len(ratio)
    share = f"{phrases.counted(long, 'digit')}, {100 * long / len(ratio):.1f} %"
    return {
        "settled": phrases.thousands(len(ratio)),
        "median": f"{np.median(ratio):.3f}",
        "long": share,
        "worst": f"{ratio[np.isfinite(ratio)].max():.2f}",
        "sentence": "So they were to be believed here, though nobody could know before the proof."
        if believed
        else "That is too often to overlook, and nobody could tell on which digits before the proof.",
    }


def theory_table(proofs: Proved, penalties: Sequence[str]) -> pd.DataFrame:
    """How d and ‖r*‖₂ agree with the truth over the settled digits: no penalty, and each at its best λ."""
    import pandas as pd

    lines = []
    best = [setting for setting, _ in champions(proofs.results, CERTIFIED, penalties)]
    for setting in (UNPENALISED, *best):
        rows = is_settled(proofs.of(setting))
        line = {"trained with": setting_name(setting), "settled digits": str(len(rows))}
        for sign, name in (("d", "margin"), ("‖r*‖₂", "radius")):
            found = agreement(rows, name)
            line[f"{sign}: rank"] = f"{found['rank']:.2f}"
            line[f"{sign} / truth"] = f"{found['ratio']:.2f}"
        lines.append(line)
    return pd.DataFrame(lines)


# --- what held ------------------------------------------------------------------------------


def marks(proofs: Proved, penalties: Sequence[str], stored: Iterable[Proved]) -> dict[str, str]:
    """What held of the chapter's statements, by the names that its table glues.

    Args:
        proofs: of the network that the statements are about.
        penalties: the four.
        stored: all, for the statement on attacks.
    """
    import pandas as pd

    results = proofs.results
    without = results.interval(UNPENALISED, FOUND).mean
    best = champions(results, CERTIFIED, penalties)
    first = {name: champions(results, measure, penalties)[0][0][0] for name, measure in RANKINGS.items()}
    resisting = champions(results, ATTACKED, penalties)
    truth = proved_leader(results, penalties)
    units = [times(results, setting, UNSTABLE) for setting, _ in best]
    rows = pd.concat([is_settled(each.digits) for each in stored])
    shown = float((rows["attacked"] <= (1 + TOLERANCE) * rows["found"]).mean())
    return {
        "buys": tick(len(best) == len(penalties) and all(value.mean > without for _, value in best)),
        "jacobian": tick({setting[0] for setting, _ in resisting[:2]} == {"jacobian", "cross-lipschitz"}),
        "linear": tick(first["linear"] == "curvature"),
        "certified": tick(first["certified"] == "curvature"),
        "truth": UNDECIDED if truth is None else HELD if truth == "curvature" else FAILED,
        "both": tick(all(share < 1 for share in units)),
        "attacks": tick(shown >= MOST),
    }


def methods(results: NetworkResults, penalties: Sequence[str]) -> list[str]:
    """The penalties, and adversarial training where it is stored."""
    return [*penalties, *([ADVERSARIAL] if results.weights(ADVERSARIAL) else [])]


def overview(stored: Iterable[Proved], penalties: Sequence[str]) -> pd.DataFrame:
    """Each network without a penalty, and with each method at its best certified strength: medians."""
    import pandas as pd

    columns = {"accuracy, %": BENIGN, "settled, %": CLOSED, "linear bounds": LINEAR}
    columns |= {"certified": CERTIFIED, "found": FOUND, "attacked": ATTACKED}
    lines = []
    for proofs in stored:
        results = proofs.results
        best = champions(results, CERTIFIED, methods(results, penalties))
        for setting in (UNPENALISED, *(setting for setting, _ in best)):
            line = {"network": results.title, "trained with": setting_name(setting)}
            line |= {title: _written(results, setting, measure) for title, measure in columns.items()}
            lines.append(line)
    return pd.DataFrame(lines)


def takeaways(stored: Iterable[Proved], penalties: Sequence[str]) -> str:
    """Who leads by which ranking, a sentence a network."""
    return " ".join(lead_facts(proofs, penalties)["takeaway"] for proofs in stored)
