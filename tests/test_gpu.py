"""`make gpu` without a GPU: what is optional stays optional, and no end of it loses what was found."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import pytest

from regrob.bench import gpu

ROOT = Path(__file__).resolve().parent.parent
BESIDE_TORCH = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "safetensors",
    "tqdm",
    "joblib",
    "sympy",
    "matplotlib",
)
"""All that may lie beside torch on a machine with a GPU."""

OPTIONAL = ("mlxtend", "pooch", "foolbox", "ipywidgets", "IPython", "nbformat", "pytest", "requests")


def closure(names: tuple[str, ...]) -> set[str]:
    """These distributions and all they need."""
    wanted, queue = set(), list(names)
    while queue:
        name = re.sub(r"[-_.]+", "-", queue.pop()).lower()
        if name in wanted:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        wanted.add(name)
        queue += [re.split(r"[\s<>=!~;\[(]", need)[0] for need in needs if "extra ==" not in need]
    return wanted


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that sees torch and what lies beside it, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in closure(BESIDE_TORCH):
        for file in importlib.metadata.files(name) or []:
            top = file.parts[0]
            source = (
                Path(str(file.locate())).parents[len(file.parts) - 2] if file.parts[1:] else file.locate()
            )
            if top not in ("..", "__pycache__") and not (site / top).exists() and Path(str(source)).exists():
                (site / top).symlink_to(str(source))
    return folder / "bin" / "python"


def python(interpreter: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "REGROB_DATA")}
    return subprocess.run(
        [interpreter, *words],
        cwd=ROOT, env=kept | variables, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def test_the_bare_python_hides_what_is_optional(bare: Path) -> None:
    code = "import importlib.util as u, sys; print(*(n for n in sys.argv[1:] if u.find_spec(n)))"
    ran = python(bare, "-c", code, *OPTIONAL, *BESIDE_TORCH)
    assert ran.stdout.split() == list(BESIDE_TORCH), ran.stderr


def test_nothing_optional_is_needed(bare: Path, tmp_path: Path) -> None:
    """Checks, rows and the parcel; the sweep itself only lacks its images here, and says so."""
    words = ["-m", "regrob.bench.gpu", "--out", str(tmp_path), "--device", "cpu", "--minutes", "4"]
    wanted = ["step lenet-300-100 K=2", "divergence", "kill", "deepfool lenet-300-100 K=2"]
    ran = python(bare, *words, "--checks", *wanted, XDG_CACHE_HOME=str(tmp_path / "cache"))
    report = json.loads((tmp_path / "report.json").read_text())
    log = (tmp_path / "log.txt").read_text()
    assert [o["error"] for o in report["checks"] if not o["passed"]] == [], log
    assert len(report["checks"]) == 9
    assert not report["not reached"]
    assert [o["skipped"] for o in report["bench"]] == [None] * 5, log
    assert report["sweep"]["statuses"]["fig2 lenet-5"] == 2
    assert "mlxtend, which is not installed" in report["sweep"]["said"][0]
    assert ran.returncode == 1
    assert not report["passed"]


def test_a_sweep_needs_nothing_optional(bare: Path, tmp_path: Path) -> None:
    folders = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    program = str(ROOT / "tests" / "killable_sweep.py")
    ran = python(bare, program, str(tmp_path), "0", "tiny", PYTHONPATH=folders)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "undisturbed" / "tiny.csv").exists()


def stub(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have every child be this program; it sees the words of the real one."""
    real = gpu.Session.child

    def child(self: gpu.Session, *words: str) -> subprocess.Popen[bytes]:
        return real(self, "-c", program, *words)

    monkeypatch.setattr(gpu.Session, "child", child)


def session(tmp_path: Path, seconds: float = 30.0) -> gpu.Session:
    return gpu.Session(tmp_path, "cpu", time.monotonic() + seconds)


def verdicts(running: gpu.Session) -> dict[str, bool]:
    return {outcome["id"]: outcome["passed"] for outcome in running.report["checks"]}


CRASHES = """
import json, os, sys
words = sys.argv[1:]
if "--list" in words:
    print("first", "bad", "last", sep="\\n")
else:
    for name in words[words.index("--only") + 1:]:
        if name == "bad":
            os.abort()
        print(json.dumps({"id": name, "passed": True, "seconds": 0}), flush=True)
"""


def test_a_check_that_breaks_its_process_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(monkeypatch, CRASHES)
    running = session(tmp_path)
    gpu.check(running, 20.0)
    assert verdicts(running) == {"first": True, "bad": False, "last": True}
    assert "status -6" in running.report["checks"][1]["error"]
    assert json.loads((tmp_path / "report.json").read_text()) == running.report
    assert not gpu.passed(running.report)


def test_after_an_error_the_others_run_in_a_new_process_and_nobody_else_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = 'print(json.dumps({"id": name, "passed": False, "seconds": 0, "error": "x"}), flush=True); break'
    stub(monkeypatch, CRASHES.replace("os.abort()", ends))
    running = session(tmp_path)
    gpu.check(running, 20.0)
    assert verdicts(running) == {"first": True, "bad": False, "last": True}


def test_a_device_that_is_not_there_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main(["--out", str(tmp_path), "--device", "cuda:99"]) == 2
    assert "device 'cuda:99' cannot be used" in capsys.readouterr().err


def test_a_check_that_hangs_ends_with_its_time_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(monkeypatch, CRASHES.replace("os.abort()", "import time; time.sleep(600)"))
    running = session(tmp_path)
    began = time.monotonic()
    gpu.check(running, 3.0)
    assert time.monotonic() - began < 10
    assert running.report["not reached"] == ["bad", "last"]
    assert [o["id"] for o in running.report["checks"]] == ["first"]


def test_lines_that_come_together_are_all_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that a child printed in one breath before it hung."""
    stub(monkeypatch, "import time; print('a\\nb\\nc\\nhalf', end='', flush=True); time.sleep(600)")
    child = session(tmp_path).child("anything")
    assert list(gpu.lines(child, time.monotonic() + 3.0)) == ["a", "b", "c"]
    assert child.poll() is not None


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_what_is_written_is_whole(tmp_path: Path, how: signal.Signals) -> None:
    words = [
        "--out",
        str(tmp_path),
        "--device",
        "cpu",
        "--minutes",
        "3",
        "--checks",
        "step lenet-300-100 K=2",
    ]
    running = subprocess.Popen(
        [sys.executable, "-m", "regrob.bench.gpu", *words], cwd=ROOT, stdout=subprocess.PIPE
    )
    report = tmp_path / "report.json"
    until = time.monotonic() + 100
    while time.monotonic() < until:
        if report.exists() and json.loads(report.read_text()).get("checks"):
            break
        time.sleep(0.05)
    running.send_signal(how)
    running.communicate(timeout=60)
    found: dict[str, Any] = json.loads(report.read_text())
    assert found["checks"][0]["passed"]
    assert len(list(tmp_path.iterdir())) <= 8
    if how is signal.SIGTERM:
        assert (tmp_path / "state.json").exists()
        assert found["passed"] is False


def test_too_little_time_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path), "--minutes", "0.5"]) == 2
    assert "minutes must be at least 1, got 0.5" in capsys.readouterr().err


def test_only_a_whole_and_good_report_passes() -> None:
    good: dict[str, Any] = {
        "checks": [{"passed": True}],
        "bench": [{"met": None}],
        "bench status": 0,
        "sweep": {"statuses": {"fig4 lenet-5": "time ran out"}},
    }
    assert gpu.passed(good)
    for key in good:
        assert not gpu.passed({k: v for k, v in good.items() if k != key})
    assert not gpu.passed(good | {"checks": [{"passed": True}, {"passed": False}]})
    assert not gpu.passed(good | {"bench": [{"met": None}, {"met": False}]})
    assert not gpu.passed(good | {"bench status": 1})
    assert not gpu.passed(good | {"sweep": {"statuses": {"fig4 lenet-5": 2}}})
