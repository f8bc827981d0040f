"""What stored proofs say, as tables and parts of sentences for the prose of a page.

Everything is computed from the tables, so that a sentence cannot lag behind its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from regrob.analysis import phrases
from regrob.analysis.comparisons import IN_WORDS
from regrob.analysis.intervals import POSITIVE, Interval, mean_interval
from regrob.analysis.measures import (
    ADVERSARIAL,
    BENIGN,
    LABELS,
    PENALTY_PHRASES,
    UNPENALISED,
    Measure,
    NetworkResults,
    Setting,
    setting_name,
    setting_phrase,
    strength,
)
from regrob.analysis.proved import (
    ATTACKED,
    CERTIFIED,
    CLOSED,
    FOUND,
    LINEAR,
    NODES,
    SLOPE,
    TIGHTNESS,
    TOLERANCE,
    UNSTABLE,
    Proved,
    champions,
    is_settled,
    over_common_seeds,
)
from regrob.analysis.proved_leads import BY_ATTACKS, BY_LINEAR, BY_TRUTH, Lead, Ranking, leads, verdicts
from regrob.analysis.words import FAILED, HELD, UNDECIDED, mark, tick

if TYPE_CHECKING:
    import pandas as pd

BY_MEAN = {"certified": CERTIFIED, "found": FOUND, "attacked": ATTACKED, "linear": LINEAR}
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
        hardened = proofs.digits.loc[proofs.digits["penalty"] == ADVERSARIAL, "seed"].nunique()
        some = f", {phrases.number(hardened)} of them with adversarial training too"
        return (
            f"of {proofs.results.title} {phrases.counted(proofs.results.seeds, 'seed')}"
            f"{some if 0 < hardened < proofs.results.seeds else ''}, "
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
    '0.71 curvature, λ = 1.6; 0.57 Jacobian, λ = 0.1'
    """
    return "; ".join(f"{value.mean:{digits}} {setting_name(setting)}" for setting, value in pairs)


def lead_facts(proofs: Proved, methods: Sequence[str]) -> dict[str, str]:
    """Each ranking of the methods at their best λ, "by-certified", …, and the "takeaway" of all."""
    results = proofs.results
    rankings = {name: champions(results, measure, methods) for name, measure in BY_MEAN.items()}
    facts = {f"by-{name}": ranked(pairs) for name, pairs in rankings.items()}
    named = {name: PENALTY_PHRASES[pairs[0][0][0]] for name, pairs in rankings.items()}
    over = f", over {phrases.counted(results.seeds, 'seed')}," if results.seeds > 1 else ""
    first: dict[str, list[str]] = {}
    for name, words in (("attacked", "attacks"), ("linear", "linear bounds"), ("certified", "proofs")):
        first.setdefault(named[name], []).append(words)
    parts = [f"{phrases.listed(judges)} put {penalty} first" for penalty, judges in first.items()]
    facts["takeaway"] = f"On {results.title}{over} {phrases.listed(parts)}."
    return facts


def standing(compared: Iterable[Lead], ranking: Ranking, price: float = math.inf) -> str:
    """What the first method is to its rivals by one ranking: "ahead of …, and not told apart from …"."""
    words = {"higher": "ahead of", "lower": "behind", "undecided": "not told apart from"}
    groups: dict[str, list[str]] = {}
    for lead in compared:
        if (lead.ranking, lead.price) == (ranking, price) and lead.difference.count > 1:
            groups.setdefault(lead.difference.verdict, []).append(PENALTY_PHRASES[lead.rival])
    if [*groups] == ["undecided"] and len(groups["undecided"]) > 1:
        return "not told apart from any other"
    parts = [f"{words[verdict]} {phrases.listed(groups[verdict])}" for verdict in words if verdict in groups]
    return ", and ".join(parts)


def finding(compared: Sequence[Lead], first: str, seeds: int) -> str:
    """What the rankings say of one method over seeds, in a sentence; of one seed, that nothing is decided."""
    if seeds < 2:
        return "With one seed all this is of single networks; what holds of the penalties is open."
    said = [
        f"{ranking.words} {standing(compared, ranking)}"
        for ranking in dict.fromkeys(lead.ranking for lead in compared)
    ]
    return f"Over {phrases.counted(seeds, 'seed')} {PENALTY_PHRASES[first]} is {'; '.join(said)}."


def settled(compared: Iterable[Lead], ranking: Ranking, rivals: Sequence[str]) -> str:
    """Whether one ranking puts the first method before all of these: "confirmed", "refuted" or "open"."""
    words = {HELD: "confirmed", FAILED: "refuted", UNDECIDED: "open"}
    return words[
        mark(
            lead.difference.verdict
            for lead in compared
            if lead.ranking == ranking and lead.rival in rivals and math.isinf(lead.price)
        )
    ]


def lead_table(compared: Sequence[Lead]) -> pd.DataFrame:
    """A row a rival with several seeds: the differences by each ranking, with intervals and verdicts."""
    import pandas as pd

    rows: dict[str, dict[str, str]] = {}
    for lead in compared:
        if lead.difference.count < 2:
            continue
        row = rows.setdefault(lead.rival, {"rival": PENALTY_PHRASES[lead.rival]})
        row[lead.ranking.words] = difference_words(lead.difference)
    return pd.DataFrame([*rows.values()])


def difference_words(difference: Interval) -> str:
    """A difference with its interval and what it says: "−0.52 [−0.71, −0.33], behind"; "–" of one seed."""
    if difference.count < 2:
        return "–"
    return f"{difference:.2f}, {IN_WORDS[difference.verdict]}"


def collapsed_words(results: NetworkResults) -> str:
    """Which networks diverged or collapsed, and so are left out with their λ; nothing if there are none."""
    lost = results.diverged()
    if not lost:
        return ""
    places = [
        f"{phrases.counted(count, 'seed')} of {setting_phrase(setting)}" for setting, count in lost.items()
    ]
    networks = "network" if sum(lost.values()) == 1 else "networks"
    return (
        f"{phrases.sentence(phrases.number(sum(lost.values())))} {networks} diverged, or collapsed "
        f"to one and the same label for every digit ({phrases.listed(places)}); no λ counts at "
        "which that happened."
    )


def linear_words(proofs: Proved, settings: Iterable[Setting]) -> str:
    """Which share of the found distance linear bounds prove, at each setting."""
    shares = [(setting, proofs.results.interval(setting, TIGHTNESS).mean) for setting in settings]
    return phrases.listed(f"{share:.0f} % of what is found after {_after(s)}" for s, share in shares)


def closeness_words(proofs: Proved, settings: Iterable[Setting]) -> str:
    """Which share of the found distance is certified, the median over the digits, at each setting."""
    parts = []
    for setting in settings:
        rows = proofs.of(setting)
        right = rows[rows["certified"] > 0]
        share = float((right["certified"] / right["found"]).median())
        parts.append(f"{100 * share:.0f} % of what is found after {_after(setting)}")
    return phrases.listed(parts)


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


def times(results: NetworkResults, setting: Setting, measure: Measure) -> Interval:
    """A setting's number over that without a penalty, seed by seed."""
    results = over_common_seeds(results, setting[0], UNPENALISED[0])
    share = results.values(setting, measure) / results.values(UNPENALISED, measure)
    return mean_interval(share, span=POSITIVE)


def explanation_table(stored: Iterable[Proved], penalties: Sequence[str]) -> pd.DataFrame:
    """Each method at its best certified λ, over no penalty: distance, slope, units, linear bounds, parts."""
    import pandas as pd

    lines = []
    for proofs in stored:
        results = proofs.results
        for setting, _ in champions(results, CERTIFIED, methods(results, penalties)):
            line = {"network": results.title, "trained with": setting_name(setting)}
            for title, measure in (
                ("certified", CERTIFIED),
                ("ν", SLOPE),
                ("units that may switch", UNSTABLE),
                ("linear bounds / found", TIGHTNESS),
                ("parts bounded", NODES),
            ):
                line[title] = _plain(times(results, setting, measure), ".2f")
            lines.append(line)
    return pd.DataFrame(lines)


def reason_sentence(proofs: Proved, penalties: Sequence[str]) -> str:
    """How ν and the units that may switch change, each penalty at its best certified λ, in one sentence."""
    results = proofs.results
    best = [setting for setting, _ in champions(results, CERTIFIED, penalties)]
    slopes = [f"{times(results, s, SLOPE).mean:.2f} with {PENALTY_PHRASES[s[0]]}" for s in best]
    units = {s[0]: times(results, s, UNSTABLE).mean for s in best}
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
        chosen = min(best, key=lambda setting: times(results, setting, measure).mean)
        facts[name] = setting_phrase(chosen)
        facts[f"{name}-times"] = f"{times(results, chosen, measure).mean:.2f}"
        facts[f"{name}-share"] = f"{results.interval(chosen, TIGHTNESS).mean:.0f}"
    return facts


# --- at equal accuracy ----------------------------------------------------------------------


def at_equal_accuracy(
    results: NetworkResults, methods: Sequence[str], compared: Sequence[Lead]
) -> pd.DataFrame:
    """The best certified and the best attacked median among the λ that cost at most so much accuracy.

    Args:
        results: of one network.
        methods: penalties, and adversarial training; the first is compared with the others.
        compared: `proved_leads.leads` of the first at `PRICES`, for the last column.
    """
    import pandas as pd

    against = {(lead.price, lead.rival): lead.difference for lead in compared if lead.ranking == BY_TRUTH}
    lines = []
    for price in PRICES:
        for method in methods:
            line = {"points given up, at most": f"{price:g}", "trained with": PENALTY_PHRASES[method]}
            allowed = _allowed(results, price, method)
            for measure in (CERTIFIED, ATTACKED):
                best = max(allowed, key=lambda s: results.interval(s, measure).mean, default=None)
                line[measure.title] = (
                    "–" if best is None else f"{_written(results, best, measure)}, {strength(best)}"
                )
            if any(gap.count > 1 for gap in against.values()):
                gap = against.get((price / 100, method))
                line[f"{LABELS[methods[0]]} − this, in truth"] = "–" if gap is None else difference_words(gap)
            lines.append(line)
    return pd.DataFrame(lines)


def _allowed(results: NetworkResults, price: float, *methods: str) -> list[Setting]:
    """The settings whose mean accuracy is at most so many points below that without a penalty."""
    start = results.interval(UNPENALISED, BENIGN).mean
    return [s for s in results.whole(*methods) if results.interval(s, BENIGN).mean >= start - price]


def best_by_price(results: NetworkResults, penalties: Sequence[str]) -> str:
    """Which penalty has the largest certified median for each of `PRICES`, as a list."""
    parts = []
    for price in PRICES:
        allowed = _allowed(results, price, *penalties)
        if allowed:
            best = max(allowed, key=lambda s: results.interval(s, CERTIFIED).mean)
            value = results.interval(best, CERTIFIED).mean
            parts.append(f"{_at_prices([price])} {setting_phrase(best)} ({value:.2f})")
    return phrases.listed(parts)


def standing_by_price(compared: Sequence[Lead], first: str, seeds: int) -> str:
    """What one method is in truth to its rivals at each price, as a sentence; nothing of one seed."""
    if seeds < 2:
        return ""
    at: dict[str, list[float]] = {}
    for price in dict.fromkeys(lead.price for lead in compared):
        at.setdefault(standing(compared, BY_TRUTH, price), []).append(100 * price)
    parts = [f"{_at_prices(prices)} {words}" for words, prices in at.items()]
    return f"Seed by seed, {PENALTY_PHRASES[first]} is {'; '.join(parts)}."


def _at_prices(points: Sequence[float]) -> str:
    """Prices in words: "without giving up accuracy", "for at most 0.2 and 0.5 points", "at any price"."""
    some = [each for each in points if 0 < each < math.inf]
    parts = ["without giving up accuracy"] if 0 in points else []
    if some:
        noun = "point" if some == [1] else "points"
        parts.append(f"for at most {phrases.listed(f'{each:g}' for each in some)} {noun}")
    return phrases.listed([*parts, *(["at any price"] if math.inf in points else [])])


def hardest(proofs: Proved, methods: Sequence[str]) -> dict[str, str]:
    """How many parts a search bounds on average: "none" without a penalty; "most" after "setting"."""
    results = proofs.results
    most = max(results.whole(*methods), key=lambda setting: results.interval(setting, NODES).mean)
    count = {"none": UNPENALISED, "most": most}
    facts = {name: f"{results.interval(setting, NODES).mean:.1f}" for name, setting in count.items()}
    return facts | {"setting": setting_phrase(most)}


def _written(results: NetworkResults, setting: Setting, measure: Measure) -> str:
    return _plain(results.interval(setting, measure), measure.digits)


def _plain(value: Interval, digits: str) -> str:
    """A mean with its interval; of one seed, as a table's caption may say for all, the mean alone."""
    return f"{value.mean:{digits}}" if value.count == 1 else f"{value:{digits}}"


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


# --- what held ------------------------------------------------------------------------------


def marks(proofs: Proved, penalties: Sequence[str], stored: Iterable[Proved]) -> dict[str, str]:
    """What held of the chapter's statements, by the names that its table glues.

    All but the last are of penalties, and are decided over seeds; of a single seed they are not.

    Args:
        proofs: of the network that the statements are about.
        penalties: the four.
        stored: all, for the statement on attacks.
    """
    import pandas as pd

    results = proofs.results

    def ahead(first: str, rivals: Sequence[str], ranking: Ranking) -> str:
        return mark(verdicts(leads(results, first, rivals, [ranking]), ranking))

    buys = [
        lead.difference.verdict
        for penalty in penalties
        for lead in leads(results, penalty, ["none"] * len(penalties), [BY_TRUTH])[:1]
    ]
    rivals = [penalty for penalty in penalties if penalty != "curvature"]
    others = [penalty for penalty in penalties if penalty not in ("jacobian", "cross-lipschitz")]
    level = 1 - 0.05 / len(penalties)
    best = [setting for setting, _ in champions(results, CERTIFIED, penalties)]
    units = [results.difference(setting, UNPENALISED, UNSTABLE, level).verdict for setting in best]
    rows = pd.concat([is_settled(each.digits) for each in stored])
    shown = float((rows["attacked"] <= (1 + TOLERANCE) * rows["found"]).mean())
    return {
        "buys": mark(buys),
        "jacobian": ahead("jacobian", others, BY_ATTACKS),
        "linear": ahead("curvature", rivals, BY_LINEAR),
        "truth": ahead("curvature", rivals, BY_TRUTH),
        "both": mark(units, "lower", "higher"),
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
    """Who leads by which ranking, a sentence a network that has all the penalties."""
    complete = [proofs for proofs in stored if all(proofs.results.whole(penalty) for penalty in penalties)]
    return " ".join(lead_facts(each, methods(each.results, penalties))["takeaway"] for each in complete)
