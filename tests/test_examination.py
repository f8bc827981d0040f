"""A report on other people's networks: each number against autograd's own, each refusal in words."""

from __future__ import annotations

import copy
import html
import json
import math
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from optional_packages import require
from PIL import Image
from public_networks import CURVED, PIECEWISE_LINEAR
from test_browser import FLAGS, chromium
from torch import Tensor, nn
from torch.nn import functional

from regrob.affine import first_kinks, kinks, local_map
from regrob.certificates import certified_radius
from regrob.cli import main
from regrob.errors import DataError, InputError
from regrob.examination import Examination, examine, image_files, measure, network_file, terminal
from regrob.examination.measure import QUANTITIES
from regrob.networks import mlp
from regrob.theory import derivatives, exact_radius_l2, margin_l2, probability


def small_network(classes: int = 3, seed: int = 0) -> nn.Sequential:
    return mlp((6, 8, 8, classes), generator=torch.Generator().manual_seed(seed)).double()


def images(count: int = 12, seed: int = 1) -> Tensor:
    return torch.rand(count, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def examination() -> Examination:
    network, x = small_network(), images(40)
    labels = network(x).argmax(1)
    labels[:5] = (labels[:5] + 1) % 3
    return examine(network, x, labels, sample=6)


# --- what the theory sees of V -----------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 50, 3), (50, 3), (2, 3, 7), (1, 40, 40)])
def test_the_triangular_factor_has_the_same_gram_matrix(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "BYTES_OF_V", 16 * shape[-1] * 10)  # several blocks of rows
    V = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    R = measure.compressed(V)
    assert R.shape == (*shape[:-2], min(shape[-2:]), shape[-1])
    torch.testing.assert_close(R.mT @ R, V.mT @ V, rtol=1e-12, atol=1e-12)
    assert not torch.allclose((R * 1.001).mT @ R, V.mT @ V, rtol=1e-6)  # the comparison has a tooth


def test_every_quantity_is_the_same_from_the_factor() -> None:
    V = torch.randn(20, 30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = torch.randn(20, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y, R = z.argmax(1), measure.compressed(V)
    for quantity in (exact_radius_l2, margin_l2, lambda V, z, y: derivatives.curvature(V, z)):
        torch.testing.assert_close(quantity(R, z, y), quantity(V, z, y), rtol=1e-10, atol=0)
    assert not torch.allclose(margin_l2(R, z, y), margin_l2(1.001 * V, z, y), rtol=1e-4)


def test_differences_of_columns_survive_a_large_common_part() -> None:
    """From VᵀV itself they would lose half of their digits."""
    difference = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    V = 1e6 * torch.ones(30, 1, dtype=torch.float64) + 1e-4 * difference
    nu = derivatives.cross_lipschitz_squared(measure.compressed(V)).sqrt()
    torch.testing.assert_close(nu, derivatives.cross_lipschitz_squared(V).sqrt(), rtol=1e-5, atol=0)


# --- other people's networks -------------------------------------------------------------


def calibrated(network: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """With the statistics of random images in BatchNorm, so that the signal neither dies nor explodes."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # an average over all batches
        norm.reset_running_stats()
    with torch.no_grad():
        network.train()(torch.rand(16, *shape, dtype=torch.float64))
    return network.eval()


@pytest.mark.extra
@pytest.mark.parametrize("name", PIECEWISE_LINEAR)
def test_a_public_network_against_dense_autograd(name: str) -> None:
    """V and the gradient in full, the Hessian at its own eigenvector and on some coordinates."""
    require(name.split(maxsplit=1)[0])
    build, shape = PIECEWISE_LINEAR[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        network = build()
    if isinstance(network, nn.Module):
        network = calibrated(network.double(), shape)
    x = torch.rand(2, *shape, dtype=torch.float64)
    report = examine(network, x, torch.tensor([1, 2]), sample=0)
    assert report.network.piecewise_linear, report.network.obstacle
    model = network.eval() if isinstance(network, nn.Module) else network

    def logits(image: Tensor) -> Tensor:
        output = model(image[None])
        return (output if isinstance(output, Tensor) else output.logits)[0]

    for i, row in enumerate(report.table.to_dict(orient="records")):
        V = torch.autograd.functional.jacobian(logits, x[i]).flatten(1).T
        image = x[i].clone().requires_grad_(True)
        loss = functional.cross_entropy(logits(image)[None], torch.tensor([i + 1]))
        loss_value = float(loss.detach())
        (gradient,) = torch.autograd.grad(loss, image, create_graph=True)
        assert row["lipschitz"] == pytest.approx(float(V.norm()), rel=1e-9)
        assert row["gradient"] == pytest.approx(float(gradient.detach().norm()), rel=1e-7)
        assert row["loss"] == pytest.approx(loss_value, rel=1e-9)
        z = logits(x[i]).detach()
        H_V = derivatives.hessian(V, z)
        rounding = max(1e-13 * float(V.square().sum()), 1e-300)  # of autograd's sums over the classes
        values, vectors = torch.linalg.eigh(derivatives.curvature_gram(V, z)[0])
        top = functional.normalize(derivatives.hessian_factor(V, z) @ vectors[:, -1], dim=0)
        (product,) = torch.autograd.grad(gradient, image, top.view_as(image), retain_graph=True)
        torch.testing.assert_close(product.flatten(), values[-1] * top, rtol=1e-6, atol=rounding)
        assert row["curvature"] == pytest.approx(float(values[-1]), rel=1e-9)
        some = torch.randperm(len(V))[:5]
        for coordinate in some.tolist():
            (second,) = torch.autograd.grad(gradient.flatten()[coordinate], image, retain_graph=True)
            torch.testing.assert_close(
                second.flatten()[some], H_V[coordinate, some], rtol=1e-6, atol=rounding
            )
        assert row["curvature"] != pytest.approx(1.001 * float(values[-1]), rel=1e-6, abs=0)  # a tooth


@pytest.mark.extra
@pytest.mark.parametrize("name", CURVED)
def test_a_smooth_public_network_is_named_as_such(name: str) -> None:
    require(name.split(maxsplit=1)[0])
    build, shape = CURVED[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = examine(build(), torch.rand(2, *shape), sample=1)
    assert not report.network.piecewise_linear
    assert report.network.obstacle
    assert "curvature" not in report.distributions  # nothing is claimed that rests on local affinity
    assert report.claims == ()
    assert report.distributions["probability"].images == 2


# --- what is proved ------------------------------------------------------------------------


def test_what_is_proved_of_the_sample(examination: Examination) -> None:
    sampled, proof = examination.table.dropna(subset=["certified"]), examination.proof
    assert proof["images"] == len(sampled) == 6
    assert sum(proof["ended"].values()) == 6
    low, high = proof["median"]
    assert sampled["certified"].min() <= low <= high <= sampled["found"].max()
    assert proof["withstanding"]
    for row in proof["withstanding"]:
        assert row["proved"] == pytest.approx((sampled["certified"] > row["radius"]).mean())
        assert row["known"] == pytest.approx((sampled["found"] > row["radius"]).mean())
        assert row["proved"] <= row["known"]
    shares = [row["proved"] for row in proof["withstanding"]]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
    assert json.loads(json.dumps(examination.to_dict()))["proof"]["images"] == 6
    for report in (str(examination), html.unescape(examination.to_html())):
        assert "What is proved" in report
        assert "The true distance ρ" in report
        assert "proved safe" in report


def test_without_a_budget_nothing_is_proved_and_a_bad_one_is_refused() -> None:
    network, x = small_network(), images(4)
    report = examine(network, x, sample=2, seconds=0.0)
    assert report.proof == {}
    assert not {"certified", "found", "ended"} & set(report.table)
    assert "What is proved" not in str(report)
    assert "What is proved" not in report.to_html()
    with pytest.raises(InputError, match="seconds"):
        examine(network, x, seconds=-1.0)


def test_where_no_proof_can_be_had_the_report_says_why() -> None:
    network, x = small_network(), images(4)
    report = examine(network.forward, x, sample=2)
    assert report.proof == {}
    assert any("no proof but the certificate" in notice for notice in report.notices)


def test_where_nothing_in_the_box_is_a_mistake_no_radius_is_listed() -> None:
    safe = nn.Linear(3, 2)
    safe.weight.data, safe.bias.data = 0.01 * torch.eye(2, 3), torch.tensor([3.0, 0.0])
    report = examine(safe, torch.rand(3, 3), torch.zeros(3, dtype=torch.int64), sample=3)
    assert report.proof["median"] == [math.inf, math.inf]
    assert report.proof["withstanding"] == []
    assert "no pixels in their range are a mistake" in " ".join(str(report).split())


# --- the report ----------------------------------------------------------------------------


def test_each_row_is_the_theory_of_its_image(examination: Examination) -> None:
    network, x = small_network(), images(40)
    table = examination.table
    assert examination.accuracy == pytest.approx(35 / 40)
    labels = torch.tensor(table["label"].to_numpy())
    V, z = local_map(network, x)
    correct = table["correct"].to_numpy(bool, copy=True)
    np.testing.assert_allclose(table["probability"], probability.label_probability(z, labels), rtol=1e-12)
    margin = margin_l2(V[correct], z[correct], labels[correct])
    np.testing.assert_allclose(table["margin"][correct], margin, rtol=1e-9)
    radius = exact_radius_l2(V[correct], z[correct], labels[correct])
    np.testing.assert_allclose(table["taylor_radius"][correct], radius, rtol=1e-9)
    assert table["margin"][~correct].isna().all()


def test_certificate_margin_and_attack_are_in_order(examination: Examination) -> None:
    sampled = examination.table.dropna(subset=["attacked"])
    assert len(sampled) == 6
    assert (sampled["certificate"] <= sampled["margin"] + 1e-12).all()
    assert (sampled["certificate"] <= sampled["attacked"] * (1 + 1e-9)).all()
    assert (sampled["certificate"] <= sampled["certified"]).all()
    assert (sampled["certified"] <= sampled["found"]).all()
    assert (sampled["found"] <= sampled["attacked"] * (1 + 1e-9)).all()
    assert (sampled["certified"] > sampled["certificate"]).any()
    inside = sampled["edge"] > sampled["margin"]
    assert (sampled["certificate"] <= sampled["edge"]).all()
    # The margin d of the table comes from a factor of V, the certificate from V itself.
    np.testing.assert_allclose(sampled["certificate"], sampled[["margin", "edge"]].min(axis=1), rtol=1e-12)
    assert (sampled["attacked"][inside] >= sampled["margin"][inside] * (1 - 1e-9)).all()


def test_certificates_are_those_of_float64_whatever_the_network_computes_in() -> None:
    network = mlp((6, 4, 3), generator=torch.Generator().manual_seed(3))
    nn.init.ones_(network[1].bias)  # most units on, so that margins decide too
    x = images(60).float()
    report = examine(network, x, network(x).argmax(1), sample=60, seconds=0)
    table = report.table
    for i, c in enumerate(table["certificate"]):
        alone = slice(i, i + 1)
        assert c == float(certified_radius(network, x[alone], network(x[alone]).argmax(1)))
    exact = examine(
        copy.deepcopy(network).double(), x.double(), network(x).argmax(1), sample=60, seconds=0
    ).table
    assert (table["certificate"] <= exact["certificate"]).all()
    coarse = table[["margin", "edge"]].min(axis=1)  # d as float32 has it
    np.testing.assert_allclose(table["certificate"], coarse, rtol=1e-4)  # z_y - z_j cancels
    assert (coarse > exact["certificate"]).any()  # the tooth: that minimum is no lower bound


# --- kinks -------------------------------------------------------------------------------


def over_black(*layers: nn.Module, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, bias=bias), *layers, nn.Flatten(), nn.Linear(4 * 3 * 3, 3)).eval()


def digits_on_black(count: int = 5) -> Tensor:
    """Bright in a corner, black elsewhere."""
    x = torch.zeros(count, 1, 8, 8)
    x[:, :, :3, :3] = torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    return x


@pytest.mark.parametrize(
    ("network", "place"),
    [
        (over_black(nn.MaxPool2d(2), nn.ReLU()), "MaxPool2d '1' (max_pool2d_with_indices: the largest of"),
        (over_black(nn.ReLU(), nn.MaxPool2d(2), bias=False), "ReLU '1' (relu: a value stands exactly at"),
    ],
    ids=["pool before ReLU", "no bias"],
)
def test_the_layer_of_the_kinks_is_named_and_nothing_useless_advised(network: nn.Module, place: str) -> None:
    report = examine(network, digits_on_black(), network(digits_on_black()).argmax(1), sample=2)
    (notice,) = (notice for notice in report.notices if "kink" in notice)
    assert f"5 of 5 images sit on a kink: 5 at {place}" in notice
    assert "certificate c are 0" in notice
    assert "86 % of its numbers are equal" in notice
    assert "Noise on the pixels does not help" in notice
    sampled = report.table.dropna(subset=["edge"])
    assert (sampled[["edge", "certificate"]] == 0).all(axis=None)
    # It does not: off the kink by noise, the edge is about as far as the noise moved the image.
    noise = 1e-4 * torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    moved = examine(network, digits_on_black() + noise, sample=2)
    assert moved.hypotheses["off_kinks"] == 1
    assert moved.distributions["edge"].largest < 1e-4


def test_off_the_kinks_nothing_is_said_and_some_images_are_counted() -> None:
    network, x = over_black(nn.MaxPool2d(2), nn.ReLU()), torch.rand(5, 1, 8, 8)
    assert not any("kink" in notice for notice in examine(network, x, sample=0).notices)
    x[3] = digits_on_black(1)[0]
    (notice,) = (notice for notice in examine(network, x, sample=0).notices if "kink" in notice)
    assert "1 of 5 images sit on a kink: 1 at MaxPool2d '1'" in notice
    assert first_kinks(network, x) == [
        None,
        None,
        None,
        ("max_pool2d_with_indices", "MaxPool2d '1'", True),
        None,
    ]


def test_the_first_kink_is_there_exactly_where_there_is_one() -> None:
    network = nn.Sequential(small_network()[:-1], nn.ReLU(), nn.Linear(8, 3)).double()
    x = torch.cat([images(6), torch.zeros(3, 6, dtype=torch.float64)])
    nn.init.zeros_(network[0][1].bias)
    on_kinks = kinks(network, x).tolist()
    assert [place is not None for place in first_kinks(network, x)] == on_kinks
    assert on_kinks == [False] * 6 + [True] * 3


# --- the worst images --------------------------------------------------------------------


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_worst_images_begin_at_the_end_of_the_quartiles(examination: Examination, quantity: str) -> None:
    worst, ends = examination.worst(quantity)[quantity], examination.distributions[quantity]
    large = quantity in {"cross_lipschitz", "lipschitz", "gradient", "curvature"}
    assert worst.iloc[0] == (ends.largest if large else ends.least)
    assert len(worst) == min(10, ends.images)
    assert worst.is_monotonic_decreasing if large else worst.is_monotonic_increasing
    rest = examination.table[quantity].drop(worst.index).dropna()
    assert ((rest <= worst.iloc[-1]) if large else (rest >= worst.iloc[-1])).all()
    assert examination.to_dict()["worst"][quantity] == worst.index.tolist()


def test_the_worst_by_default_and_by_a_quantity_that_is_none(examination: Examination) -> None:
    pd.testing.assert_frame_equal(examination.worst(), examination.worst("margin"))
    with pytest.raises(InputError, match="no quantity is called 'size'; there are probability, "):
        examination.worst("size")
    curved = examine(nn.Sequential(nn.Linear(6, 3), nn.Tanh()), torch.rand(4, 6), sample=0)
    assert curved.main_quantity == "probability"
    assert len(curved.worst("margin")) == 0
    assert "The 4 images with the smallest probability p_y" in str(curved)
    assert "No image has a known margin d" in terminal.text(curved, worst="margin")


def test_the_page_shows_one_list_of_the_worst_for_each_option(examination: Examination) -> None:
    for page in (examination.to_html(), examination._repr_html_()):
        page = html.unescape(page)
        options = re.findall(r"<option( selected)?>([^<]*)</option>", page)
        lists = re.findall(r"<section><p>The \d+ images with the (\w+) ([^.;<]*)", page)
        assert [words for _, words in options] == [words for _, words in lists]
        assert len(options) == len(QUANTITIES)
        assert [words for chosen, words in options if chosen] == ["margin d"]
        assert lists[2] == ("largest", "cross-Lipschitz ν")
        for k in range(1, len(options) + 1):
            assert f"option:nth-child({k}):checked) > section:nth-of-type({k})" in page
    surest_mistake = examination.worst("probability").iloc[0]
    assert not surest_mistake["correct"]
    assert f"{surest_mistake['label']} → {surest_mistake['prediction']}" in page


@pytest.mark.browser
def test_choosing_a_quantity_shows_its_list(examination: Examination, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    if chromium() is None:
        pytest.skip("no Chromium: install one, or name it in REGROB_CHROMIUM")
    (tmp_path / "page.html").write_text(examination.to_html(), encoding="utf-8")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        shown = page.locator(".choice > section:visible > p")
        assert shown.all_inner_texts() == ["The 10 images with the smallest margin d."]
        page.select_option(".choice select", label="curvature ‖H‖₂")
        (words,) = shown.all_inner_texts()
        assert words.startswith("The 10 images with the largest curvature")
        page.set_viewport_size({"width": 390, "height": 844})  # row headings stand still: the rest needs room
        page.evaluate("document.querySelector('details').open = true")
        widths = page.locator("tbody th").evaluate_all("headings => headings.map(h => h.offsetWidth)")
        assert max(widths) < 390 / 2
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        browser.close()


def test_lambda_makes_each_penalty_a_tenth_of_the_loss(examination: Examination) -> None:
    loss = examination.table["loss"].mean()
    assert set(examination.penalties) == {"input-gradient", "jacobian", "curvature", "cross-lipschitz"}
    for weight in examination.penalties.values():
        assert weight.mean * weight.tenth == pytest.approx(loss / 10)


def test_the_share_still_linear_at_the_radius_counts_what_it_says() -> None:
    affine = nn.Sequential(nn.Flatten(), nn.Linear(6, 3)).double()
    x = images()
    everywhere = examine(affine, x, sample=0)
    assert everywhere.hypotheses["linear_at_radius"] == 1.0
    bent = examine(small_network(), x, sample=0)
    assert bent.hypotheses["linear_at_radius"] < 1.0


def test_the_network_is_left_as_it_was() -> None:
    network = small_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    report = examine(network, images(), sample=2)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert any("training mode" in notice for notice in report.notices)


def test_statements_are_those_whose_hypotheses_are_met(examination: Examination) -> None:
    ids = {statement.id for statement in examination.claims}
    assert "lemma-4.1-gradient" in ids  # any K
    assert "prop-3.1" not in ids  # two classes only
    two = examine(small_network(2), images(), sample=0)
    assert "prop-3.1" in {statement.id for statement in two.claims}
    share = {statement.id: statement.share for statement in two.claims}["prop-3.1"]
    assert 0 <= share <= 1


def test_json_has_no_nan_and_every_image(examination: Examination) -> None:
    text = json.dumps(examination.to_dict(), allow_nan=False)
    record = json.loads(text)
    assert len(record["images"]) == 40
    assert record["distributions"]["margin"]["images"] == 35
    assert record["distributions"]["margin"]["least"] == examination.distributions["margin"].least
    assert record["network"]["piecewise_linear"] is True


def test_terminal_fits_eighty_columns(examination: Examination) -> None:
    lines = str(examination).splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines if "%" not in line and "asks" not in line)
    assert any("Taylor radius" in line for line in lines)


def test_two_drawings_of_a_page_share_no_id(examination: Examination) -> None:
    drawings = re.findall(r"<svg.*?</svg>", examination.to_html(), re.S)
    assert len(drawings) > 1
    ids = [name for drawing in drawings for name in re.findall(r' id="([^"]+)"', drawing)]
    assert ids
    assert len(ids) == len(set(ids))
    for drawing in drawings:  # and what a drawing refers to is still in it
        referred = set(re.findall(r'(?:href="|url\()#([^")]+)', drawing))
        assert referred <= set(re.findall(r' id="([^"]+)"', drawing))


def test_page_loads_nothing_and_follows_the_theme(examination: Examination) -> None:
    page = examination.to_html()
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert not [a for a in addresses if not a.startswith(("data:", "#"))]
    assert "light-dark(" in page
    assert page.count("<svg") == 2
    assert "#000000" not in page  # ink that would vanish in the dark
    assert page.count("<h1") == page.count("</h1>") == 1
    assert "<h1" not in examination._repr_html_()  # within a page of its reader's
    assert "<img alt=" not in page.replace('alt=""', "")  # six numbers are no picture


# --- what is refused, and what simply works -------------------------------------------------


class Output:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Wrapped(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = small_network(), kind

    def forward(self, x: Tensor) -> object:
        z = self.inner(x)
        return {"object": Output(z), "tuple": (z, x), "dictionary": {"logits": z}}[self.kind]


@pytest.mark.parametrize("kind", ["object", "tuple", "dictionary"])
def test_logits_are_taken_out_of_other_outputs(kind: str) -> None:
    plain, wrapped = examine(small_network(), images(), sample=0), examine(Wrapped(kind), images(), sample=0)
    pd.testing.assert_frame_equal(plain.table, wrapped.table)


def test_a_plain_function_half_precision_and_inference_mode_work() -> None:
    network, x = small_network(), images()
    plain = examine(network, x, sample=0).table
    function = examine(network.forward, x, sample=0)
    pd.testing.assert_frame_equal(plain, function.table)
    with torch.inference_mode():
        pd.testing.assert_frame_equal(plain, examine(network, x, sample=0).table)
    half = examine(small_network().half(), x.half(), sample=0)
    assert half.network.dtype == "float32"
    np.testing.assert_allclose(half.table["lipschitz"], plain["lipschitz"], rtol=0.01)


@pytest.mark.parametrize(
    ("network", "x", "y", "message"),
    [
        (nn.Sequential(small_network(), nn.Softmax(dim=1)), images(), None, "returns probabilities"),
        (small_network(), images(), torch.tensor([0, 1]), "one for each of the 12 images"),
        (small_network(), images(), torch.full((12,), 3), "label 3 is outside 0 … 2"),
        (small_network(), torch.rand(2, 5), None, "fails on images of shape"),
        (small_network(), torch.rand(2, 8, 8, 3), None, "channels last"),
        (small_network(), images() * math.nan, None, "NaN or infinity"),
        (small_network(), torch.zeros(2, 6, dtype=torch.int64), None, "bytes or floating point"),
        (7, images(), None, "expected an nn.Module"),
        (small_network(), images(), torch.rand(12), "labels must be whole numbers"),
        (small_network(), images(), torch.eye(12)[:, :3].long(), "one-hot"),
    ],
)
def test_what_cannot_be_examined_is_named(network: object, x: Tensor, y: Tensor | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        examine(network, x, y)  # type: ignore[arg-type]


def test_pixels_of_other_ranges_are_named_and_attacked_without_a_box() -> None:
    report = examine(small_network(), 255 * images(), sample=2)
    assert report.settings["box"] is None
    assert any("not within [0, 1]" in notice for notice in report.notices)


# --- files -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for i in range(6):
        pixels = generator.integers(0, 256, (4, 5), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "labels.csv").write_text(
        "file,label\n" + "\n".join(f"{i}.png,{'ab'[i % 2]}" for i in range(6))
    )
    return tmp_path


def test_a_folder_with_a_table(folder: Path) -> None:
    data = image_files.read(folder, limit=4)
    assert data.images.shape == (4, 1, 4, 5)
    assert data.classes == ("a", "b")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 0, 1]
    first = np.asarray(Image.open(folder / "0.png"))
    np.testing.assert_array_equal((data.images[0, 0] * 255).round().byte().numpy(), first)


def test_one_folder_a_class_by_turns(folder: Path) -> None:
    for name, files in (("cat", "01"), ("dog", "2345")):
        (folder / name).mkdir()
        for digit in files:
            (folder / f"{digit}.png").rename(folder / name / f"{digit}.png")
    (folder / "labels.csv").unlink()
    data = image_files.read(folder)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 0, 1, 1, 1]
    assert data.classes == ("cat", "dog")
    assert data.names[0] == str(Path("cat") / "0.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "3.png").write_bytes(b""), "3.png is empty"),
        (
            lambda folder: (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:40]),
            "3.png is truncated",
        ),
        (lambda folder: Image.new("L", (9, 9)).save(folder / "3.png"), "3.png is 9×9 pixels"),
        (lambda folder: (folder / "3.png").unlink(), "names '3.png'"),
        (lambda folder: (folder / "labels.csv").write_text("0.png,a,b\n"), "each line must be file,label"),
    ],
)
def test_a_spoilt_folder_names_the_file(folder: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    spoil(folder)
    with pytest.raises(DataError, match=message):
        image_files.read(folder)


def test_arrays_in_each_layout_and_type(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.array([[0], [1], [2]]))
    with pytest.raises(InputError, match="layout nhwc"):
        image_files.read(tmp_path / "a.npz")
    data = image_files.read(tmp_path / "a.npz", layout="nhwc")
    assert data.images.shape == (3, 3, 8, 9)
    assert float(data.images.max()) <= 1
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 2]
    np.save(tmp_path / "b.npy", pixels.transpose(0, 3, 1, 2))
    torch.testing.assert_close(image_files.read(tmp_path / "b.npy").images, data.images)
    for name, content in (("c.npz", b""), ("d.npy", b"\x93NUMPY"), ("e.pt", b"PK")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="cannot read"):
            image_files.read(tmp_path / name)
    torch.save({"images": small_network()}, tmp_path / "f.pt")
    with pytest.raises(DataError, match="as tensors alone"):
        image_files.read(tmp_path / "f.pt")
    np.save(tmp_path / "g.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot read"):
        image_files.read(tmp_path / "g.npy")


def test_torchvisions_layout(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    header = b"\0\0\x08\x03" + np.array(pixels.shape, ">u4").tobytes()
    (raw / "t10k-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    (raw / "t10k-labels-idx1-ubyte").write_bytes(
        b"\0\0\x08\x01" + np.array([4], ">u4").tobytes() + bytes(range(4))
    )
    data = image_files.read(tmp_path)
    np.testing.assert_array_equal((data.images[:, 0] * 255).round().byte().numpy(), pixels)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 2, 3]
    (raw / "t10k-images-idx3-ubyte").write_bytes(header + pixels.tobytes()[:-1])
    with pytest.raises(DataError, match="truncated"):
        image_files.read(tmp_path)
    batches = tmp_path / "other" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    (batches / "test_batch").write_bytes(b"some pickle")
    with pytest.raises(DataError, match="opened only if it is CIFAR-10's own"):
        image_files.read(tmp_path / "other")


# --- networks by name -------------------------------------------------------------------------


FACTORY = """
from torch import nn
print("a chatty module")
def make(width=8, classes=3):
    print("a chatty factory")
    return nn.Sequential(nn.Flatten(), nn.Linear(6, width), nn.ReLU(), nn.Linear(width, classes))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "their_models.py").write_text(FACTORY)
    np.savez(tmp_path / "data.npz", images=images(8).numpy().astype(np.float32), labels=np.arange(8) % 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["their_models:make", "their_models.py:make"])
def test_examine_on_the_command_line(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)  # an attack warns where the factory's random units are all off
    network = network_file.load_network(name, arguments={"width": 5})
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, here / "w.pt")
    arguments = ["examine", name, "--arg", "width=5", "--weights", "w.pt", "--data", "data.npz"]
    assert main([*arguments, "--json", "--html", "report.html"]) == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)  # no chatter in it
    assert "8 images, 3 classes" in captured.err
    assert record["network"]["parameters"] == 6 * 5 + 5 + 5 * 3 + 3
    expected = examine(network, images(8).float(), torch.arange(8) % 3)
    assert record["distributions"]["lipschitz"]["median"] == pytest.approx(
        expected.distributions["lipschitz"].median, rel=1e-6
    )
    assert (here / "report.html").read_text().startswith("<!doctype html>")
    assert main(arguments) == 0
    assert "The four penalties" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("their_models.py:none", "--data", "data.npz"), "has no function 'none'"),
        (("no_file.py:make", "--data", "data.npz"), "there is no file"),
        (("their_models.py:make", "--data", "none.npz"), "there is no file none.npz"),
        (("their_models.py:make", "--data", "what"), "cannot read images from 'what'"),
        (("their_models.py:make", "--arg", "depth=3", "--data", "data.npz"), "pass arguments by --arg"),
        (("their_models.py:make", "--arg", "depth", "--data", "data.npz"), "must be key=value"),
        (("their_models.py:make", "--weights", "none.pt", "--data", "data.npz"), "there is no file none.pt"),
        (("their_models.py:make", "--weights", "wide.safetensors", "--data", "data.npz"), "does not fit"),
        (("their_models.py:make", "--weights", "empty.safetensors", "--data", "data.npz"), "truncated"),
        (("their_models.py:make", "--normalise", "0.5", "--data", "data.npz"), "must be mean,std"),
        (("with_images.py:three", "--data", "data.npz"), "and --data names data.npz: leave --data out"),
        (("with_images.py:four",), "returned a tuple of 4; expected (network, images)"),
        (("their_models.py:make", "--worst", "size"), "--worst must be one of probability, logit_margin"),
    ],
)
def test_each_misuse_is_one_clear_line(
    here: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_file

    wide = network_file.load_network("their_models.py:make", arguments={"width": 9})
    save_file(wide.state_dict(), here / "wide.safetensors")
    (here / "empty.safetensors").write_bytes(b"")
    (here / "with_images.py").write_text(WITH_IMAGES)
    capsys.readouterr()
    assert main(["examine", *arguments]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if "chatty" not in line]
    assert len(error) == 1
    assert error[0].startswith("regrob: ")
    assert message in error[0]


WITH_IMAGES = """
import torch
from their_models import make
def three():
    return make(), torch.rand(7, 6, generator=torch.Generator().manual_seed(5)), torch.arange(7) % 3
def two():
    return three()[:2]
def bytes_last():
    return make(), torch.zeros(4, 1, 2, 3, dtype=torch.uint8)
def four():
    return (*three(), 0)
"""


def test_images_that_the_factory_returns_are_examined(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "with_images.py").write_text(WITH_IMAGES)
    assert main(["examine", "with_images.py:three", "--json", "--limit", "6"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["data"] == {"source": "returned by with_images.py:three", "images": 6, "shape": [6]}
    assert [row["label"] for row in record["images"]] == [0, 1, 2, 0, 1, 2]
    assert main(["examine", "with_images.py:two"]) == 0
    output = capsys.readouterr().out
    assert "7 images (returned by" in output
    assert "no labels were given" in output
    assert main(["examine", "with_images.py:bytes_last", "--layout", "nhwc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["shape"] == [3, 1, 2]


def test_the_worst_by_a_quantity_on_the_command_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["examine", "their_models.py:make", "--data", "data.npz", "--sample", "0"]
    assert main(arguments) == 0
    assert "with the smallest margin d" in capsys.readouterr().out
    assert main([*arguments, "--worst", "cross-lipschitz"]) == 0
    output = capsys.readouterr().out
    assert "The 8 images with the largest cross-Lipschitz ν" in output
    assert max(map(len, output.splitlines())) <= 80


def test_a_page_that_cannot_be_written_is_said_before_or_beside_the_rest(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["examine", "their_models.py:make", "--data", "data.npz", "--sample", "0", "--html"]
    assert main([*arguments, "none/report.html"]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        "regrob: there is no folder none to write report.html into; make it, or name another file\n"
    )
    assert main([*arguments, "."]) == 2
    assert "is a folder; name a file in it" in capsys.readouterr().err
    if Path("/dev/full").exists():
        assert main([*arguments, "/dev/full"]) == 2
        captured = capsys.readouterr()
        assert "The four penalties" in captured.out
        assert "all but the page is done, which could not be written: " in captured.err


def test_nothing_but_the_report_needs_a_folder_to_write_into(here: Path) -> None:
    """A home, a cache and a temporary folder that cannot be made: they would stand below a file."""
    (here / "file").touch()
    nowhere = str(here / "file" / "folder")
    variables = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TMPDIR")
    environment = {**os.environ, **dict.fromkeys(variables, nowhere)}
    command = [sys.executable, "-m", "regrob", "examine", "their_models.py:make", "--data", "data.npz"]
    finished = subprocess.run(
        [*command, "--html", "report.html"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert "Traceback" not in finished.stderr
    assert (here / "report.html").read_text().endswith("</html>\n")


def test_normalisation_is_in_units_of_the_pixels() -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    normalised = nn.Sequential(network_file.Normalise([0.5, 0.5, 0.5], [0.25, 0.25, 0.25]), inner)
    x = torch.rand(2, 3, 2, 2)
    torch.testing.assert_close(normalised(x), inner((x - 0.5) / 0.25))
    plain, scaled = examine(inner, x, sample=0).table, examine(normalised, x, sample=0).table
    np.testing.assert_allclose(scaled["lipschitz"], 4 * plain["lipschitz"], rtol=1e-5)


def test_a_network_without_a_gradient_is_a_clear_error() -> None:
    network = nn.Linear(4, 3).requires_grad_(False)
    with pytest.raises(InputError, match="carry no gradient"):
        examine(torch.no_grad()(network.forward), torch.rand(5, 4))
