// What a page's worker imports from: SymPy, mpmath and regrob's torch-free files, as one archive. Its files stay
// in it, since to write a thousand of them takes half a second.
//   node pack.mjs PYODIDE_FOLDER ARCHIVE LIBRARY < LIST
// LIST is JSON: {"files": {"name in the archive": "path here"}, "imports": ["module", …]}.
// Python inside Pyodide imports the modules and rehearses what proofs do. What that loads is stored compiled,
// since to compile it takes a reader's telephone seconds; the rest of the libraries stays source, which is smaller.
// LIBRARY is Pyodide's standard library, without the encodings of old computers, a tenth of it.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

// Node would print the line of Pyodide's code, all of it one line, and the error would be lost behind.
process.on("uncaughtException", (error) => { console.error(error.message); process.exit(1); });

const [pyodideFolder, archive, library] = process.argv.slice(2).map((path) => resolve(path));
const { files, imports } = JSON.parse(readFileSync(0, "utf8"));
const { loadPyodide } = await import(`${pyodideFolder}/pyodide.mjs`);
const python = await loadPyodide({ indexURL: `${pyodideFolder}/` });

const ROOT = "/packed";
for (const [name, path] of Object.entries(files)) {
  python.FS.mkdirTree(`${ROOT}/${dirname(name)}`);
  python.FS.writeFile(`${ROOT}/${name}`, readFileSync(path));
}
python.FS.writeFile("/library.zip", readFileSync(`${pyodideFolder}/python_stdlib.zip`));
python.globals.set("ROOT", ROOT);
python.globals.set("imports", python.toPy(imports));
python.runPython(`
import importlib, io, pathlib, py_compile, sys, zipfile
from compression import zstd

ENCODINGS = {
    *("__init__", "aliases", "ascii", "charmap", "cp437", "idna", "latin_1", "punycode", "raw_unicode_escape"),
    *("unicode_escape", "utf_16", "utf_32", "utf_8", "utf_8_sig"),
}
folder = pathlib.Path(ROOT)
sys.path.insert(0, ROOT)
sys.dont_write_bytecode = True
for name in imports:
    importlib.import_module(name)

import sympy as sp
t = sp.Symbol("t", positive=True)
root = sp.sqrt(t**2 + 1)
sp.simplify(sp.radsimp(1 / (1 + root)) - sp.factor(t**2 - 1)), sp.latex(root), sp.N(root.subs(t, 2))
sp.integrate(sp.exp(-t), t), sp.limit(1 / root, t, sp.oo), sp.solve(t**2 - 2, t), sp.series(sp.exp(t), t)
sp.Sum(t**2, (t, 0, 3)).doit(), sp.Matrix([[t, 1], [1, t]]).eigenvals(), sp.nsolve(t**2 - 2, 1), sp.diff(root, t)
loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name, content = str(path.relative_to(folder)), path.read_bytes()
        if str(path) in loaded:
            compiled = py_compile.compile(
                str(path), cfile="/compiled.pyc", dfile=name, doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            name, content = name + "c", pathlib.Path(compiled).read_bytes()
        archive.writestr(zipfile.ZipInfo(name), content)

with zipfile.ZipFile("/library.zip") as whole, zipfile.ZipFile("/small.zip", "w", zipfile.ZIP_DEFLATED) as small:
    for entry in whole.infolist():
        package, _, name = entry.filename.rpartition("/")
        if package != "encodings" or pathlib.Path(name).stem in ENCODINGS:
            small.writestr(zipfile.ZipInfo(entry.filename), whole.read(entry), zipfile.ZIP_DEFLATED, 9)
pathlib.Path("/archive").write_bytes(zstd.compress(packed.getvalue(), level=22))
`);
writeFileSync(archive, python.FS.readFile("/archive"));
writeFileSync(library, python.FS.readFile("/small.zip"));
