"""Which cells of a chapter can run in a reader's browser, found by reading the code.

A cell is live if each of its statements needs only the standard library, SymPy and what `regrob` reaches
without PyTorch. Statements are followed one by one through the chapter: a name is *usable* while what bound
it is, and a function is usable while every name that it looks up is. An earlier cell that is not live still
gives what later live cells need of it: its imports, its helpers, its numbers.

The function that `check_answer` compares an answer with may need anything: the build stores its value.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeGuard

OURS = "regrob"
LIBRARIES = {"mpmath", "sympy"}
"""What the browser gets beside the standard library and our package."""

OFFERED = {("IPython.display", "display")}
"""What `driver.py` puts in the place of a notebook's own."""

NEED_A_COMPUTER = {
    *("asyncio", "concurrent", "ctypes", "multiprocessing", "signal", "socket", "sqlite3", "ssl"),
    *("subprocess", "threading", "tkinter", "urllib", "venv", "webbrowser"),
}
"""Modules of the standard library whose processes, threads or connections a page does not have."""

NEED_FILES = {"os", "pathlib", "shutil", "tempfile"}
"""Modules that a cell imports to read or write files, of which a page has none."""

NEED_A_TERMINAL = {"breakpoint", "input", "open"}
MUTATORS = {
    *("add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse"),
    *("setdefault", "sort", "update"),
}
"""Methods of lists, sets and dictionaries that change them."""

NOTHING_SHOWN = {"remove-cell", "remove-input"}
"""Tags of cells whose code is not on the page: there is nothing to run or edit."""

JUDGE = "check_answer"
"""Compares a reader's answer with the value of a function, its second argument."""

Node = tuple[str, str]
"""A module of ours and a name in it."""


def is_foreign(module: str) -> bool:
    """Whether a module is neither ours nor in the browser."""
    root = module.partition(".")[0]
    at_hand = (sys.stdlib_module_names - NEED_A_COMPUTER) | LIBRARIES
    return root != OURS and root not in at_hand


class Package:
    """Our package as its files say it, never imported: what each name reaches when it is used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reasons: dict[Node, str] = {}

    def file(self, module: str) -> Path | None:
        """The file of a module; None if there is none."""
        base = self.folder.joinpath(*module.split(".")[1:])
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                return path
        return None

    def modules(self) -> list[str]:
        """Every module that a browser can import."""
        names = []
        for path in sorted(self.folder.rglob("*.py")):
            parts = path.relative_to(self.folder).with_suffix("").parts
            name = ".".join((OURS, *(part for part in parts if part != "__init__")))
            if not self.why_not_imported(name):
                names.append(name)
        return names

    @cache  # noqa: B019 - there is one package a build
    def _tree(self, module: str) -> ast.Module:
        path = self.file(module)
        return ast.parse(path.read_text(encoding="utf-8") if path else "")

    @cache  # noqa: B019
    def why_not_imported(self, module: str) -> str:
        """The foreign module that an import would load; "" if there is none."""
        seen, waiting = set[str](), [module]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if is_foreign(name):
                return name
            if name.partition(".")[0] != OURS:
                continue
            if self.file(name) is None:
                return name
            parents = name.split(".")
            waiting += [".".join(parents[:count]) for count in range(1, len(parents))]
            for statement in _run_at_import(self._tree(name)):
                waiting += [target for target, _ in self._imported(statement)]
        return ""

    def why_not_used(self, module: str, name: str) -> str:
        """The foreign module that using a name may load; "" if there is none."""
        start = (module, name)
        if start not in self._reasons:
            self._reasons[start] = self._search(start)
        return self._reasons[start]

    def _search(self, start: Node) -> str:
        seen, waiting = set[Node](), [start]
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            module, name = node
            if module.partition(".")[0] != OURS:
                if is_foreign(module) and node not in OFFERED:
                    return module
                continue
            if reason := self.why_not_imported(module):
                return reason
            if not name or self.file(f"{module}.{name}"):
                if name and (reason := self.why_not_imported(f"{module}.{name}")):
                    return reason
                continue
            definitions = self._definitions(module).get(name)
            if definitions is None:
                return f"{module}.{name}"  # bound in a way that cannot be read, by __getattr__ say
            for definition in definitions:
                waiting += self._needed(module, definition, name)
        return ""

    @cache  # noqa: B019
    def _definitions(self, module: str) -> dict[str, list[ast.stmt]]:
        """Name → the statements of the module that bind it."""
        bound: dict[str, list[ast.stmt]] = {}
        for statement in _at_import(self._tree(module).body):
            for name in _stored(statement):
                bound.setdefault(name, []).append(statement)
        return bound

    def _needed(self, module: str, statement: ast.stmt, name: str) -> Iterator[Node]:
        """What a definition looks up: in its module, and in what it imports."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias, (target, part) in zip(statement.names, self._imported(statement), strict=True):
                if (alias.asname or alias.name.partition(".")[0]) == name:
                    yield target, part
            return
        modules = self._names_of_modules(module)
        for part in _evaluated(statement):
            if isinstance(part, ast.Import | ast.ImportFrom):
                yield from self._imported(part)
            elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                if part.value.id in modules:
                    yield modules[part.value.id], part.attr
            elif isinstance(part, ast.Name) and part.id in self._definitions(module).keys() - modules.keys():
                yield module, part.id

    def _names_of_modules(self, module: str) -> dict[str, str]:
        """Name → the module of ours that it stands for, as in `from regrob import data`."""
        names = {}
        for statement in _at_import(self._tree(module).body):
            if isinstance(statement, ast.ImportFrom):
                for alias in statement.names:
                    target = f"{statement.module}.{alias.name}"
                    if target.startswith(OURS) and self.file(target):
                        names[alias.asname or alias.name] = target
        return names

    def _imported(self, statement: ast.AST) -> list[Node]:
        """One node for each name that an import binds: a module, and the name in it if any."""
        if isinstance(statement, ast.Import):
            return [(alias.name, "") for alias in statement.names]
        if not isinstance(statement, ast.ImportFrom):
            return []
        source = statement.module or ""
        submodules = {alias.name: f"{source}.{alias.name}" for alias in statement.names}
        return [
            (submodules[alias.name], "")
            if source.startswith(OURS) and self.file(submodules[alias.name])
            else (source, alias.name)
            for alias in statement.names
        ]


def _only_for_types(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`, which never runs."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _at_import(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those inside `if`, `try` and `with` too."""
    for statement in statements:
        if _only_for_types(statement):
            continue
        yield statement
        for block in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = getattr(statement, block, [])
                yield from _at_import([s for part in inner for s in getattr(part, "body", [part])])


def _run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """What an import of the module runs: all but the bodies of functions."""
    waiting: list[ast.AST] = [s for s in tree.body if not _only_for_types(s)]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        waiting += [part for part in ast.iter_child_nodes(node) if not _only_for_types(part)]


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """A definition's parts but its annotations, which are text."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST) and not _only_for_types(part):
                yield from _evaluated(part)


def _stored(statement: ast.stmt) -> set[str]:
    """The names that a statement binds where it stands."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    return {s.get_name() for s in _table(statement).get_symbols() if s.is_assigned() or s.is_imported()}


def _table(statement: ast.stmt) -> symtable.SymbolTable:
    """The statement's own scope, as Python sees it."""
    return symtable.symtable(ast.unparse(statement), "statement", "exec")


def _looked_up(statement: ast.stmt) -> set[str]:
    """The names that a statement takes from outside, those in functions that it defines too."""
    top = _table(statement)
    names = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    names |= {  # `x += 1` looks x up, which the table does not say
        part.target.id
        for part in ast.walk(statement)
        if isinstance(part, ast.AugAssign)
        and isinstance(part.target, ast.Name)
        and part.target.id in top.get_identifiers()
    }
    waiting = list(top.get_children())
    while waiting:
        scope = waiting.pop()
        names |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
        waiting += scope.get_children()
    return names


def _needed_before(statements: list[ast.stmt], bound: frozenset[str] = frozenset()) -> set[str]:
    """The names that statements take from what ran before: looked up, and not bound by themselves first."""
    needed = set[str]()
    for statement in statements:
        match statement:
            case ast.For(target=target, iter=head_of_loop):
                head, targets = [head_of_loop], [target]
            case ast.With(items=items):
                head = [item.context_expr for item in items]
                targets = [item.optional_vars for item in items if item.optional_vars is not None]
            case ast.If(test=test) | ast.While(test=test):
                head, targets = [test], []
            case _:
                needed |= _looked_up(statement) - bound
                bound |= _stored(statement)
                continue
        needed |= {name for part in head for name in _looked_up(ast.Expr(part))} - bound
        bound |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        for block in (statement.body, getattr(statement, "orelse", [])):
            needed |= _needed_before(block, bound)
    return needed


def _changed(statement: ast.stmt) -> set[str]:
    """The names whose values a statement may change in place."""
    changed = set()
    for node in ast.walk(statement):
        target: ast.AST | None = None
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func.value if node.func.attr in MUTATORS else None
        while isinstance(target, ast.Subscript | ast.Attribute):
            target = target.value
        if isinstance(target, ast.Name):
            changed.add(target.id)
    return changed


@dataclass(frozen=True)
class Binding:
    """What a name stands for at one place of a chapter.

    Attributes:
        reason: why it cannot be used in a browser; "" if it can, as far as `needs` can.
        needs: names that a function looks up when it is called.
        module: the module of ours that it is, "" otherwise.
        function: whether a `def` of the chapter bound it.
    """

    reason: str = ""
    needs: frozenset[str] = frozenset()
    module: str = ""
    function: bool = False


@dataclass
class Cell:
    """What is known of one cell of code.

    Attributes:
        reasons: why it is not live; empty if it is.
        usable: the statements of it that could run in a browser, alone.
        stored: functions that could not, whose values `check_answer` compares with.
    """

    reasons: list[str] = field(default_factory=list)
    usable: list[ast.stmt] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)


class Chapter:
    """The cells of code of one chapter, in order."""

    def __init__(self, sources: list[str], package: Package) -> None:
        self.package = package
        self.names: dict[str, Binding] = {}
        self.cells = [self._read(source) for source in sources]

    def _read(self, source: str) -> Cell:
        try:
            statements = ast.parse(source).body
        except SyntaxError:
            return Cell(reasons=["it is not plain Python"])
        cell = Cell()
        for statement in statements:
            reasons = self._follow(statement, cell)
            cell.reasons += [reason for reason in reasons if reason]
        for statement in statements:  # functions look their names up when all of the cell has run
            if isinstance(statement, ast.FunctionDef | ast.ClassDef) and statement.name not in cell.stored:
                reason = self.why_not_usable(statement.name)
                cell.reasons += [reason] if reason else []
        return cell

    def _follow(self, statement: ast.stmt, cell: Cell) -> list[str]:
        """Bind what a statement binds; why it cannot run, if it cannot."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return self._follow_import(statement, cell)
        if isinstance(statement, ast.FunctionDef) and not statement.decorator_list:
            needs = frozenset(_looked_up(statement))
            self.names[statement.name] = Binding(self._reason_of_attributes(statement), needs, function=True)
            cell.usable.append(statement)
            return []  # it is judged when all of the cell has run
        own = _stored(statement) - self.names.keys()
        cell.stored |= self._stored_values(statement)
        needed = _needed_before([statement]) - own - self._stored_values(statement)
        reasons = [self.why_not_usable(name) for name in sorted(needed)]
        reason = next(filter(None, [*reasons, self._reason_of_attributes(statement)]), "")
        if not reason:
            cell.usable.append(statement)
        for name in _stored(statement) | (_changed(statement) if reason else set()):
            self.names[name] = Binding(reason)
        return [reason]

    def _follow_import(self, statement: ast.Import | ast.ImportFrom, cell: Cell) -> list[str]:
        reasons = []
        for alias, (module, name) in zip(statement.names, self.package._imported(statement), strict=True):
            whole = module.startswith(OURS) and not name
            reason = self.package.why_not_imported(module) or self.package.why_not_used(module, name)
            if module.partition(".")[0] in NEED_FILES:
                reason = module
            bound = alias.asname or alias.name.partition(".")[0]
            self.names[bound] = Binding(reason, module=module if whole else "")
            reasons.append(reason)
            if not reason:
                part = (
                    ast.Import([alias])
                    if isinstance(statement, ast.Import)
                    else ast.ImportFrom(statement.module, [alias], statement.level)
                )
                cell.usable.append(part)
        return reasons

    def why_not_usable(self, name: str) -> str:
        """Why a name cannot be used at this place; "" if it can."""
        seen, waiting = set[str](), [name]
        while waiting:
            each = waiting.pop()
            if each in seen:
                continue
            seen.add(each)
            binding = self.names.get(each)
            if binding is None:
                if each in NEED_A_TERMINAL:
                    return each
                if not hasattr(builtins, each) and each not in ("display", "__name__"):
                    return f"{each}, which nothing before it binds"
                continue
            if binding.reason:
                return binding.reason
            waiting += binding.needs
        return ""

    def _stored_values(self, statement: ast.stmt) -> set[str]:
        """The function of a call of `check_answer` that cannot be called in a browser, if there is one."""
        match statement:
            case ast.Expr(ast.Call(func=ast.Name(id=name), args=[_, ast.Name(id=function)])) if name == JUDGE:
                is_function = self.names.get(function, Binding()).function
                only_there = sum(getattr(part, "id", "") == function for part in ast.walk(statement)) == 1
                return {function} if is_function and only_there and self.why_not_usable(function) else set()
        return set()

    def _reason_of_attributes(self, statement: ast.stmt) -> str:
        """Why `module.name`, with a module of ours, cannot be used."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = self.names.get(node.value.id, Binding()).module
                reason = self.package.why_not_used(module, node.attr) if module else ""
                if reason:
                    return reason
        return ""


Step = int | str
"""A live cell's place among the chapter's cells of code, or code that runs unseen before the next one."""


@dataclass(frozen=True)
class Plan:
    """What a browser runs of a chapter.

    Attributes:
        steps: its live cells in order, and what they need of the others.
        stored: names of functions whose values the build must store, since a browser cannot call them.
    """

    steps: list[Step]
    stored: set[str]


def plan(sources: list[str], tags: list[set[str]], package: Package) -> Plan:
    """What a browser runs of a chapter.

    Args:
        sources: the code of every cell of code.
        tags: the tags of each; a cell whose code is not shown is not live.
        package: our package.
    """
    cells = Chapter(sources, package).cells
    live = [
        bool(source.strip()) and not cell.reasons and not tag & NOTHING_SHOWN
        for source, tag, cell in zip(sources, tags, cells, strict=True)
    ]
    if not any(live):
        return Plan([], set())
    stored = set[str]().union(*(cell.stored for cell, lives in zip(cells, live, strict=True) if lives))
    wanted = set[str]()
    backwards: list[Step] = []
    for place in reversed(range(len(cells))):
        if live[place]:
            backwards.append(place)
            for statement in ast.parse(sources[place]).body:
                if not _defines(statement, stored):
                    wanted |= _looked_up(statement)
            continue
        kept = []
        for statement in reversed(cells[place].usable):
            imports = isinstance(statement, ast.Import | ast.ImportFrom)
            if _defines(statement, wanted & stored):
                kept.append(f"def {statement.name}():\n    ...")  # never called
            elif imports or (_stored(statement) | _changed(statement)) & wanted:
                kept.append(ast.unparse(statement))
                wanted |= _looked_up(statement)
        if kept:
            backwards.append("\n".join(reversed(kept)))
    return Plan(backwards[::-1], stored)


def _defines(statement: ast.stmt, names: set[str]) -> TypeGuard[ast.FunctionDef]:
    """Whether a statement is the `def` of one of these functions."""
    return isinstance(statement, ast.FunctionDef) and statement.name in names
