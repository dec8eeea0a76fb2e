"""Who may import whom, what stays lazy, and that nothing is ever unpickled blindly: read from the source itself."""

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

import softspoken
import softspoken_lab

SOURCE = Path(softspoken.__file__).parent
LABORATORY = Path(softspoken_lab.__file__).parent
REPOSITORY = SOURCE.parent.parent

LEAVES = {
    "defaults",
    "errors",
    "files",
    "frozen",
    "audio",
    "languages",
    "runs",
    "waveforms",
    "packages",
    "cpu",
    "openvino_core",
}
"""Importing no room; every room may import them."""
ALLOWED: dict[str, set[str]] = {
    "defaults": set(),
    "errors": set(),
    "files": set(),
    "frozen": set(),
    "languages": {"errors"},
    "packages": {"errors", "files"},
    "runs": set(),
    "cpu": set(),
    "openvino_core": set(),
    "audio": {"errors", "files"},
    "waveforms": {"errors"},
    "assets": set(),
    "backbones": LEAVES,
    "speakers": LEAVES,
    "data": LEAVES | {"speakers"},
    "prompts": LEAVES | {"backbones"},
    "engines": LEAVES | {"prompts", "backbones"},
    "decoding": LEAVES | {"prompts", "backbones", "speakers", "engines"},
    "live": LEAVES | {"prompts", "backbones", "speakers", "decoding"},
    "scoring": {"errors"},
    # A run is one entry from its recipe to its export; its development figures are words that it decodes.
    "training": LEAVES | {"backbones", "engines", "speakers", "data", "prompts", "decoding", "scoring"},
    # What is compared: stored prompts, and the cascade, a speaker embedder in front of plain decoding.
    "evaluation": LEAVES | {"backbones", "engines", "speakers", "data", "prompts", "decoding", "scoring"},
    # What transcribes is handed in.
    "bulk": LEAVES,
    "demo": LEAVES,
}
ALLOWED["serve"] = LEAVES | {"decoding", "live", "engines", "speakers", "prompts", "backbones"}
EVERYTHING = set(ALLOWED)

ALLOWED_IN_THE_LABORATORY: dict[str, set[str]] = {
    "prompts": set(),
    # The first paper's runs that the product does not need.
    "training": set(),
    # The second paper's recogniser as a whole, and recordings of noise.
    "noise": {"prompts"},
    "corpora": {"noise", "testsets"},
    "measures": {"noise"},
    "testsets": {"noise"},
    "bench": {"testsets"},
    "analysis": {"prompts", "noise", "testsets"},
    "report": {"noise", "testsets", "analysis"},
    "studies": {"noise", "testsets", "corpora", "measures", "analysis", "report", "training"},
    "cli": {
        "prompts",
        "noise",
        "corpora",
        "measures",
        "testsets",
        "bench",
        "analysis",
        "report",
        "studies",
        "training",
    },
}
"""Rooms of the laboratory and what they may import of each other; of softspoken every room but `cli` and `serve`, whose
options only the laboratory's own `cli` shares."""


@dataclass(frozen=True)
class Import:
    """One import statement: `module` is absolute, `names` are what is taken from it (none for `import module`)."""

    path: Path
    line: int
    module: str
    names: tuple[str, ...]
    lazy: bool
    """Inside a function, or for the type checker only."""

    @property
    def rooms(self) -> set[str]:
        """Rooms of softspoken that it reaches; '' is the top, where the public names are."""
        return self.rooms_of(SOURCE)

    def rooms_of(self, package: Path) -> set[str]:
        """Rooms of a package that it reaches."""
        parts = self.module.split(".")
        if parts[0] != package.name:
            return set()
        if len(parts) > 1:
            return {parts[1]}
        found = {name if (package / name).is_dir() or (package / f"{name}.py").is_file() else "" for name in self.names}
        return set() if self.names == ("__version__",) else found or {""}

    def __str__(self) -> str:
        return f"{self.path.relative_to(REPOSITORY)}:{self.line}: {self.module} {' '.join(self.names)}".rstrip()


def files(package: Path = SOURCE) -> list[Path]:
    return sorted(package.rglob("*.py"))


def room_of(path: Path) -> str:
    """Its room in softspoken or in the laboratory."""
    _, *parts = path.relative_to(SOURCE.parent).parts
    return path.stem if len(parts) == 1 else parts[0]


def imports_of(path: Path) -> Iterator[Import]:
    package = list(path.relative_to(SOURCE.parent).parts[:-1])

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(path, child.lineno, alias.name, (), lazy)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *(child.module.split(".") if child.module else [])])
                yield Import(path, child.lineno, module, tuple(alias.name for alias in child.names), lazy)
            else:
                yield from walk(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    def typing_only(node: ast.AST) -> bool:
        return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")

    tree = ast.parse(path.read_text())
    for statement in tree.body:
        yield from walk(ast.Module([statement], []), lazy=typing_only(statement))


@cache
def every_import(package: Path = SOURCE) -> list[Import]:
    return [found for path in files(package) for found in imports_of(path)]


def everything() -> list[Import]:
    """Every import of softspoken and of its laboratory."""
    return [*every_import(), *every_import(LABORATORY)]


def test_the_reader_of_imports_reads_them() -> None:
    """The rules below would hold for a reader that finds nothing."""
    found = {(str(entry.path.relative_to(SOURCE)), *sorted(entry.rooms)) for entry in every_import() if entry.rooms}
    assert ("prompts/injection.py", "backbones") in found
    assert ("cli/prompt.py", "prompts") in found
    assert ("errors.py", "errors") not in found
    lazy = {entry.module: entry.lazy for entry in imports_of(SOURCE / "cli" / "prompt.py")}
    assert lazy["softspoken.prompts.checkpoint"] is True
    assert lazy["typer"] is False


def test_every_room_has_its_rule() -> None:
    rooms = {room_of(path) for path in files()}
    assert rooms - EVERYTHING - {"cli", "__init__", "__main__"} == set()


def test_rooms_import_only_what_they_may() -> None:
    """For the type checker or inside a function as well: a room's knowledge of another is what counts."""
    broken = [
        str(entry)
        for entry in every_import()
        for target in entry.rooms
        if (room := room_of(entry.path)) in ALLOWED and target != room and target not in ALLOWED[room]
    ]
    assert broken == []


def test_rooms_stand_above_each_other() -> None:
    """What the rules allow has no circle: `TopologicalSorter` raises CycleError for one."""
    assert {*TopologicalSorter(ALLOWED).static_order()} == EVERYTHING


def test_nobody_imports_the_command_line_or_the_server() -> None:
    broken = [
        str(entry)
        for entry in every_import()
        if entry.rooms & {"cli", "serve"} - {room_of(entry.path)} and room_of(entry.path) not in ("cli", "__main__")
    ]
    assert broken == []


def test_softspoken_never_imports_its_laboratory() -> None:
    assert [str(entry) for entry in every_import() if entry.module.split(".")[0] == LABORATORY.name] == []


def test_rooms_of_the_laboratory_import_only_what_they_may() -> None:
    assert {room_of(path) for path in files(LABORATORY)} - {"__init__"} == set(ALLOWED_IN_THE_LABORATORY)
    broken = [
        str(entry)
        for entry in every_import(LABORATORY)
        for room in [room_of(entry.path)]
        if entry.rooms_of(LABORATORY) - {room} - ALLOWED_IN_THE_LABORATORY[room]
        or (room != "cli" and entry.rooms & {"cli", "serve"})
    ]
    assert broken == []


@pytest.mark.parametrize(("package", "noun"), [(SOURCE, "prompt"), (LABORATORY, "analyse")])
def test_the_command_line_imports_rooms_inside_its_functions(package: Path, noun: str) -> None:
    """In every module that `--help` reaches: the entry point, its nouns, and what these import at once."""
    command_line = {
        f"{owner.name}.cli.{path.stem}": list(imports_of(path))
        for owner in (SOURCE, LABORATORY)
        for path in (owner / "cli").glob("*.py")
    }
    main = f"{package.name}.cli.main"
    reached: set[str] = set()
    # The entry point imports its nouns inside a function, but calls it at once.
    waiting = [main, *modules_of(command_line[main])]
    while waiting:
        module = waiting.pop()
        if module in command_line and module not in reached:
            reached.add(module)
            waiting += modules_of([entry for entry in command_line[module] if not entry.lazy])
    assert f"{package.name}.cli.{noun}" in reached
    broken = [
        str(entry)
        for module in sorted(reached)
        for entry in command_line[module]
        if not entry.lazy and (entry.rooms | entry.rooms_of(LABORATORY)) - {"cli", "defaults", "errors"}
    ]
    assert broken == []


def modules_of(entries: list[Import]) -> list[str]:
    """Every module that these may load: `from package import name` may load `package.name`."""
    return [name for entry in entries for name in (entry.module, *(f"{entry.module}.{name}" for name in entry.names))]


def test_no_names_are_taken_by_star() -> None:
    broken = [str(entry) for entry in everything() if "*" in entry.names]
    assert broken == []


# Nothing is unpickled


def calls_of(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def keyword(call: ast.Call, name: str) -> object:
    """The constant given for a keyword; None if it is absent or not a constant."""
    found = next((entry.value for entry in call.keywords if entry.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else None


def unpickles(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name == "torch.load":
        return keyword(call, "weights_only") is not True
    if name in ("np.load", "numpy.load"):
        return any(entry.arg in ("allow_pickle", None) for entry in call.keywords)
    return False


def uses(path: Path, module: str) -> set[str]:
    """Attributes of `module` that a file names."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == module}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=safe)", True),
        ("torch.load(path, weights_only=True)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path)", False),
    ],
)
def test_the_reader_of_calls_knows_what_unpickles(source: str, expected: bool) -> None:
    (call,) = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    assert unpickles(call) is expected


def test_nothing_is_unpickled() -> None:
    forbidden = {"_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    imported = [str(entry) for entry in everything() if entry.module.split(".")[0] in forbidden]
    # The name of the error that a damaged file raises is all that anybody may want of `pickle`.
    imported += [
        str(entry)
        for entry in everything()
        if entry.module == "pickle" and (set(entry.names) or uses(entry.path, "pickle")) != {"UnpicklingError"}
    ]
    renamed = [str(entry) for entry in everything() if entry.module == "torch" and "load" in entry.names]
    called = [
        f"{path.relative_to(REPOSITORY)}:{call.lineno}"
        for path in [*files(), *files(LABORATORY)]
        for call in calls_of(path)
        if unpickles(call)
    ]
    assert imported + renamed + called == []


# What is lazy


def python(*arguments: str) -> str:
    """Run a fresh interpreter; its standard output."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = ("torch", "transformers", "numpy", "lhotse", "accelerate", "huggingface_hub")
REPORT = "import sys; print(*[name for name in {heavy!r} if name in sys.modules])"


def test_importing_softspoken_imports_nothing_heavy() -> None:
    assert python("-c", "import softspoken; " + REPORT.format(heavy=HEAVY)).split() == []


@pytest.mark.parametrize("package", ["softspoken", "softspoken_lab"])
def test_help_imports_nothing_heavy(package: str) -> None:
    """Of the command and of every noun and verb that stands below it."""
    code = (
        f"import sys, typer; from {package}.cli.main import app; from typer.testing import CliRunner\n"
        "def ask(command, words):\n"
        "    assert CliRunner().invoke(app, [*words, '--help']).exit_code == 0, words\n"
        "    for name, below in getattr(command, 'commands', {}).items(): ask(below, [*words, name])\n"
        "ask(typer.main.get_command(app), [])\n"
    )
    assert python("-c", code + REPORT.format(heavy=HEAVY)).split() == []


@pytest.mark.parametrize(("package", "noun"), [("softspoken", "transcribe"), ("softspoken_lab", "analyse")])
def test_help_answers_in_half_a_second(package: str, noun: str) -> None:
    """Best of three, in processor time: what it takes where nothing else runs, waiting for other programs left out."""
    seconds = []
    for _ in range(3):
        before = os.times()
        shown = python("-m", f"{package}.cli.main", "--help")
        after = os.times()
        assert noun in shown
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) < 0.5, seconds


# Public names


def packages() -> list[str]:
    return ["softspoken", *(f"softspoken.{path.parent.name}" for path in SOURCE.glob("*/__init__.py"))]


@pytest.mark.parametrize("name", packages())
def test_public_names_exist_once_and_sorted(name: str) -> None:
    module = importlib.import_module(name)
    public = getattr(module, "__all__", [])
    missing = [entry for entry in public if not hasattr(module, entry)]
    assert missing == []
    assert len(set(public)) == len(public)
    assert [entry for entry in public if entry.startswith("_") and entry != "__version__"] == []


def test_the_top_has_exactly_its_public_names() -> None:
    lazily = set(softspoken._HOMES)
    assert lazily | {"__version__"} == set(softspoken.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = softspoken.nothing


def test_what_scripts_take_from_the_packages_is_there() -> None:
    """Tools and benchmarks run seldom: a name that moved would be noticed months later."""
    scripts = [*sorted((REPOSITORY / "tools").glob("*.py")), *sorted((REPOSITORY / "benchmarks").glob("*.py"))]
    missing = []
    for script in scripts:
        for node in ast.walk(ast.parse(script.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {
                "softspoken",
                "softspoken_lab",
            }:
                module = importlib.import_module(str(node.module))
                missing += [
                    f"{script.name}:{node.lineno}: {node.module} has no {alias.name}"
                    for alias in node.names
                    if not hasattr(module, alias.name) and find_spec(f"{node.module}.{alias.name}") is None
                ]
    assert missing == []
