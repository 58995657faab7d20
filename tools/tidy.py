"""The rules of the house that no linter knows, each a function from a source to its violations. `make check` runs them all.

A rule has a name, which `make gates` asks for: every rule here is seen failing there on an example of its own.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.tree import ROOT, tracked

MODULE_LINES = 500
FUNCTION_LINES = 70
FOLDER_MODULES = 12
ONE_FILE_EACH = {
    "src/tallystick/rate/models",
    "src/tallystick/rate/adjustments",
    "src/tallystick/store/migrations/versions",
    "tests/unit",
    "tests/integration",
    "tests/oracles/adapters",
}
"""Folders that hold one file of a kind each, however many those are: price models, adjustments, tests, adapters."""

WITNESS = (
    "tools/bill/book.py",
    "tools/bill/pricing.py",
    "tools/bill/raw.py",
    "tools/bill/witness.py",
    "tools/independent.py",
    "tools/kill/disk.py",
    "tools/kill/host.py",
    "tools/kill/ledger.py",
    "tools/kill/relay.py",
    "tools/kill/stored.py",
    "tools/kill/verdict.py",
)
"""The second computation of the first bill, how it comes by the raw samples, and the ledger of the kill test."""

EMPTY_WORDS = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
EMPTY_NAMES = {"data", "handle", "info"}
EXACT_FOLDERS = ("model", "meter", "rate", "invoice", "ledger")
FLOAT_NAMES = {"complex", "double", "float", "float16", "float32", "float64", "floating", "half", "longdouble", "single"}
FLOAT_CALLS = {"average", "linspace", "mean", "percentile", "quantile", "std", "timestamp", "total_seconds", "true_divide", "var"}
FLOAT_DTYPES = re.compile(r"[<>=|]?(f[248]|float(16|32|64)?|[dgc])")
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
SKIPS = {"importorskip", "skip", "skipIf", "skipTest", "skipUnless", "skipif", "xfail"}
ADAPTERS = "tests/oracles/adapters/"
COMPUTING = {"abs", "divmod", "len", "math", "max", "min", "operator", "pow", "reduce", "round", "statistics", "sum"}
WRITTEN_NUMBER = re.compile(r"\s*[-+]?[0-9][-0-9.,/:TZe% ]*")
SKIPPERS = {"pytest", "pytest.mark", "unittest", "self"}
EXCEPTION = re.compile(r"#\s*(no" + r"qa(:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*)?|type:\s*ignore(\[[^\]]*\])?)\s*(?P<reason>\S.*)?$")
GENERATED = "src/tallystick/proto/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A place that breaks a rule, and what it found there."""

    path: str
    line: int
    found: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """A text file of the repository: its path from the root, with `/`, and its text."""

    path: str
    text: str

    @property
    def is_python(self) -> bool:
        """Whether it is Python that a person wrote."""
        return self.path.endswith(".py") and not self.path.startswith(GENERATED)

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of its syntax tree."""
        return tuple(ast.walk(self.tree))

    def at(self, place: ast.AST | int, found: str) -> Violation:
        """A violation at a node or a line of this source."""
        return Violation(path=self.path, line=place if isinstance(place, int) else getattr(place, "lineno", 1), found=found)

    def inside(self, *folders: str) -> bool:
        """Whether it lies below one of the folders of `src/tallystick`."""
        return self.path.startswith(tuple(f"src/tallystick/{folder}/" for folder in folders))


Check = Callable[[Source], Iterator[Violation]]


def readable(source: Source) -> Iterator[Violation]:
    """It is Python."""
    try:
        _ = source.tree
    except SyntaxError as error:
        yield source.at(error.lineno or 1, str(error.msg))


def module_length(source: Source) -> Iterator[Violation]:
    """A module is read in one sitting: at most 500 lines."""
    count = len(source.text.splitlines())
    if count > MODULE_LINES:
        yield source.at(1, f"{count} lines, at most {MODULE_LINES}")


def function_length(source: Source) -> Iterator[Violation]:
    """A function fits on a screen: at most 70 lines."""
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > FUNCTION_LINES:
                yield source.at(node, f"{node.name} has {count} lines, at most {FUNCTION_LINES}")


def module_names(source: Source) -> Iterator[Violation]:
    """A module or folder is named after what it holds, not after being useful."""
    for part in source.path.removesuffix(".py").split("/"):
        if EMPTY_WORDS & set(part.split("_")):
            yield source.at(1, f"{part!r} says nothing of what is in it")


def empty_names(source: Source) -> Iterator[Violation]:
    """No variable, argument, attribute or function has a name that fits anything."""
    for node in source.nodes:
        name: str | None = None
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.Attribute(attr=name, ctx=ast.Store()):
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                pass
            case ast.alias(asname=str(name)):
                pass
        if name is not None and name.lower() in EMPTY_NAMES:
            yield source.at(node, f"{name!r} fits anything: say what it is")


def no_floats(source: Source) -> Iterator[Violation]:
    """No float literal, annotation or call where usage and money are computed, NumPy's included."""
    if not source.inside(*EXACT_FOLDERS):
        return
    for node in source.nodes:
        match node:
            case ast.Constant(value=float() | complex()):
                yield source.at(node, f"the literal {node.value!r}")
            case ast.Name(id=name) if name in FLOAT_NAMES:
                yield source.at(node, name)
            case ast.Attribute(attr=name) if name in FLOAT_NAMES:
                yield source.at(node, f".{name}")
            case ast.Call(func=ast.Attribute(attr=name)) if name in FLOAT_CALLS:
                yield source.at(node, f".{name}() makes floats")
            case (
                ast.keyword(arg="dtype", value=ast.Constant(value=str(kind)) as place)
                | ast.Call(func=ast.Attribute(attr="astype" | "dtype"), args=[ast.Constant(value=str(kind)) as place])
            ) if FLOAT_DTYPES.fullmatch(kind):
                yield source.at(place, f"dtype {kind!r}")
            case ast.ImportFrom(module="math") | ast.Import(names=[ast.alias(name="math")]):
                yield from integer_math_only(source, node)


def integer_math_only(source: Source, node: ast.ImportFrom | ast.Import) -> Iterator[Violation]:
    """Of `math`, only what answers integers, by name."""
    allowed = {"comb", "factorial", "gcd", "isqrt", "lcm", "perm", "prod"}
    names = {alias.name for alias in node.names}
    if isinstance(node, ast.Import) or names - allowed:
        yield source.at(node, f"of math, import only {', '.join(sorted(allowed))}, by name")


def folder_docstring(source: Source) -> Iterator[Violation]:
    """A folder says in one sentence what it is, and its `__init__.py` holds nothing else."""
    if not source.path.startswith("src/tallystick/") or not source.path.endswith("/__init__.py"):
        return
    sentence = ast.get_docstring(source.tree)
    if sentence is None:
        yield source.at(1, "no docstring")
    elif not sentence.endswith(".") or re.search(r"[.!?]\s", sentence.strip()):
        yield source.at(1, "its docstring is not one sentence")
    if len(source.tree.body) > 1 and source.path != "src/tallystick/__init__.py":  # which has the version
        yield source.at(source.tree.body[1], "holds more than its docstring")


def frozen_values(source: Source) -> Iterator[Violation]:
    """A dataclass of the vocabulary is frozen, slotted and keyword-only."""
    if not source.inside("model"):
        return
    for node in source.nodes:
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            called, words = (decorator.func, decorator.keywords) if isinstance(decorator, ast.Call) else (decorator, [])
            if ast.unparse(called) in {"dataclass", "dataclasses.dataclass"}:
                given = {word.arg for word in words if ast.unparse(word.value) == "True"}
                if missing := {"frozen", "kw_only", "slots"} - given:
                    yield source.at(node, f"{node.name} is not {', '.join(sorted(missing))}")


def imports(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Every module that a source imports, with the names it takes from it, as dotted paths."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{'.' * node.level}{node.module or ''}.{alias.name}") for alias in node.names)


def imports_of(source: Source, forbidden: Iterable[str]) -> Iterator[Violation]:
    """The imports of a source that lie in one of the packages."""
    for node, name in imports(source):
        if any(f"{name}.".startswith(f"{package}.") for package in forbidden):
            yield source.at(node, f"imports {name}")


def reference_alone(source: Source) -> Iterator[Violation]:
    """The scalar reference shares nothing with what it is the reference of."""
    if source.path.startswith("tests/reference/"):
        yield from imports_of(source, ("tallystick.meter", "tallystick.rate", "tallystick.invoice", "tallystick.store", "tallystick.app"))


def witness_alone(source: Source) -> Iterator[Violation]:
    """A second computation shares nothing with what it checks: of the product, only the wire messages."""
    if source.path not in WITNESS:
        return
    allowed = {path.removesuffix(".py").replace("/", ".") for path in WITNESS}
    for node, name in imports(source):
        ours = name.startswith("tallystick") and not name.startswith("tallystick.proto.")
        if ours or (name.startswith("tools.") and not {name, name.rpartition(".")[0]} & allowed):
            yield source.at(node, f"imports {name}")


def locks_without_address(source: Source) -> Iterator[Violation]:
    """A lock file names versions and hashes, never where to get them."""
    if source.path.startswith("requirements/"):
        for number, line in enumerate(source.text.splitlines(), 1):
            if "://" in line or re.match(r"\s*(--(extra-)?index-url|--find-links|-[if])\b", line):
                yield source.at(number, line.strip())


def locks_with_hashes(source: Source) -> Iterator[Violation]:
    """Every pinned version has a hash."""
    if source.path.startswith("requirements/"):
        for number, line in enumerate(source.text.splitlines(), 1):
            if "==" in line and not line.lstrip().startswith("#") and not line.rstrip().endswith("\\"):
                yield source.at(number, f"{line.strip()}: no hash")


def finished(source: Source) -> Iterator[Violation]:
    """What is missing is missing, or an issue: no reminders in the sources."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := UNFINISHED.search(line):
            yield source.at(number, found.group())


def no_skips(source: Source) -> Iterator[Violation]:
    """A test runs, or it is not there: none is skipped, and none may fail."""
    if not source.path.startswith("tests/"):
        return
    for node in source.nodes:
        match node:
            case ast.Attribute(attr=name, value=owner) if name in SKIPS and ast.unparse(owner) in SKIPPERS:
                yield source.at(node, ast.unparse(node))
            case ast.ImportFrom(module="pytest" | "unittest", names=names) if {alias.name for alias in names} & SKIPS:
                yield source.at(node, ast.unparse(node))


def adapters_convert(source: Source) -> Iterator[Violation]:
    """An adapter of an oracle renames and converts: it computes nothing, compares no sizes, and knows no number of a case."""
    if not source.path.startswith(ADAPTERS):
        return
    for node in source.nodes:
        match node:
            case ast.BinOp(op=operator) if not isinstance(operator, ast.BitOr):
                yield source.at(node, f"computes: {ast.unparse(node)}")
            case ast.AugAssign() | ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert()):
                yield source.at(node, f"computes: {ast.unparse(node)}")
            case ast.Compare(ops=operators) if any(isinstance(each, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for each in operators):
                yield source.at(node, f"compares sizes: {ast.unparse(node)}")
            case ast.Constant(value=int() | float() | complex() as value) if not isinstance(value, bool):
                yield source.at(node, f"knows the number {value!r}")
            case ast.Constant(value=str(value)) if WRITTEN_NUMBER.fullmatch(value):
                yield source.at(node, f"knows the number {value!r}")
            case ast.Name(id=name) if name in COMPUTING:
                yield source.at(node, f"computes with {name}")
            case ast.Import() | ast.ImportFrom():
                named = {getattr(node, "module", None), *(alias.name for alias in node.names)}
                yield from (source.at(node, f"computes with {name}") for name in sorted(COMPUTING & named))


def gates_can_fail(source: Source) -> Iterator[Violation]:
    """No command that checks throws its own verdict away."""
    if source.path in {"Makefile", ".ci/run"} or source.path.endswith(".sh"):
        for number, line in enumerate(source.text.splitlines(), 1):
            if re.search(r"\|\|\s*(true|:)(\s|$|;)", line) or line.startswith("\t-"):
                yield source.at(number, line.strip())


def no_bare_machines(source: Source) -> Iterator[Violation]:
    """Nothing in the product is told where somebody's own copy of it lies."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := re.search(r"(?<![\w.])/(work|home/[a-z]\w*|Users/\w+)/", line):
            yield source.at(number, found.group())


def reasoned_exceptions(source: Source) -> Iterator[Violation]:
    """Every exception from a linter or the type checker has its reason beside it."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if source.is_python and (found := EXCEPTION.search(line)) and not found["reason"]:
            yield source.at(number, found.group().strip())
        if source.path == "pyproject.toml" and re.match(r'\s+"[A-Z]+[0-9]*",\s*$', line):
            yield source.at(number, line.strip())


PYTHON: tuple[Check, ...] = (
    readable,
    module_length,
    function_length,
    module_names,
    empty_names,
    no_floats,
    folder_docstring,
    frozen_values,
    reference_alone,
    witness_alone,
    no_skips,
    adapters_convert,
)
TEXT: tuple[Check, ...] = (locks_without_address, locks_with_hashes, finished, gates_can_fail, reasoned_exceptions, no_bare_machines)


def folder_size(paths: Iterable[str]) -> Iterator[Violation]:
    """A folder can be taken in at a glance: at most 12 modules."""
    modules: dict[str, int] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name.endswith(".py") and name != "__init__.py":
            modules[folder] = modules.get(folder, 0) + 1
    for folder, count in sorted(modules.items()):
        if count > FOLDER_MODULES and folder not in ONE_FILE_EACH:
            yield Violation(path=folder, line=0, found=f"{count} modules, at most {FOLDER_MODULES}")


def folder_described(paths: Iterable[str]) -> Iterator[Violation]:
    """Every folder of the product has an `__init__.py`, where its sentence stands."""
    known = set(paths)
    folders = {path.rpartition("/")[0] for path in known if path.startswith("src/tallystick/") and path.endswith(".py")}
    for folder in sorted(folders):
        if f"{folder}/__init__.py" not in known:
            yield Violation(path=folder, line=0, found="no __init__.py")


def witness_there(paths: Iterable[str]) -> Iterator[Violation]:
    """The second computation is where this check looks for it."""
    for path in sorted(set(WITNESS) - set(paths)):
        yield Violation(path=path, line=0, found="is not there, so nothing checks that it stands alone")


TREE = (folder_size, folder_described, witness_there)
RULES: tuple[str, ...] = tuple(rule.__name__ for rule in (*PYTHON, *TEXT, *TREE))
"""The names of all rules, for `make gates`."""


def violations(root: Path) -> Iterator[tuple[str, Violation]]:
    """Every violation in the repository at `root`, with the name of its rule."""
    paths = tracked(root)
    for path in paths:
        try:
            source = Source(path=path, text=(root / path).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # a picture or a recorded stream
        unreadable = [("readable", violation) for violation in readable(source)] if source.is_python else []
        yield from unreadable
        for check in (*PYTHON[1:], *TEXT) if source.is_python and not unreadable else TEXT:
            yield from ((check.__name__, violation) for violation in check(source))
    written = [path for path in paths if not path.startswith(GENERATED)]
    for rule in TREE:
        yield from ((rule.__name__, violation) for violation in rule(written))


def main() -> int:
    """Print every violation with its rule; 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    options = parser.parse_args()
    count = 0
    for rule, violation in violations(options.root):
        print(f"{violation.path}:{violation.line}: {rule}: {violation.found}")
        count += 1
    print(f"tidy: {len(RULES)} rules, {count} violations")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
