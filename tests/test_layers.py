"""Imports run one way: from the command line down to the ECG. No circles, and no torch before it is needed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "ecgclip"
# From top to bottom. What stands in one row may import each other and everything below, never anything above.
LAYERS = (
    "cli __main__",
    "serve",
    "train",
    "evaluate",
    "report",
    "plot",
    "index explain",
    "data",
    "model",
    "networks knowledge",
    "measure",
    "prepare repair simulate io peaks spikes",
    "blas ecg files lazy processes",
)
PACKAGES = sorted(p.parent.name for p in (ROOT / PACKAGE).glob("*/__init__.py"))


def read_imports(root: Path) -> dict[str, set[str]]:
    """Each module of the package under `root` with the modules that it imports.

    Imports inside functions and under TYPE_CHECKING count. `from package import name` is an import of package.name
    where that is a module; else it is one of the package, whose `__init__` may import in turn.
    """
    files = {_module_name(file, root): file for file in sorted((root / PACKAGE).rglob("*.py"))}
    return {module: set(_imports(module, file, set(files))) - {module} for module, file in files.items()}


def _module_name(file: Path, root: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imports(module: str, file: Path, modules: set[str]):
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            names = {f"{origin}.{alias.name}" for alias in node.names}
            yield from names & modules
            if origin in modules and not names <= modules:
                yield origin


def upward_imports(imports: dict[str, set[str]]) -> list[str]:
    """Each import of a module by one that stands below it, and each module that stands nowhere."""
    rank = {name: i for i, row in enumerate(LAYERS) for name in row.split()}
    problems = []
    for module, targets in imports.items():
        if module == PACKAGE:  # the face of the package exports names of all layers
            continue
        if _layer(module) not in rank:
            problems.append(f"{module} stands in no row of LAYERS")
            continue
        for target in sorted(targets - {PACKAGE}):
            if _layer(target) in rank and rank[_layer(target)] < rank[_layer(module)]:
                problems.append(f"{module} imports {target}")
    return problems


def _layer(module: str) -> str:
    return module.split(".")[1]


def circles(imports: dict[str, set[str]]) -> list[str]:
    """Each circle of imports, once, as "a > b > a"."""
    found, finished = [], set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" > ".join([*path[path.index(module) :], module]))
        elif module not in finished:
            for target in sorted(imports[module]):
                visit(target, [*path, module])
            finished.add(module)

    for module in imports:
        visit(module, [])
    return found


def without_face(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without `ecgclip/__init__.py`: it loads its names on first use, and others ask it for `__version__` alone."""
    return {module: targets - {PACKAGE} for module, targets in imports.items() if module != PACKAGE}


# --- the package ------------------------------------------------------------------------------------------------------


def test_no_module_imports_from_a_layer_above():
    assert upward_imports(read_imports(ROOT)) == []


def test_no_imports_close_a_circle():
    assert circles(without_face(read_imports(ROOT))) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_no_torch(package):
    program = f"import sys, {PACKAGE}.{package}; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- the checks themselves, on small trees ----------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """tree(path=text, ...) → the imports of a package of these files; `__` in a name is a folder."""

    def make(**texts):
        for name, text in {"__init__": "", **texts}.items():
            path = tmp_path / PACKAGE / (name if name == "__init__" else name.replace("__", "/", 1))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".py").write_text(text)
            if path.parent.name != PACKAGE:
                (path.parent / "__init__.py").touch()
        return read_imports(tmp_path)

    return make


@pytest.mark.parametrize(
    "text",
    [
        "import ecgclip.train.loop",
        "from ecgclip.train.loop import run",
        "from ecgclip.train import loop",
        "from ..train import loop",
        "from ..train.loop import run",
        "def f():\n    from ecgclip.train.loop import run",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ecgclip.train.loop import run",
    ],
)
def test_an_upward_import_is_found_however_it_is_written(tree, text):
    imports = tree(train__loop="", model__clip=text)
    assert upward_imports(imports) == ["ecgclip.model.clip imports ecgclip.train.loop"]


def test_downward_imports_and_those_in_a_row_are_allowed(tree):
    imports = tree(
        train__loop="from ecgclip.model.clip import a", model__clip="import os\nfrom ecgclip import ecg", ecg=""
    )
    assert imports["ecgclip.train.loop"] == {"ecgclip.model.clip"}
    assert imports["ecgclip.model.clip"] == {"ecgclip.ecg"}
    assert upward_imports(imports) == []
    assert circles(imports) == []


def test_a_module_that_stands_in_no_layer_is_found(tree):
    assert upward_imports(tree(utils="")) == ["ecgclip.utils stands in no row of LAYERS"]


def test_a_circle_is_found_once_and_also_within_a_package(tree):
    imports = tree(
        data__one="from ecgclip.data.two import b",
        data__two="def f():\n    from ecgclip.data.three import c",
        data__three="from ecgclip.data import one",
        data__four="from ecgclip.data.one import a",
    )
    assert upward_imports(imports) == []
    assert len(circles(imports)) == 1
    assert set(circles(imports)[0].split(" > ")) == {"ecgclip.data.one", "ecgclip.data.two", "ecgclip.data.three"}


def test_a_circle_through_the_init_of_a_package_is_found(tree):
    imports = tree(data__one="from ecgclip.data import name")
    init = {"ecgclip.data": {"ecgclip.data.one"}}
    assert circles(imports | init) == ["ecgclip.data > ecgclip.data.one > ecgclip.data"]
