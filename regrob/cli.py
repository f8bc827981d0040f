"""The command line: `regrob examine`, `certify`, `verify`, `sweep`, `paper`, `proved`, `bench` and `data`.

Exit status: 0 all is as expected; 1 something is not; 2 the request makes no sense.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import regrob
from regrob.errors import InputError, RegrobError

# torch, sympy and the claims are imported where they are used: `regrob --help` is instant.
if TYPE_CHECKING:
    from rich.progress import TaskID
    from torch import Tensor, nn

    from regrob.claims.claim import Claim
    from regrob.claims.your_network import PreparedNetwork
    from regrob.examination import Examination, LabelledImages

AS_EXPECTED, UNEXPECTED, NONSENSE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ✓ or ν shows ? instead
    try:
        options = parser().parse_args(arguments)
        status = int(options.run(options))
        sys.stdout.flush()
    except RegrobError as error:
        print(f"regrob: {error}", file=sys.stderr)
        return NONSENSE
    except KeyboardInterrupt:
        print("regrob: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `regrob verify | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNEXPECTED
    return status


def parser() -> argparse.ArgumentParser:
    """Build the parser; each command sets `run`, a function of the parsed options."""
    top = argparse.ArgumentParser(
        prog="regrob", description="Regularisation and robustness of piecewise-linear networks, verified."
    )
    top.add_argument("--version", action="version", version=f"regrob {regrob.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_examine(commands)
    _add_certify(commands)
    _add_verify(commands)
    _add_sweep(commands)
    _add_paper(commands)
    _add_proved(commands)
    _add_bench(commands)
    _add_data(commands)
    return top


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


# --- examine ----------------------------------------------------------------------------


def _add_examine(commands: Commands) -> None:
    examine = commands.add_parser(
        "examine",
        help="what is known about a network of yours",
        description="What a network of yours is, where the theory applies to it, and its margins, radii, "
        "certificates and attacks on images of yours, in one report.",
    )
    _add_network_and_images(examine, limit=100)
    examine.add_argument(
        "--sample", type=int, default=20, metavar="N", help="images attacked, and proved (20)"
    )
    examine.add_argument(
        "--seconds", type=size, default=0.5, metavar="S", help="a proof at most; 0 for none (0.5)"
    )
    examine.add_argument(
        "--box", type=interval, metavar="LOW,HIGH", help="range of a pixel (0,1 if all are in it)"
    )
    examine.add_argument(
        "--worst", metavar="Q", help="the report's ten worst images are those by this quantity (margin)"
    )
    examine.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (cpu)")
    examine.add_argument("--json", action="store_true", help="print one object instead of the report")
    examine.add_argument("--html", type=Path, metavar="FILE", help="also write one self-contained page")
    examine.set_defaults(run=_examine)


def _add_network_and_images(command: argparse.ArgumentParser, *, limit: int) -> None:
    """The options that name a network of the reader's own, and images."""
    command.add_argument(
        "network",
        metavar="NETWORK",
        help="MODULE:FACTORY or FILE.py:FACTORY, a function that returns an nn.Module, or "
        "(module, images, labels)",
    )
    command.add_argument(
        "--arg", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="passed to the factory"
    )
    command.add_argument(
        "--weights", type=Path, metavar="FILE", help=".safetensors, or a torch file of tensors alone"
    )
    command.add_argument(
        "--normalise", metavar="MEAN,STD", help="done to the pixels first; one of each, or one a channel"
    )
    command.add_argument(
        "--data",
        metavar="D",
        help="mnist, cifar10, a file .npz, .npy or .pt, or a folder of pictures with labels.csv or one "
        "sub-folder a class (what the factory returns beside its network; mnist if it returns nothing)",
    )
    command.add_argument("--layout", default="nchw", metavar="L", help="of arrays: nchw or nhwc (nchw)")
    command.add_argument("--limit", type=positive, default=limit, metavar="N", help=f"images used ({limit})")


def _examine(options: argparse.Namespace) -> int:
    from rich.console import Console

    from regrob.examination import report, terminal
    from regrob.examination.measure import QUANTITIES

    check_device(options.device)
    worst = options.worst.replace("-", "_") if options.worst else None
    if worst and worst not in QUANTITIES:
        raise InputError(f"--worst must be one of {', '.join(QUANTITIES)}; got {options.worst!r}")
    if options.html:
        check_writable(options.html)
    network, data = _network_and_images(options)
    with _notified() as notify:
        examination = report.examine(
            network.to(options.device),
            data,
            sample=options.sample,
            seconds=options.seconds,
            box=options.box or "auto",
            progress=notify,
        )
    unwritten = _write_page(examination, options.html) if options.html else None
    if options.json:
        print(json.dumps(examination.to_dict(), indent=1, ensure_ascii=False))
    else:
        terminal.show(examination, Console(highlight=False), worst=worst)
    if unwritten is not None:
        raise InputError(f"all but the page is done, which could not be written: {unwritten}")
    if options.html and not options.json:
        print(f"The report is in {options.html}.")
    return AS_EXPECTED


def _network_and_images(options: argparse.Namespace) -> tuple[nn.Module, LabelledImages]:
    """What `_add_network_and_images` asks for."""
    from regrob.examination import network_file

    product = network_file.load_network(
        options.network,
        arguments=network_file.parse_arguments(options.arg),
        weights=options.weights,
        normalise=network_file.parse_normalisation(options.normalise) if options.normalise else None,
    )
    network, images, labels = network_file.with_images(product, options.network)
    return network, _images_to_examine(options, images, labels)


@contextmanager
def _notified() -> Iterator[Callable[[str, float], None]]:
    """What a long computation calls with a few words and the share done: lines and bars on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    errors = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        bar_of: dict[str, TaskID] = {}

        def notify(words: str, share: float) -> None:
            if share == 0:
                bars.console.print(words)
                return
            if words not in bar_of:
                bar_of[words] = bars.add_task(words, total=1.0)
            bars.update(bar_of[words], completed=share)

        yield notify


def _images_to_examine(options: argparse.Namespace, images: object, labels: object) -> LabelledImages:
    """Those of --data; else those that the factory returned; else MNIST's.

    Raises:
        InputError: both are there.
    """
    from regrob.examination import image_files

    if images is None:
        return image_files.read(options.data or "mnist", limit=options.limit, layout=options.layout)
    if options.data:
        raise InputError(
            f"{options.network} returned images beside its network, and --data names {options.data}: leave "
            "--data out, or let the factory return the network alone"
        )
    source = f"returned by {options.network}"
    return image_files.from_arrays(images, labels, source=source, layout=options.layout).first(options.limit)


def _write_page(examination: Examination, path: Path) -> OSError | None:
    """Write the report as a page; what went wrong, which must not cost the reader the rest."""
    try:
        path.write_text(examination.to_html(), encoding="utf-8")
    except OSError as error:
        return error
    return None


# --- certify ----------------------------------------------------------------------------


def _add_certify(commands: Commands) -> None:
    certify = commands.add_parser(
        "certify",
        help="how far the nearest mistake of a network of yours is, proved",
        description="Bound the distance to the nearest mistake from both sides: attacks from above, branch "
        "and bound from below, until they meet or time is up. Of a network that is no chain of affine maps "
        "and ReLUs, and in another norm than 2 and inf, linear bounds are all that is proved.",
    )
    _add_network_and_images(certify, limit=20)
    certify.add_argument(
        "--norm", type=norm, default=2.0, metavar="P", help="of the distance: 2, inf, or another p ≥ 1 (2)"
    )
    certify.add_argument("--seconds", type=size, default=1.0, metavar="S", help="an image at most (1)")
    certify.add_argument(
        "--tolerance",
        type=size,
        default=0.01,
        metavar="T",
        help="closed where the bounds differ by so much at most, relatively (0.01)",
    )
    certify.add_argument(
        "--box", type=interval, metavar="LOW,HIGH", help="range of a pixel (0,1 if all are in it)"
    )
    certify.add_argument("--json", action="store_true", help="print one object instead of the table")
    certify.set_defaults(run=_certify)


def _certify(options: argparse.Namespace) -> int:
    from rich.console import Console

    from regrob.examination import certification, terminal

    network, data = _network_and_images(options)
    with _notified() as notify:
        summary = certification.certify_images(
            network,
            data,
            norm=options.norm,
            seconds=options.seconds,
            tolerance=options.tolerance,
            box=options.box or "auto",
            progress=notify,
        )
    if options.json:
        print(json.dumps(summary.to_dict(), indent=1, ensure_ascii=False))
    else:
        terminal.show_certified(summary, Console(highlight=False))
    return AS_EXPECTED


# --- verify -----------------------------------------------------------------------------


def _add_verify(commands: Commands) -> None:
    verify = commands.add_parser(
        "verify",
        help="judge every claim of the ledger",
        description="Judge every claim: derive it, test it, make sure that each test can fail. "
        "Exits 0 only if every verdict is the expected one.",
    )
    verify.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="ID", help="these claims only"
    )
    verify.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    verify.add_argument(
        "--symbolic",
        action="store_true",
        help="without the checks in float64, which alone need torch",
    )
    verify.add_argument("--trials", type=positive, default=1000, metavar="N", help="instances a check (1000)")
    verify.add_argument("--seed", type=int, default=0, metavar="S", help="of the random instances (0)")
    verify.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (cpu)")
    own = verify.add_argument_group(
        "your own network",
        "Hold the claims' closed forms against autograd on a network of yours, in float64.",
    )
    own.add_argument(
        "--network",
        metavar="MODULE:FACTORY",
        help="a function without arguments that returns an nn.Module, or (module, images, labels)",
    )
    own.add_argument(
        "--input-shape", type=shape, metavar="C,H,W", help="try random images in [0, 1] like this"
    )
    own.add_argument(
        "--images", type=Path, metavar="FILE", help="try these: .npz or .pt with images, labels if you like"
    )
    own.add_argument(
        "--jitter",
        type=size,
        default=0.0,
        metavar="X",
        help="move every pixel by up to X, off the kinks (0)",
    )
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from regrob.claims import ledger

    if options.symbolic and options.network:
        raise InputError(
            "--network asks for checks in float64, which --symbolic leaves out; give one of the two"
        )
    claims = ledger.select(options.only, symbolic=options.symbolic)
    if not options.symbolic:
        check_device(options.device)
    if options.network:
        return _verify_own(options, claims)
    if options.input_shape or options.images or options.jitter:
        raise InputError("--input-shape, --images and --jitter go with --network")
    width = max(len(claim.id) for claim in claims)
    results = []
    started = time.perf_counter()
    for number, claim in enumerate(claims, start=1):
        _notice(f"{number}/{len(claims)} {claim.id}")
        (result,) = ledger.verify(
            [claim.id],
            symbolic=options.symbolic,
            trials=options.trials,
            seed=options.seed,
            device=options.device,
        )
        _notice("")
        results.append(result)
        if not options.json:
            print(ledger.table([result], width=width), flush=True)
    if options.json:
        print(json.dumps([ledger.as_record(r) for r in results], indent=1, ensure_ascii=False))
    else:
        counts = Counter(ledger.outcome(r) for r in results)
        wrong = sum(not r.as_expected for r in results)
        tally = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items())
        print(
            f"\n{len(results)} claims judged ({tally}); "
            + (f"{wrong} NOT as expected" if wrong else "every verdict as expected, every tooth bites")
            + f"; {time.perf_counter() - started:.1f} s"
        )
    if options.symbolic:
        without = ledger.needing_torch()
        print(
            "Left out: every check in float64, for these need torch"
            + (f"; and so what has no other: {', '.join(without)}" if without else ""),
            file=sys.stderr if options.json else sys.stdout,
        )
    return AS_EXPECTED if all(r.as_expected for r in results) else UNEXPECTED


def _notice(text: str) -> None:
    """What is being judged, on a terminal only, on one line that is written over."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


# --- verify --network -------------------------------------------------------------------


def _verify_own(options: argparse.Namespace, claims: list[Claim]) -> int:
    from regrob.claims import your_network

    network, images, labels = _own_network(options)
    prepared = your_network.prepare(
        network.to(options.device), images, labels, jitter=options.jitter, seed=options.seed
    )
    if not options.json:
        print(_introduction(prepared))
    findings = []
    for finding in your_network.examine(prepared, claims, seed=options.seed):
        findings.append(finding)
        if not options.json:
            mark = "✗" if not finding.holds else "✓" if finding.conclusive else "?"
            print(
                f"{mark} {finding.claim.id}: {finding.check.name}: worst {finding.worst:.1e} "
                f"(tolerance {finding.check.tolerance:.0e}, {finding.count} numbers)",
                flush=True,
            )
    if not findings:
        raise InputError("none of these claims has a check that looks at a network with so many classes")
    if options.json:
        print(json.dumps([f.as_record() for f in findings], indent=1, ensure_ascii=False))
    else:
        failed = sum(not f.holds for f in findings)
        unsure = sum(f.holds and not f.conclusive for f in findings)
        print(
            f"\n{len(findings)} checks: {failed} failed"
            + (f"; {unsure} marked ? would have passed a wrong formula too on this network" if unsure else "")
        )
    good = all(f.holds for f in findings) and any(f.conclusive for f in findings)
    return AS_EXPECTED if good else UNEXPECTED


def _own_network(options: argparse.Namespace) -> tuple[nn.Module, Tensor, Tensor | None]:
    """The network of `verify --network`, what to feed it (N, …), and the labels (N,) if they are known."""
    import torch

    from regrob.examination import image_files
    from regrob.examination.network_file import load_network, with_images

    network, images, labels = with_images(load_network(options.network), options.network)
    if options.images:
        data = image_files.read(options.images)
        images, labels = data.images, data.labels
    elif options.input_shape:
        generator = torch.Generator().manual_seed(options.seed)
        images, labels = torch.rand(8, *options.input_shape, generator=generator), None
    elif images is None:
        raise InputError("say what to feed the network: --input-shape 1,28,28, or --images FILE")
    return network, images, labels


def _introduction(own: PreparedNetwork) -> str:
    words = [f"Your network in float64, at {len(own.images)} images"]
    if own.left_out:
        words.append(f" ({own.left_out} more sit on or next to a kink and are left out)")
    if own.inputs > len(own.coordinates):
        words.append(f"; derivatives in {len(own.coordinates)} of its {own.inputs} inputs, chosen at random")
    words.append(".\nClaims about k classes are held against its first k logits.\n")
    return "".join(words)


# --- sweep ------------------------------------------------------------------------------


def _add_sweep(commands: Commands) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="train and attack the networks of a figure",
        description="Train and attack every network of a figure and write its table. Kill it at any "
        "instant; the same command goes on where it stopped.",
    )
    sweep.add_argument(
        "figure", metavar="FIGURE", help="fig2, fig4 … fig7, cost, references-1-7 or references-10"
    )
    sweep.add_argument("--preset", default="quick", metavar="P", help="quick, standard or paper (quick)")
    sweep.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    sweep.add_argument("--networks", nargs="+", default=[], metavar="NAME", help="these networks only")
    sweep.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (cpu)")
    sweep.add_argument("--jobs", type=positive, default=1, metavar="N", help="shards at a time (1)")
    sweep.add_argument("--backend", default="loky", metavar="B", help="joblib's: loky, dask, ray (loky)")
    sweep.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace) -> int:
    from regrob.experiments.sweep import Workers, sweep

    check_device(options.device)
    table = sweep(
        options.figure,
        options.out,
        preset=options.preset,
        networks=tuple(options.networks),
        workers=Workers(options.device, options.jobs, options.backend),
        progress=sys.stderr.isatty(),
    )
    print(table)
    return AS_EXPECTED


# --- paper ------------------------------------------------------------------------------


def _add_paper(commands: Commands) -> None:
    paper = commands.add_parser(
        "paper",
        help="the paper's own scale, over many days: what is finished, and go on",
        description="Store what is finished of the experiments at the paper's own scale, and say how "
        "far they are. Exits 1 if a stored result differs from a newly finished one, which is never "
        "put in its place.",
    )
    paper.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the computation")
    # Not `run`: that is the name of the function to call, which is always true.
    paper.add_argument("--run", action="store_true", dest="go_on", help="first go on to the end, for days")
    paper.add_argument("--jobs", type=positive, default=1, metavar="N", help="shards at a time (1)")
    paper.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (cpu)")
    kept = Path("book/results/paper")
    paper.add_argument("--results", type=Path, default=kept, metavar="DIR", help=f"the store ({kept})")
    paper.add_argument("--parcel", type=Path, metavar="DIR", help="first add what `make gpu` brought back")
    paper.set_defaults(run=_paper)


def _paper(options: argparse.Namespace) -> int:
    from regrob.experiments import paper_runs, parcels
    from regrob.experiments.sweep import Workers

    check_device(options.device)
    planned = paper_runs.plan()
    where = options.out, options.results, planned
    if options.parcel is not None:
        parcels.unpack(options.parcel, options.out)
    if options.go_on:
        workers = Workers(options.device, options.jobs)
        paper_runs.go_on(*where, workers=workers, progress=sys.stderr.isatty())
    stored = paper_runs.store(*where)
    print(paper_runs.table(paper_runs.status(*where)))
    print(f"{len(stored.added)} shards newly stored; {len(stored.tables)} complete tables")
    for notice in stored.kept:
        print(f"regrob: {notice}", file=sys.stderr)
    return UNEXPECTED if stored.kept else AS_EXPECTED


# --- proved -----------------------------------------------------------------------------


def _add_proved(commands: Commands) -> None:
    proved = commands.add_parser(
        "proved",
        help="what a penalty buys in proof, over many days: what is finished, and go on",
        description="Store what is finished of the networks whose digits' true distances are proved, and "
        "say how far they are. Kill it at any instant; the same command goes on where it stopped.",
    )
    proved.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the computation")
    proved.add_argument("--run", action="store_true", dest="go_on", help="first go on to the end, for days")
    proved.add_argument("--status", action="store_true", help="only say how far it is; write nothing")
    proved.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="NETWORK", help="these networks only"
    )
    proved.add_argument("--jobs", type=positive, default=1, metavar="N", help="networks at a time (1)")
    kept = Path("book/results/proved")
    proved.add_argument("--results", type=Path, default=kept, metavar="DIR", help=f"the store ({kept})")
    proved.set_defaults(run=_proved)


def _proved(options: argparse.Namespace) -> int:
    from regrob.experiments import proved
    from regrob.experiments.sweep import Workers

    stages = proved.plan(options.only)
    where = options.out, options.results, stages
    if options.go_on and not options.status:
        progress = sys.stderr.isatty()
        proved.go_on(*where, regrob.certify, workers=Workers(jobs=options.jobs), progress=progress)
    added = [] if options.status else proved.store(*where)
    print(proved.status(*where))
    if not options.status:
        print(f"{len(added)} networks newly stored")
    return AS_EXPECTED


# --- bench ------------------------------------------------------------------------------


def _add_bench(commands: Commands) -> None:
    bench = commands.add_parser(
        "bench",
        help="measure speed against plain training steps and other libraries",
        description="Measure every row by turns with its rival and compare with the target. "
        "Exits 0 only if every row that has a target and can be measured meets it.",
    )
    bench.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="ROW", help="these rows only"
    )
    bench.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    bench.add_argument("--quick", action="store_true", help="few rounds, to see that everything works")
    bench.add_argument("--threads", type=positive, default=1, metavar="N", help="of torch on the CPU (1)")
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    from regrob.bench import harness, run

    outcomes = []
    for outcome in run.measure(options.only, quick=options.quick, threads=options.threads):
        outcomes.append(outcome)
        print(harness.line(outcome), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(json.dumps(outcomes, indent=1, ensure_ascii=False))
    else:
        print(f"\n{outcomes[0]['machine']}; {options.threads} thread(s); {outcomes[0]['date']}")
    return UNEXPECTED if any(outcome["met"] is False for outcome in outcomes) else AS_EXPECTED


# --- data -------------------------------------------------------------------------------


def _add_data(commands: Commands) -> None:
    data = commands.add_parser("data", help="see or download the data sets")
    verbs = data.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = verbs.add_parser("list", help="what is present, where, and whether its checksum is right")
    listing.set_defaults(run=_data_list)
    download = verbs.add_parser(
        "download", help="fetch a data set into REGROB_DATA if it is set, else into your cache"
    )
    download.add_argument("name", help="mnist or cifar10")
    download.set_defaults(run=_data_download)


def _data_list(options: argparse.Namespace) -> int:
    from regrob.data import datasets, download

    inventory = datasets.inventory()
    for status in inventory:
        print(f"{status.state:<8} {status.path}")
    altered = [s for s in inventory if s.state == "altered"]
    unreadable = [s for s in inventory if s.state == "unreadable"]
    for status in altered:
        print(
            f"\n{status.path} is truncated or altered and will not be used; "
            f"expected sha256 {status.file.sha256}, found {download.sha256(status.path)}"
        )
    if unreadable:
        print(f"\nSet {download.VARIABLE} to a folder that you may read.")
    return UNEXPECTED if altered or unreadable else AS_EXPECTED


def _data_download(options: argparse.Namespace) -> int:
    from regrob.data import datasets, download

    folder = datasets.fetch(options.name, progress=True)
    print(f"{options.name} is in {folder}, every checksum right.")
    if not os.environ.get(download.VARIABLE):
        print(f"Set {download.VARIABLE}={folder} to make it the default.")
    return AS_EXPECTED


def positive(text: str) -> int:
    """A whole number of at least 1; for argparse, as the next three."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def size(text: str) -> float:
    """A finite number of at least 0."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be finite and at least 0, got {text}")
    return value


def norm(text: str) -> float:
    """The p of an ℓ_p norm, from 1 to inf."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 1:
        raise argparse.ArgumentTypeError(f"must be 2, inf, or another p of at least 1, got {text!r}")
    return value


def shape(text: str) -> tuple[int, ...]:
    """Positive sizes with commas between them."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"must be positive sizes, as in 1,28,28, got {text!r}")
    return sizes


def interval(text: str) -> tuple[float, float]:
    """Two finite numbers with a comma between them, the smaller first.

    Raises:
        ArgumentTypeError: it is anything else.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 0.0, 0.0
    if not -math.inf < low < high < math.inf:
        raise argparse.ArgumentTypeError(f"must be LOW,HIGH with LOW < HIGH, got {text!r}")
    return low, high


def check_device(name: str) -> None:
    """Make sure that torch can use a device in float64.

    Raises:
        InputError: it cannot.
    """
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=name)
    except (RuntimeError, AssertionError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used in float64 here: {first}") from error


def check_writable(path: Path) -> None:
    """Make sure, before minutes of work, that a file can be written.

    Raises:
        InputError: its folder does not exist or may not be written to, or it is a folder itself.
    """
    folder = path.parent
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder} to write {path.name} into; make it, or name another file"
        )
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InputError(f"{path} may not be written to; name a file in a folder of yours")
