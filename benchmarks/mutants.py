"""What the tests would not notice.

    python benchmarks/mutants.py evaluate.metrics data.splits --sample 60 --seed 0 --output results/mutants

mutmut makes the mutants of a module (or of all modules of a package), one small change each. A sample of them, drawn by
seed, meets the tests that are listed for it below. A mutant that fails a test, or hangs, is killed. Every mutant runs
in a process of its own, one after the other; the heavy libraries are imported once, before. The file on disk stays as
it is, so commands that tests start see no mutant.
"""

import argparse
import difflib
import importlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Module or package → the test files or folders that answer for it
TESTS = {
    "data": ["test_exports", "data"],
    "data.splits": ["data/test_splits"],
    "evaluate.metrics": ["evaluate/test_metrics", "evaluate/test_bootstrap"],
    "measure": ["test_exports", "measure"],
    "model": ["test_exports", "model", "explain"],
    "train.calibrate": ["train/test_calibrate", "train/test_cross_fit", "train/test_threshold"],
    "train.floor": ["train/test_floor", "train/test_calibrate"],
}
LIBRARIES = (
    "numpy", "scipy.signal", "sklearn.linear_model", "torch", "faiss", "sentencepiece", "wfdb", "yaml", "pytest",
    "hypothesis",
)  # fmt: skip
PATIENCE = 5  # times what the tests take without a mutant, and 10 s: longer is a hang


@dataclass(frozen=True)
class Mutant:
    """A changed module: the line of the change, the lines taken away and put in, the whole source."""

    module: str
    line: int
    change: list[str]
    source: str


def mutants(name: str, sample: int | None, seed: int) -> tuple[int, list[Mutant]]:
    """How many mutants a module or package of ecgclip has, and a sample of them."""
    from mutmut.mutation.file_mutation import create_mutations

    path = ROOT / "ecgclip" / name.replace(".", "/")
    every = []
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
        code = file.read_text(encoding="utf-8")
        tree, mutations, *_ = create_mutations(str(file), code)
        every += [(file, code, tree, mutation) for mutation in mutations]
    drawn = []
    for i in sorted(random.Random(seed).sample(range(len(every)), min(sample or len(every), len(every)))):
        file, code, tree, mutation = every[i]
        source = tree.deep_replace(mutation.original_node, mutation.mutated_node).code
        diff = list(difflib.unified_diff(code.splitlines(), source.splitlines(), n=0, lineterm=""))[2:]
        line = int(diff[0].split()[1].lstrip("-").split(",")[0])
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        drawn.append(Mutant(module, line, [" ".join(d.split()) for d in diff if d[0] in "+-"], source))
    return len(every), drawn


def survives(name: str, mutant: Mutant | None, limit_s: float) -> bool:
    """Whether the tests of a module or package pass with the mutant in place (None: as it is)."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(_tests(name, mutant))
        finally:
            os._exit(70)
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _tests(name: str, mutant: Mutant | None) -> int:
    os.setpgid(0, 0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    if mutant is not None:
        stored = SourceFileLoader.get_code
        SourceFileLoader.get_code = lambda self, module: (
            compile(mutant.source, self.path, "exec") if module == mutant.module else stored(self, module)
        )
    import pytest

    paths = [ROOT / "tests" / path for path in TESTS[name]]
    files = [str(path if path.is_dir() else path.with_suffix(".py")) for path in paths]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "-m", "not data"]
    return int(pytest.main([*options, "--hypothesis-seed=0", *files]))


def run(name: str, sample: int | None, seed: int) -> dict:
    """Test a sample of the mutants of a module or package; the entry of results.json."""
    every, drawn = mutants(name, sample, seed)
    start = time.monotonic()
    if not survives(name, None, 600):
        sys.exit(f"{name}: its tests fail without any mutant")
    limit_s = PATIENCE * (time.monotonic() - start) + 10
    survived = []
    for count, mutant in enumerate(drawn, 1):
        if survives(name, mutant, limit_s):
            survived.append({"module": mutant.module, "line": mutant.line, "change": mutant.change})
            print(f"{mutant.module}:{mutant.line}", *mutant.change, sep="\n    ", flush=True)
        if count % 20 == 0:
            print(f"{name}: {count} of {len(drawn)}, {len(survived)} survived", file=sys.stderr, flush=True)
    killed = len(drawn) - len(survived)
    print(f"{name}: {killed} of {len(drawn)} killed ({killed / len(drawn):.0%}; {every} mutants in all)", flush=True)
    return {
        "mutants": every,
        "seed": seed,
        "sampled": len(drawn),
        "killed": killed,
        "share": round(killed / len(drawn), 3),
        "survived": survived,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(TESTS), help=", ".join(TESTS))
    parser.add_argument("--sample", type=int, help="mutants of each; all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for results.json; other modules and seeds in it are kept")
    args = parser.parse_args()
    os.chdir(ROOT)  # mutmut reads its settings from pyproject.toml there
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    for library in LIBRARIES:
        importlib.import_module(library)
    for name in args.modules:
        entry = run(name, args.sample, args.seed)
        if args.output:
            path = args.output / "results.json"
            results = json.loads(path.read_text()) if path.exists() else {}
            results.setdefault(name, {})[f"seed {args.seed}"] = entry
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
