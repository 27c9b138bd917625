"""What the tests would not notice:  python benchmarks/mutants.py metrics data --sample 60 --seed 0 --output results/mutants

mutmut makes the mutants of a module, one small change each; a sample of them, drawn by seed, meets the tests that are listed for
the module below. A mutant that fails a test (or hangs) is killed. Every mutant runs in a process of its own, one after the other;
the heavy libraries are imported once, before. The file on disk stays as it is, so commands that tests start see no mutant.
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
from importlib.machinery import SourceFileLoader
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = {  # module → test files that answer for it, the quickest to find a fault first
    "evaluate.metrics": ["evaluate/test_metrics"],
    "data.cases": ["data/test_sets", "data/test_folder"],
    "data.ptb_xl": ["data/test_ptb_xl"],
    "data.mitdb": ["data/test_mitdb"],
    "data.splits": ["data/test_splits"],
    "measure.guideline": ["measure/test_guideline"],
    "measure.rhythm": ["measure/test_rhythm", "measure/test_measurement"],
    "measure.waves": ["measure/test_waves", "measure/test_measurement"],
    "train.calibrate": ["train/test_calibrate"],
    "model": ["model/test_clip", "explain/test_sentences"],
}
LIBRARIES = ("numpy", "scipy.signal", "sklearn.linear_model", "torch", "faiss", "sentencepiece", "wfdb", "yaml", "pytest", "hypothesis")  # fmt: skip
PATIENCE = 5  # times what the tests take without a mutant, and 10 s: longer is a hang


def mutants(module: str, sample: int | None, seed: int) -> tuple[int, list[tuple[int, list[str], str]]]:
    """How many mutants a module of ecgclip has, and of a sample: line of the change, lines taken away and put in, whole source."""
    from mutmut.mutation.file_mutation import create_mutations

    path = ROOT / "ecgclip" / f"{module}.py"
    code = path.read_text(encoding="utf-8")
    tree, every, *_ = create_mutations(str(path), code)
    drawn = []
    for i in sorted(random.Random(seed).sample(range(len(every)), min(sample or len(every), len(every)))):
        source = tree.deep_replace(every[i].original_node, every[i].mutated_node).code
        diff = list(difflib.unified_diff(code.splitlines(), source.splitlines(), n=0, lineterm=""))[2:]
        line = int(diff[0].split()[1].lstrip("-").split(",")[0])
        drawn.append((line, [" ".join(d.split()) for d in diff if d[0] in "+-"], source))
    return len(every), drawn


def survives(module: str, source: str | None, limit_s: float) -> bool:
    """Whether the module's tests pass with `source` in its place (None: as it is)."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(_tests(module, source))
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


def _tests(module: str, source: str | None) -> int:
    os.setpgid(0, 0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    if source is not None:
        stored, name = SourceFileLoader.get_code, f"ecgclip.{module}"
        SourceFileLoader.get_code = lambda self, full: (
            compile(source, self.path, "exec") if full == name else stored(self, full)
        )
    import pytest

    files = [str(ROOT / "tests" / f"test_{name}.py") for name in TESTS[module]]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "-m", "not data"]
    return int(pytest.main([*options, "--hypothesis-seed=0", *files]))


def run(module: str, sample: int | None, seed: int) -> dict:
    every, drawn = mutants(module, sample, seed)
    start = time.monotonic()
    if not survives(module, None, 600):
        sys.exit(f"{module}: its tests fail without any mutant")
    limit_s = PATIENCE * (time.monotonic() - start) + 10
    survived = []
    for count, (line, change, source) in enumerate(drawn, 1):
        if survives(module, source, limit_s):
            survived.append({"line": line, "change": change})
            print(f"{module}:{line}", *change, sep="\n    ", flush=True)
        if count % 20 == 0:
            print(f"{module}: {count} of {len(drawn)}, {len(survived)} survived", file=sys.stderr, flush=True)
    killed = len(drawn) - len(survived)
    print(
        f"{module}: {killed} of {len(drawn)} killed ({killed / len(drawn):.0%}; {every} mutants in all)",
        flush=True,
    )
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
    parser.add_argument("--sample", type=int, help="mutants of each module; all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for results.json; other modules and seeds in it are kept")
    args = parser.parse_args()
    os.chdir(ROOT)  # mutmut reads its settings from pyproject.toml there
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    for library in LIBRARIES:
        importlib.import_module(library)
    for module in args.modules:
        found = run(module, args.sample, args.seed)
        if args.output:
            path = args.output / "results.json"
            results = json.loads(path.read_text()) if path.exists() else {}
            results.setdefault(module, {})[f"seed {args.seed}"] = found
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
