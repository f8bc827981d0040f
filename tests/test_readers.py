"""The readers' notebooks: plain Markdown, the page's own numbers, and they run anywhere."""

from __future__ import annotations

import base64
import html
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("myst_nb")
pytest.importorskip("sphinx_gated_directives")

from PIL import Image  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.util.docutils import docutils_namespace, patch_docutils  # noqa: E402
from test_extension import record, regrob_book  # noqa: E402

from regrob.analysis import results, tables  # noqa: E402
from regrob.claims import formal  # noqa: E402
from regrob.errors import DataError  # noqa: E402

readers, records = regrob_book.readers, regrob_book.records
ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
BUILT = sorted((HTML / "notebooks").glob("*.ipynb"))
RAW = re.compile(r"\{[a-z][\w:-]*\}`|:::|```\{|^\([\w-]+\)=", re.M)
"""What only this book's tools read: roles, directives, labels."""

QUICK = ("benchmarks", "stored_results")
"""Executed elsewhere; both read stored results."""


# --- One page with everything -------------------------------------------------------------

TEXT = r"""# Title with {verdict}`base`

```{status} base wrong
```

Costs \$5 * 2, {glue:text}`half` of $a$; {eq}`eq-one`, {prf:ref}`wrong`, {doc}`other` and `code`.

$$a &= b \\ c &= d$$ (eq-one)

```{prf:lemma} A name
:label: wrong

For all $x$:

$$
x
> y
$$
```

```{prf:proof}
Easy.
```

```{admonition} Predict
:class: tip
* one
  1. two
```

```{admonition} Solution
:class: dropdown
Three.
```

| symbol | meaning |
|---|---|
| $\|x\|$ | a \| b |

> quoted

## Second
"""
GLUED = {"scrapbook": {"name": "half", "mime_prefix": "application/papermill.record/"}}
SLIDER = (
    '<div class="regrob-slider"><div class="frame printed" hidden data-value="0"><img alt="" src="data:image/'
    'png;base64,{other}"></div><div class="frame printed" data-value="1"><img alt="" src="data:image/png;'
    'base64,{still}"></div><script>1</script></div>'
)


def picture(size: int) -> str:
    """A noisy PNG, base64."""
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def made_from(text: str, cells: list[Any], folder: Path) -> Any:
    """The reader's notebook of a page with these cells after its text."""
    source = folder / "source"
    source.mkdir()
    python = {"kernelspec": {"name": "python3", "display_name": ""}, "language_info": {"name": "python"}}
    pages = {
        "index": ["# Root\n\n```{toctree}\npage\nother\n```"],
        "page": [text, *cells],
        "other": ["# Other"],
    }
    for name, parts in pages.items():
        made = [nbformat.v4.new_markdown_cell(part) if isinstance(part, str) else part for part in parts]
        page = nbformat.v4.new_notebook(cells=made, metadata=python)
        nbformat.write(page, source / f"{name}.ipynb")
    settings = {
        "extensions": ["myst_nb", "sphinx_proof", "sphinx_gated_directives", "regrob_book"],
        "myst_enable_extensions": ["dollarmath"],
        "nb_execution_mode": "off",
        "numfig": True,
    }
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        html, doctrees = folder / "html", folder / "doctrees"
        Sphinx(source, None, html, doctrees, "html", settings, None, warnings).build()
    assert warnings.getvalue() == ""
    return nbformat.read(folder / "html" / "notebooks" / "page.ipynb", as_version=4)


def code(source: str, outputs: list[Any], *tags: str) -> Any:
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


def displayed(data: dict[str, str], **metadata: Any) -> Any:
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = {name: record(name) for name in ("base", "wrong")}
    ledger["wrong"] |= {"verdict": "fails as printed", "expected": "fails as printed"}
    monkeypatch.setattr(records, "judge_all", lambda cache: ledger)
    monkeypatch.setenv("REGROB_STATIC", "")  # so that the test's end restores what setup() sets
    for name in ("REGROB_PAGES_URL", "REGROB_REPOSITORY_URL", "REGROB_NOTEBOOKS_BRANCH"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("judged")
def test_every_construct_is_plain_markdown(tmp_path: Path) -> None:
    glue = displayed({"application/papermill.record/text/plain": "'0.5 %'"}, **GLUED)
    made = made_from(TEXT, [code("half = 1", [glue], "hide-input")], tmp_path)
    setup, first, second, last = made.cells
    assert setup.cell_type == "code"
    assert setup.metadata == {"jupyter": {"source_hidden": True}}
    assert first.source.split("\n\n") == [
        "# Title with ✓ holds",
        "*Judged when the book was built: 2 claims, of which 1 holds as printed and 1 fails as printed.*",
        "* Eq. (1): title of base: ✓ holds\n* Eq. (1): title of wrong: ✗ fails as printed",
        r"Costs \$5 \* 2, 0.5 % of $a$; (B1), Lemma B1, [Other](other.ipynb) and `code`.",
        r"$$ \begin{split}a &= b \\ c &= d\end{split} \tag{B1} $$",
        "> **Lemma B1 (A name).**\n>\n> For all $x$:\n>\n> $$ x > y $$\n>\n> *✗ fails as printed: "
        "numeric, 7 trials*",
        "> **Proof.** Easy. □",
        "> **Predict**\n>\n> * one\n>\n>   1. two",
        "<details><summary>Solution</summary>",
        "Three.",
        "</details>",
        "**Table B1.** Symbols of this page, and their names in the code",
        "| symbol | meaning |\n|---|---|\n" + r"| $\vert x\vert $ | a \| b |",
        "> quoted",
    ]
    assert second.source == "## Second"
    assert last.metadata == {"jupyter": {"source_hidden": True}}
    assert last.outputs == [], "a glued value is for the book's tools only"


@pytest.mark.usefixtures("judged")
def test_outputs_are_what_any_program_shows(tmp_path: Path) -> None:
    small, large = picture(8), picture(250)
    assert len(large) > readers.LARGEST
    slider = SLIDER.format(other=picture(4), still=small)
    made = made_from(
        "# Page",
        [
            code("1", [nbformat.v4.new_output("stream", text="words")], "remove-input"),
            code("2", [displayed({"text/html": slider, "text/plain": "a slider"})], "hide-cell"),
            code("3", [displayed({"image/png": large})]),
            code("4", [displayed({"text/html": "<b>" + "x" * readers.LARGEST, "text/plain": "long"})]),
        ],
        tmp_path,
    )
    words, still, caption, lighter, short = made.cells[2:]
    assert caption.source == "**Figure B1.** Page"
    assert words.outputs[0].text == "words"
    assert words.metadata.jupyter == {"source_hidden": True}
    assert still.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}
    assert still.outputs[0].data == {"image/png": small, "text/plain": "a slider"}
    assert len(lighter.outputs[0].data["image/png"]) <= readers.LARGEST
    assert short.outputs[0].data == {"text/plain": "long"}


@pytest.mark.usefixtures("judged")
def test_a_proof_of_cells_is_one_quotation_around_them(tmp_path: Path) -> None:
    text = "# Page\n\n```{prf:proof-start}\nThe cell computes.\n```"
    after = nbformat.v4.new_markdown_cell("So it holds.\n\n```{prf:proof-end}\n```\n\nOutside.")
    made = made_from(text, [code("1", []), after], tmp_path)
    assert [cell.source for cell in made.cells[1:]] == [
        "# Page\n\n> **Proof.** The cell computes.",
        "1",
        "> So it holds. □\n\nOutside.",
    ]


@pytest.mark.usefixtures("judged")
def test_links_lead_to_the_published_pages_where_they_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGROB_PAGES_URL", "https://pages.example.org/book/")
    made = made_from("# Page\n\n{doc}`other`, [away](https://example.org)", [], tmp_path)
    assert "[Other](https://pages.example.org/book/other.html)" in made.cells[1].source
    assert "[away](https://example.org)" in made.cells[1].source


def test_set_up_names_no_address_that_nobody_gave(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = SimpleNamespace(confdir=str(tmp_path))
    for name in ("REGROB_PAGES_URL", "REGROB_REPOSITORY_URL", "REGROB_REPOSITORY_BRANCH"):
        monkeypatch.delenv(name, raising=False)
    assert readers.source_of_package(app) == ""
    monkeypatch.setenv("REGROB_REPOSITORY_URL", "https://git.example.org/a/b/")
    assert readers.source_of_package(app) == "git+https://git.example.org/a/b@main"
    monkeypatch.setenv("REGROB_PAGES_URL", "https://pages.example.org")
    assert readers.source_of_package(app).startswith("git+"), "no wheel has been built"
    (tmp_path / "_build" / "wheel").mkdir(parents=True)
    (tmp_path / "_build" / "wheel" / "regrob-1-py3-none-any.whl").touch()
    address = "https://pages.example.org/notebooks/regrob-1-py3-none-any.whl"
    assert readers.source_of_package(app) == address


@pytest.mark.parametrize("branch", ["", "readers"])
def test_buttons_give_the_readers_notebook(branch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGROB_NOTEBOOKS_BRANCH", branch)
    monkeypatch.delenv("REGROB_REPOSITORY_BRANCH", raising=False)
    app = SimpleNamespace(env=SimpleNamespace(found_docs={"book/a"}, doc2path=lambda page: f"{page}.ipynb"))
    download = {"label": "download-source-button", "url": "../_sources/book/a.ipynb"}
    colab = {"text": "Colab", "url": "https://colab.example/github/o/main/blob/main/book/a.ipynb"}
    binder = {"text": "Binder", "url": "https://binder.example/v2/gh/o/r/main?urlpath=lab/tree/book/a.ipynb"}
    context = {"header_buttons": [{"buttons": [download, colab, binder]}, {"text": "no group"}]}
    readers.lead_buttons(app, "book/a", "page.html", context, None)
    assert download["url"] == "../notebooks/a.ipynb"
    if branch:
        assert colab["url"] == "https://colab.example/github/o/main/blob/readers/a.ipynb"
        assert binder["url"] == "https://binder.example/v2/gh/o/r/readers?urlpath=lab/tree/a.ipynb"


# --- The built book -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def _book() -> None:
    missing = "" if BUILT else "no readers' notebooks: run make book"
    if missing and os.environ.get("REGROB_REQUIRE_BROWSER") == "1":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@pytest.mark.usefixtures("_book")
def test_the_book_has_its_notebooks() -> None:
    sources = {path.name for path in (ROOT / "book").glob("*.ipynb")}
    assert {path.name for path in BUILT} == sources
    with zipfile.ZipFile(HTML / readers.ZIP) as packed:
        names = {Path(name).name for name in packed.namelist()}
    assert sources <= names
    assert any(name.endswith(".whl") for name in names), "make book builds the package's wheel first"


@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.stem)
def test_a_readers_notebook_is_whole(path: Path) -> None:
    made = nbformat.read(path, as_version=4)
    nbformat.validate(made)
    assert made.cells[0].source.startswith("# Set-up")
    for cell in made.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```", "", cell.source, flags=re.S)
            assert not RAW.search(cell.source), cell.source
            assert prose.count("<details>") == prose.count("</details>")
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.stem)
def test_its_numbers_are_the_pages(path: Path) -> None:
    """Each paragraph of the page that holds a computed number stands in the notebook, word for word."""
    page = (HTML / "book" / f"{path.stem}.html").read_text("utf8")
    page = re.sub(r'<span class="visually-hidden">.*?</span>', "", page)  # a badge's title, for the ear
    made = nbformat.read(path, as_version=4)
    markdown = letters(" ".join(cell.source for cell in made.cells if cell.cell_type == "markdown"))
    paragraphs = [p for p in re.findall(r"<p>.*?</p>", page, re.S) if "pasted-text" in p]
    assert len(paragraphs) >= ("pasted-text" in page)
    for paragraph in paragraphs:
        for piece in re.split(r"\\\(.*?\\\)", re.sub(r"<[^>]*>", "", paragraph), flags=re.S):
            assert letters(html.unescape(piece)) in markdown, piece


def letters(text: str) -> str:
    """Only letters and digits, and what belongs to a number."""
    text = re.sub(r"\]\([^)]*\)", "", text)  # where a link leads
    return re.sub(r"[^\w.%−-]|_", "", text)


# --- Anywhere -----------------------------------------------------------------------------


def wheel(folder: Path) -> Path:
    """The package's wheel, built without the network."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: it is part of the extra `book`")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True)
    return next(folder.glob("regrob-*.whl"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment that lacks this package, and the package's wheel."""
    folder = tmp_path_factory.mktemp("elsewhere")
    wheel(folder)
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env").rglob("site-packages"))
    parents = [path for path in sys.path if path.endswith("site-packages")]
    (site / "parent.pth").write_text("\n".join(parents), "utf8")  # its .pth files are not followed
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run the environment's Python in that folder, without the network and this repository."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    quiet = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    python = str(folder / "env" / "bin" / "python")
    variables = {**kept, **quiet}
    return subprocess.run(
        [python, *command], check=False, cwd=folder, env=variables, capture_output=True, text=True
    )


EXECUTE = """
import nbformat, sys
from nbclient import NotebookClient
made = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(made, timeout=600, kernel_name="python3").execute()
nbformat.write(made, sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("_book")
def test_two_run_elsewhere_from_the_wheel_beside_them(elsewhere: Path) -> None:
    assert run(elsewhere, "-c", "import regrob").returncode == 1, "it must be the first cell that installs"
    torch = run(elsewhere, "-c", "import torch; print(torch.__file__)").stdout
    for name in QUICK:
        shutil.copy2(HTML / "notebooks" / f"{name}.ipynb", elsewhere)
        ran = run(elsewhere, "-c", EXECUTE, f"{name}.ipynb")
        assert ran.returncode == 0, ran.stderr
        outputs = json.dumps([c.get("outputs") for c in nbformat.read(elsewhere / f"{name}.ipynb", 4).cells])
        assert '"ename"' not in outputs
    where = run(elsewhere, "-c", "import regrob, torch; print(regrob.__file__, torch.__file__, sep='\\n')")
    package, same = where.stdout.splitlines()
    assert Path(package).is_relative_to(elsewhere)
    assert same == torch.strip(), "the host's torch stays"


def test_set_up_says_what_to_install_where_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"regrob is missing.*pip install path/to/the/copy"):
        exec(readers.SET_UP.format(source=""), {})


def test_the_wheel_carries_the_results(elsewhere: Path) -> None:
    with zipfile.ZipFile(next(elsewhere.glob("*.whl"))) as packed:
        carried = {name.removeprefix("regrob/results/"): packed.read(name) for name in packed.namelist()}
    stored = [path for path in results.folder().rglob("*.*") if path.is_file()]
    assert len(stored) > 20
    for path in stored:
        assert carried[path.relative_to(results.folder()).as_posix()] == path.read_bytes()


def test_the_wheel_carries_the_formal_proofs_and_its_package_finds_them(elsewhere: Path) -> None:
    unpacked = elsewhere / "unpacked"
    with zipfile.ZipFile(next(elsewhere.glob("*.whl"))) as packed:
        packed.extractall(unpacked)
    proofs = formal.stored()
    assert proofs is not None
    names = {formal.PAIRS, formal.RECORD, *(f"{file}.v" for file in proofs.files)}
    carried = unpacked / "regrob" / "proofs"
    assert {path.name for path in carried.iterdir()} == names, "nothing that Coq left there travels"
    assert all((carried / name).read_bytes() == (proofs.folder / name).read_bytes() for name in names)
    program = "from regrob.claims import formal; print(formal.stored().folder, len(formal.stored().pairs))"
    told = run(elsewhere, "-c", f"import sys; sys.path.insert(0, {str(unpacked)!r}); {program}")
    assert told.stdout.split() == [str(carried), str(len(proofs.pairs))], told.stderr


def test_results_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert results.folder() == ROOT / "book" / "results"
    assert len(tables.read(results.folder(), "fig4")[0])
    monkeypatch.setattr(results, "PLACES", (tmp_path / "neither", tmp_path / "nor"))
    with pytest.raises(DataError, match=r"no stored results in .*neither or .*nor; install the package"):
        results.folder()


def test_no_notebook_reads_from_its_own_folder() -> None:
    for path in (ROOT / "book").glob("*.ipynb"):
        source = "".join("".join(cell["source"]) for cell in json.loads(path.read_text("utf8"))["cells"])
        assert not re.search(r"""Path\(["'](?!/)""", source), path.name


# --- Bars ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("environment", "show", "seen"), [("", False, 0), ("1", False, 1), ("", True, 1)])
def test_a_bar_appears_where_it_is_asked_for(
    environment: str,
    show: bool,
    seen: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from regrob import notebook

    monkeypatch.setenv(notebook.PROGRESS, environment)
    monkeypatch.setattr(notebook, "PATIENCE", 0.0)
    assert list(notebook.bar(range(3), title="words", show=show)) == [0, 1, 2]
    with notebook.bar(title="words", total=2, show=show) as shown:
        shown.update(2)
    assert capsys.readouterr().err.count("words") >= seen
    assert ("words" in capsys.readouterr().err or seen) == seen


def test_set_up_asks_for_bars() -> None:
    from regrob import notebook

    assert f'os.environ["{notebook.PROGRESS}"] = "1"' in readers.SET_UP
