"""The command line: exit statuses, tables, JSON, and the ledger's checks on a network of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regrob import cli, networks
from regrob.claims import formal, instances, ledger, your_network
from regrob.claims.check import Check
from regrob.claims.claim import Claim
from regrob.data import datasets, download
from regrob.errors import InputError

FEW = ["lemma-3.2-gradient", "prop-3.4"]


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


def run_and_leave(*arguments: str) -> int:
    """The status of a call that argparse itself ends."""
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


# --- verify -----------------------------------------------------------------------------


def test_verify_prints_a_line_a_claim_and_exits_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--only", *FEW, "--trials", "50") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✓ lemma-3.2-gradient  holds  ")
    assert lines[1].startswith("✓ prop-3.4            fails as printed  ")
    assert "2 claims judged (holds: 1, fails as printed: 1); every verdict as expected" in lines[-1]


def test_verify_json_is_a_list_of_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--only", FEW[0], "--only", FEW[1], "--json", "--trials", "50") == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["id"] for record in records] == FEW
    assert [record["verdict"] for record in records] == ["holds", "fails as printed"]
    wanted = "id where text verdict evidence trials worst tolerance hypotheses depends counterexample"
    assert set(wanted.split()) <= set(records[0])
    assert records[1]["counterexample"]["relation"] == "<="


def test_trials_and_seed_reach_the_checks(capsys: pytest.CaptureFixture[str]) -> None:
    def record(*more: str) -> dict[str, object]:
        run("verify", "--only", "prop-3.1", "--json", *more)
        found: dict[str, object] = json.loads(capsys.readouterr().out)[0]
        found.pop("seconds")
        return found

    first = record("--trials", "40", "--seed", "1")
    assert first["trials"] == 80  # two checks
    assert first == record("--trials", "40", "--seed", "1")
    assert first["worst"] != record("--trials", "40", "--seed", "2")["worst"]


def test_a_false_claim_and_a_blunt_tooth_exit_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def claim(name: str, excess: float, tooth: float) -> Claim:
        check = Check("x", lambda _: torch.full((3,), excess), lambda _: torch.full((3,), tooth), "all of it")
        return Claim(name, "here", "made up", "0 = 0", "book/none", checks=(check,))

    made = (claim("good", 0.0, 1.0), claim("false", 1.0, 2.0), claim("blunt", 0.0, 0.0))
    claims = {c.id: c for c in made}
    monkeypatch.setattr(ledger, "CLAIMS", claims)
    monkeypatch.setattr(formal, "stored", lambda: None)  # its pairs speak of other claims
    assert run("verify", "--only", "good") == 0
    assert run("verify", "--only", "false") == 1
    assert "✗ false" in capsys.readouterr().out
    assert run("verify") == 1
    out = capsys.readouterr().out
    assert "the tooth does not bite (all of it)" in out
    assert "2 NOT as expected" in out
    assert run("verify", "--json") == 1


def test_an_unknown_claim_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--only", "eq-999") == 2
    error = capsys.readouterr().err
    assert error.startswith("regrob: no claim is called 'eq-999'; the ledger has eq-")
    assert error.count("\n") == 1


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--only", "eq-8", "--device", "cuda:99") == 2
    assert "device 'cuda:99' cannot be used in float64 here" in capsys.readouterr().err
    assert run("verify", "--only", "eq-8", "--device", "abacus") == 2


@pytest.mark.parametrize(
    "arguments",
    [[], ["verify", "--trials", "0"], ["verify", "--trials", "many"], ["data"], ["frobnicate"]],
)
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_and_leave(*arguments) == 2
    assert "usage: regrob" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_and_leave("--version") == 0
    assert capsys.readouterr().out.startswith("regrob ")


def test_python_m_regrob() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "regrob", "verify", "--only", "eq-999"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=Path(cli.__file__).parents[1],
    )
    assert answer.returncode == 2
    assert "no claim is called" in answer.stderr


def test_importing_regrob_loads_nothing_heavy() -> None:
    """Sympy, matplotlib, pandas and mlxtend load only when they are used."""
    program = (
        "import sys, regrob.training, regrob.attacks, regrob.data, regrob.cli; "
        "print([m for m in ('sympy', 'matplotlib', 'pandas', 'mlxtend', 'pooch') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(cli.__file__).parents[1],
    )
    assert answer.stdout.strip() == "[]"


# --- verify --network -------------------------------------------------------------------

FACTORIES = """
    import torch
    from torch import nn
    from regrob import networks

    def generator():
        return torch.Generator().manual_seed(0)

    def mlp():
        return networks.mlp((12, 16, 4), generator=generator())

    def with_images():
        g = generator()
        return mlp(), torch.rand(5, 12, generator=g), torch.tensor([0, 1, 2, 3, 0])

    def gelu():
        return nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 3))

    def number():
        return 7

    def needs(argument):
        return argument
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a module of factories in it."""
    (tmp_path / "my_factories.py").write_text(textwrap.dedent(FACTORIES))
    monkeypatch.chdir(tmp_path)
    kept = list(sys.path)
    yield tmp_path
    assert sys.path == kept
    sys.modules.pop("my_factories", None)


SOME = ("eq-5", "lemma-3.2-jacobian", "lemma-3.2-gradient", "lemma-3.2-hessian", "prop-3.1")
ON = ("verify", "--only", *SOME, "--network")


def test_own_network_at_random_images(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*ON, "my_factories:mlp", "--input-shape", "12") == 0
    out = capsys.readouterr().out
    assert "at 8 images" in out
    assert "✓ lemma-3.2-hessian: Eq. (7) against autograd's Hessian" in out
    assert "prop-3.1" not in out  # it looks at bare instances only
    assert out.splitlines()[-1] == "4 checks: 0 failed"


def test_own_network_and_images_from_a_factory(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*ON, "my_factories:with_images", "--json") == 0
    records = json.loads(capsys.readouterr().out)
    assert {record["count"] for record in records} == {5}
    assert all(record["holds"] and record["conclusive"] for record in records)


@pytest.mark.parametrize("kind", ["npz", "pt", "bare.pt"])
def test_own_images_from_a_file(here: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = here / f"images.{kind}"
    images = np.random.default_rng(0).random((3, 12))
    if kind == "npz":
        np.savez(path, images=images, labels=np.array([0, 1, 2]))
    else:
        stored = torch.from_numpy(images)
        torch.save(stored if kind == "bare.pt" else {"images": stored}, path)
    assert run(*ON, "my_factories:mlp", "--images", str(path)) == 0
    assert "at 3 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("my_factories:gelu", "--input-shape", "12"), "not piecewise linear"),
        (("my_factories:mlp",), "say what to feed the network"),
        (("my_factories:mlp", "--input-shape", "13"), "cannot read images"),
        (("my_factories:mlp", "--images", "none.npz"), "there is no file none.npz"),
        (("my_factories:mlp", "--images", "my_factories.py"), "cannot read images from 'my_factories.py'"),
        (("my_factories:number", "--input-shape", "12"), "returned int; expected an nn.Module"),
        (("my_factories:needs", "--input-shape", "12"), "pass arguments by --arg"),
        (("my_factories:absent", "--input-shape", "12"), "has no function 'absent'"),
        (("no_such_module:mlp", "--input-shape", "12"), "cannot import 'no_such_module'"),
        (("my_factories", "--input-shape", "12"), "must be MODULE:FACTORY"),
    ],
)
def test_own_network_misused_is_one_clear_line(
    here: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*ON, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("regrob: ")
    assert error.count("\n") == 1


def test_options_of_ones_own_network_need_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--only", "eq-8", "--input-shape", "12") == 2
    assert "go with --network" in capsys.readouterr().err
    assert run_and_leave("verify", "--network", "a:b", "--input-shape", "1,0") == 2
    assert run_and_leave("verify", "--network", "a:b", "--jitter", "-1") == 2


def test_claims_without_a_network_in_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("verify", "--only", "prop-3.1", "--network", "my_factories:mlp", "--input-shape", "12")
    assert run(*arguments) == 2
    assert "none of these claims has a check that looks at a network" in capsys.readouterr().err


def findings(network: nn.Module, images: Tensor, *ids: str) -> list[your_network.Finding]:
    return list(your_network.examine(your_network.prepare(network, images), ledger.select(ids)))


def test_a_wrong_formula_is_caught_on_ones_own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = networks.mlp((6, 9, 3), generator=torch.Generator().manual_seed(0))
    images = torch.rand(4, 6, generator=torch.Generator().manual_seed(1))
    assert all(
        f.holds and f.conclusive for f in findings(network, images, *ledger.CLAIMS) if "3.2" in f.claim.id
    )
    honest = your_network.local_map
    monkeypatch.setattr(
        your_network, "local_map", lambda *a, **k: honest(*a, **k)._replace(V=-honest(*a, **k).V)
    )
    assert not any(f.holds for f in findings(network, images, "lemma-3.2-gradient", "lemma-3.2-jacobian"))


def test_a_check_that_cannot_tell_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """Two equal logits: exchanging the classes changes nothing."""
    network = nn.Linear(5, 2)
    with torch.no_grad():
        network.weight[1] = network.weight[0]
    (found,) = findings(network, torch.rand(4, 5), "lemma-3.2-jacobian")
    assert found.holds
    assert not found.conclusive


def test_many_inputs_are_sampled_and_seen_exactly() -> None:
    network = networks.mlp((300, 8, 3), generator=torch.Generator().manual_seed(0))
    prepared = your_network.prepare(network, torch.rand(2, 300, generator=torch.Generator().manual_seed(1)))
    assert len(prepared.coordinates) == your_network.DENSE < prepared.inputs == 300
    (first, _) = prepared.samples(2)
    whole = instances.local_map(prepared.network, prepared.images[:1])
    torch.testing.assert_close(first.map.V, whole.V[:, prepared.coordinates, :2])
    torch.testing.assert_close(first.map.z, whole.z[:, :2])
    assert prepared.samples(4) == ()


def test_images_on_a_kink_or_next_to_one_are_left_out() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(2))
        network[0].bias.fill_(-0.5)
    images = torch.tensor([[0.5, 0.2], [0.5 + 1e-8, 0.2], [0.7, 0.2], [0.9, 0.8]], dtype=torch.float64)
    prepared = your_network.prepare(network, images)
    assert prepared.left_out == 2
    assert torch.equal(prepared.images, images[2:])
    with pytest.raises(InputError, match="each of the 2 images sits on a kink"):
        your_network.prepare(network, images[:2])
    assert your_network.prepare(network, images[:2], jitter=0.1).left_out == 0


@pytest.mark.parametrize(
    ("pixels", "weights"), [(255.0, 1.0), (1.0, 1e-7), (255.0, 1e-7), (1e-6, 1.0), (1.0, 1e5)]
)
def test_steps_and_tolerances_fit_images_and_weights_of_any_size(pixels: float, weights: float) -> None:
    """A step of 1e-7 is lost in the rounding of 255, and in logits that a weight of 1e-7 hardly moves."""
    network = networks.mlp((6, 9, 3), generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        network[1].weight.mul_(weights)
        network[1].bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(2)).mul_(pixels * weights)
        network[3].bias.fill_(1.0)
    images = pixels * torch.rand(4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = findings(network, images, "eq-5", "eq-14")
    assert found
    assert all(f.holds and f.conclusive for f in found)


def test_the_readers_network_is_left_as_it_was() -> None:
    network = networks.mlp((6, 9, 3)).train()
    your_network.prepare(network, torch.rand(2, 6))
    assert network.training
    assert next(network.parameters()).dtype == torch.float32


# --- data -------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("REGROB_DATA", raising=False)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    return tmp_path


def test_data_list_says_what_is_present_absent_or_altered(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("present  ")
    assert lines[0].endswith("mnist_5k.csv.gz")
    assert len([line for line in lines if line.startswith("absent   ")]) == 10
    file = datasets.MNIST["test labels"]
    (cache / "mnist").mkdir()
    (cache / file.name).write_bytes(b"not what it should be")
    assert run("data", "list") == 1
    out = capsys.readouterr().out
    assert f"altered  {cache / file.name}" in out
    assert f"will not be used; expected sha256 {file.sha256}, found " in out


def test_data_download_reports_and_fails_in_one_line(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets, "fetch", lambda name, progress: cache)
    assert run("data", "download", "mnist") == 0
    assert f"Set REGROB_DATA={cache} to make it the default." in capsys.readouterr().out
    monkeypatch.undo()
    assert run("data", "download", "imagenet") == 2
    assert "no data set is called 'imagenet'" in capsys.readouterr().err
