"""The figures of the README, the model card and docs/, from results/:  python benchmarks/table.py results [FILE.md ...]

In each file it replaces what stands between the mark of a section, such as <!-- figures -->, and the next <!-- end -->;
without a file it prints all SECTIONS.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Lines = Iterator[str]
Results = dict[str, Any]

ROWS = (
    ("PTB-XL fold 9, superclasses", "fold9-ptb-xl-super-code"),
    ("PTB-XL fold 9, all SCP statements", "fold9-ptb-xl-all-code"),
    ("CPSC2018 (another country)", "cpsc2018"),
    ("other sources of Challenge 2020", "challenge-2020"),
    ("Challenge 2017, one hand-held lead, its test part", "challenge-2017"),
    ("fold 9, superclasses from lead I alone", "fold9-super-lead-I"),
    ("… from lead II alone", "fold9-super-lead-II"),
    ("… from lead V1 alone", "fold9-super-lead-V1"),
)
TYPED = (
    ("anything that the knowledge base knows it by", "code"),
    ("bare abbreviations (`MI`, `1AVB`)", "code-plain"),
    ("bare English names", "en-plain"),
    ("bare German names", "de-plain"),
)
HEADLINE = ("fold9-ptb-xl-all-code", "cpsc2018", "challenge-2017")  # of ROWS, those that the README shows
ZEROSHOT = (
    "zero-shot, macro AUROC",
    "records",
    "labels (least positives)",
    "positives",
    "label named in training",
    "source seen in training",
    "ecgclip",
    "its vector alone",
    "its criteria alone",
)
SEEN = {True: "other patients of the same set", False: "never", None: "–"}
METHODS = {
    "description": "`ecgclip describe`",
    "neighbour": "the nearest training ECG's statements",
}
SETS = (
    "fold 9, superclasses",
    "fold 9, all statements",
    "CPSC2018",
    "other challenge 2020",
    "challenge 2017",
    "fold 9, lead I",
)
GROUPS = {
    "texts": "Texts and targets: an epoch of both encoders, two with the text encoder locked, signals alone",
    "ECG encoder": "The ECG encoder: three epochs with the text encoder of the shipped weights, locked from the start",
    "knowledge": "What training on the criteria is worth: an epoch of the signal, and the measurements, by the vector",
    "pretraining": "How long the signal is trained, and whether it learns to measure first: the signal alone",
}
BACKBONE_GROUPS = {
    "backbones": "Backbones, the same objective",
    "tasks": "Tasks of pretraining, half of the time, with the conv-transformer",
}
SHOWN_ALONE = (*SETS[:5], "1 lead", "fold 9, eight hidden")
SHOWN_BESIDE = (*SETS[:5], "1 lead")
CHANGES = ("6 leads", "3 leads", "2 leads", "1 lead", "24 dB", "12 dB", "6 dB", "0 dB")
PROBES = tuple(f"probe: {share} of the labels" for share in ("1%", "10%", "100%"))
KINDS = {
    "bare name": "vector, bare name",
    "all names and reports": "vector, all names and reports",
    "vector": "vector, knowledge base",
    "criteria": "criteria alone",
    "knowledge base": "vector and criteria",
    "shipped": "weights that ship",
}


def load(folder: Path, name: str) -> Results:
    file = folder / name / "results.json"
    if not file.exists():
        sys.exit(f"{file}: not measured yet; see benchmarks/evaluate.sh and docs/benchmarks.md")
    return json.loads(file.read_text())


def row(*cells: Any) -> str:
    """A row of a Markdown table."""
    return "|" + "|".join(f" {cell} " if cell != "" else " " for cell in cells) + "|"


def head(*cells: Any) -> Lines:
    yield row(*cells)
    yield row(*["---"] * len(cells))


def interval(value: list[float] | None) -> str:
    return "{:.3f} ({:.3f}–{:.3f})".format(*value) if value else "–"


def signed(value: list[float]) -> str:
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*value)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# --- headline: the README; figures: docs/benchmarks.md and the model card --------------------------------------------


def headline(folder: Path) -> Lines:
    """What zero-shot is worth in the strict sense, beside what training knew, in four rows."""
    yield from head(*ZEROSHOT)
    yield next(never_heard_rows(folder))
    yield from (named_row(folder, words, name) for words, name in ROWS if name in HEADLINE)


def figures(folder: Path) -> Lines:
    yield from zeroshot(folder)
    yield from single_labels(folder)
    yield from by_typed_label(folder)
    yield from calibration(folder)
    yield from robustness(folder)
    yield from simulated(folder)
    yield from searches(folder)
    yield "\nSentences of `ecgclip describe` on fold 9 against the cardiologist's statements:\n"
    yield from describe(folder)
    yield ""
    yield from speed(folder)


def zeroshot(folder: Path) -> Lines:
    """The labels that training never had first, each by the model that never heard of it."""
    yield from head(*ZEROSHOT)
    yield from never_heard_rows(folder)
    yield from (named_row(folder, words, name) for words, name in ROWS)
    unseen_results = load(folder, "unseen")
    abroad = unseen_results["abroad"]
    sets_abroad = [unseen_results["sets"][name] for name in abroad["sets"]]
    if (trained := len(unseen_results["groups"])) < unseen_results["groups_in_all"]:
        yield (
            f"\nThe rows of models that never heard of a label hold the labels of {trained} of "
            f"{unseen_results['groups_in_all']} groups: the others are not trained yet."
        )
    if older := older_weights(folder):
        yield f"\nThe rows of labels that training never had were measured with the recipe of {older}."
        return
    yield (
        f"\nOn the labels of the first row the weights that ship, which were trained on "
        f"{named_for_shipped(sets_abroad)} by name, reach {interval(abroad['macro']['shipped'])}; the bare names alone "
        f"{interval(abroad['macro']['bare name'])}."
    )


def older_weights(folder: Path) -> str:
    """The weights of the time when every label was hidden in turn, if they are not those of the other figures."""
    then = load(folder, "unseen").get("weights_sha256", "")
    if not then or then == load(folder, "fold9-ptb-xl-all-code")["weights_sha256"]:
        return ""
    return f"earlier weights, {then[:12]}…"


def never_heard_rows(folder: Path) -> Lines:
    """Labels by a model that never heard of them: of all foreign hospitals together, then of each set."""
    unseen_results = load(folder, "unseen")
    sets, abroad = unseen_results["sets"], unseen_results["abroad"]
    sets_abroad = [sets[name] for name in abroad["sets"]]
    parts = [("labels that training never had, in hospitals it never saw", sets_abroad, abroad["macro"])]
    parts += [(f"… {name}, each label by a model that never heard of it", [r], r["macro"]) for name, r in sets.items()]
    for words, part, macro in parts:
        yield row(
            words, *set_cells(part), *(interval(macro[kind]) for kind in ("knowledge base", "vector", "criteria"))
        )


def named_row(folder: Path, words: str, name: str) -> str:
    """A label set by the weights that ship."""
    r = load(folder, name)
    alone = [interval(r["alone"][name]["auroc"]) for name in ("vector", "criteria")]
    return row(words, *set_cells([r]), interval(r["macro"]["auroc"]), *alone)


def set_cells(parts: Sequence[Results]) -> tuple[str, ...]:
    """Of one or more label sets: records, labels, positives, labels named in training, and source seen in training."""
    labels, positives, named = count_labels([label for part in parts for label in part["labels"]])
    min_positives = " or ".join(str(n) for n in sorted({part["least_positives"] for part in parts}))
    seen = ", ".join(sorted(SEEN[source] for source in {part.get("source_trained") for part in parts}))
    return str(sum(part["records"] for part in parts)), f"{labels} (≥ {min_positives})", str(positives), named, seen


def count_labels(labels: Sequence[dict]) -> tuple[int, int, str]:
    """Of the labels that count in the macro: how many, their positives, how many training named (in words)."""
    counted = [label for label in labels if label["in_macro"]]
    named = [label["trained"] for label in counted]
    words = "–" if None in named else "all" if all(named) else f"{sum(named)} of them" if any(named) else "none"
    return len(counted), sum(label["positives"] for label in counted), words


def named_for_shipped(parts: Sequence[Results]) -> str:
    """How many of the labels the training of the shipped weights named, in words."""
    labels = [label | {"trained": label["shipped_trained"]} for part in parts for label in part["labels"]]
    return count_labels(labels)[2]


def single_labels(folder: Path) -> Lines:
    rhythm, hand_held = load(folder, "fold9-rhythm-lead-I"), load(folder, "challenge-2017")
    yield (
        f"\nAtrial fibrillation from lead I alone: {one_label(rhythm, 'AFIB')} (fold 9); "
        f"{one_label(hand_held, 'A')} (Challenge 2017)."
    )
    labels = [
        (label["auroc"][0], f"{label['concept']} {interval(label['auroc'])}, {label['positives']} positives ({words})")
        for words, name in ROWS[1:4]
        for label in load(folder, name)["labels"]
        if label.get("in_macro") and label["positives"] >= 5
    ]
    weakest = [words for _, words in sorted(labels)[:5]]
    yield f"The {len(weakest)} weakest labels with at least five positives: {'; '.join(weakest)}."


def one_label(results: Results, name: str) -> str:
    label = next(label for label in results["labels"] if label["label"] == name)
    return f"{interval(label['auroc'])}, {label['positives']} positives"


def by_typed_label(folder: Path) -> Lines:
    yield (
        "\nBy what a label is asked for on fold 9 (a name of either language asks for the same concept; *bare*: "
        "`--no-enrich`):\n"
    )
    yield from head("asked by", "superclasses", "all statements")
    for words, name in TYPED:
        results = [load(folder, f"fold9-ptb-xl-{labels}-{name}") for labels in ("super", "all")]
        yield row(words, *(interval(r["macro"]["auroc"]) for r in results))


def calibration(folder: Path) -> Lines:
    names = ("fold9-ptb-xl-super-code", "fold9-ptb-xl-all-code", "cpsc2018")
    superclasses, statements, cpsc = (load(folder, name)["macro"]["ece"] for name in names)
    yield (
        f"\nExpected calibration error on fold 9: {superclasses:.3f} (superclasses), {statements:.3f} (all "
        f"statements); CPSC2018 {cpsc:.3f}."
    )


def robustness(folder: Path) -> Lines:
    yield "\nHow much the superclass scores of fold 9 change:\n"
    yield from head("change", "macro AUROC", "mean change of probability", "correlation of scores")
    for change in load(folder, "robustness")["changes"]:
        keys = ("mean_probability_change", "correlation")
        numbers = [f"{change[key]:.3f}" if key in change else "–" for key in keys]
        yield row(change["change"], interval(change["auroc"]), *numbers)
    yield (
        "\nWith real noise, and with fewer leads (6: limb leads; 3: I, II and V2; 2: II and V5; 1: I), by "
        "`benchmarks/changed.py`:\n"
    )
    yield from head("change", "macro AUROC", "difference")
    for change in load(folder, "changed")["changes"]:
        difference = signed(change["less none"]) if "less none" in change else "–"
        yield row(change["change"], interval(change["auroc"]), difference)


def simulated(folder: Path) -> Lines:
    r = load(folder, "simulated")
    seeds, macro = len(r["seeds"]), r["macro"]
    yield (
        f"\nSimulated records, {r['records']} of patients that nothing was fitted on, while others "
        "of the simulator's patients were trained on (`benchmarks/simulated.py`): "
        f"{len(r['labels'])} conditions, each asked for among all: AUROC {interval(macro['both'])}, by the vector "
        f"{interval(macro['vector'])}, by the criteria alone {interval(macro['criteria'])}; "
        f"{sum(label['both'][0] >= 0.97 for label in r['labels'])} of them reach 0.97. What must not be contradicted, "
        f"by the share of {seeds} patients in whom it is not:\n"
    )
    yield from head("simulated", "must be scored", "kept")
    for rule in r["rules"]:
        parts = [f"{concept} ≥ {p:g}" for concept, p in rule["at_least"].items()]
        parts += [f"{concept} ≤ {p:g}" for concept, p in rule["at_most"].items()]
        parts += [f"{rule['first']} first of its category"] if rule["first"] else []
        yield row(rule["condition"], "; ".join(parts), f"{rule['kept']:.0%}")
    weakest = sorted(r["labels"], key=lambda label: label["both"][0])[:8]
    words = [f"{label['concept']} {label['both'][0]:.2f} ({label['positives']})" for label in weakest]
    yield f"\nThe weakest (positives): {', '.join(words)}."


def searches(folder: Path) -> Lines:
    r = load(folder, "retrieval")
    text, ecg, labels = r["text_to_ecg"], r["ecg_to_ecg"], r["labels"]
    yield (
        f"\nSearching fold 9, precision at 10 (`docs/benchmarks.md`): for a condition, by a name in either language, "
        f"{interval(text['precision_at_10'])} over {len(labels)} conditions with at least "
        f"{min(label['positives'] for label in labels)} positives (chance {text['chance']:.2f}, best possible "
        f"{text['best']:.2f}); for an ECG, a shared superclass {interval(ecg['precision_at_10'])} "
        f"(chance {ecg['chance']:.2f})."
    )
    yield f"In each language: {languages(load(folder, 'fold9-retrieval'))}."


def languages(results: Results) -> str:
    """What differs by the language asked in: bare names, and reports that ask for their own ECG."""
    text = results["text_to_ecg"]
    names = {"bare_en": "English", "bare_de": "German"}
    bare = [f"bare {words} names {interval(text[key])}" for key, words in names.items()]
    reports = [
        f"{language} {interval(r['recall_at_10'])} of {r['queries']} (chance {r['recall_at_10_chance']:.2f})"
        for language, r in text["by_language"].items()
    ]
    return f"{'; '.join(bare)}; reports that find their own ECG among the first ten: {'; '.join(reports)}"


def speed(folder: Path) -> Lines:
    s = json.loads((folder / "speed.json").read_text())
    yield (
        f"Speed, medians of ratios in one run ({s['threads']} threads), over an 18-layer 1-D ResNet at 12 × 5000 "
        f"({s['resnet18_ms_64']} ms an ECG in batches of 64, {s['resnet18_ms_1']} one by one):\n"
    )
    yield from head("from a signal of 12 × 5000 in memory", "batches of 64", "ms an ECG", "one by one", "ms an ECG")
    parts = {
        "**to the vectors: the whole path**": "path",
        "… preparing": "preparing",
        "… beats, measuring and features": "measuring",
        "… the encoder": "encoder",
        "from a WFDB file to the vectors": "folder",
    }
    for words, name in parts.items():
        pairs = [(s.get(f"{name}_over_resnet18_{n}", "–"), s.get(f"{name}_ms_{n}", "–")) for n in (64, 1)]
        yield row(words, *(value for pair in pairs for value in pair))
    yield (
        f"\nA folder of 1,024 WFDB files, measured by a process for each core (`embed_many(records, workers=N)`, and "
        f"`ecgclip classify` from 256 records on): {s['archive_ms_1024']} ms an ECG, "
        f"{s['archive_over_resnet18_1024']} × the ResNet, the start of the processes included."
    )
    yield (
        f"\n`ecgclip classify` starts and answers in {s['classify_over_import_torch']} × "
        f'`python -c "import torch"` ({s["classify_s"]} over {s["import_torch_s"]} s), with '
        f"{s['classify_memory_over_import_torch']} × its memory; `ecgclip search` in {s['search_over_import_torch']} × "
        f"(for words that the knowledge base does not name {s['words_over_import_torch']} ×); `info`, `kb` and "
        f"`convert` in {s['info_beyond_python_s']}, {s['kb_beyond_python_s']} and {s['convert_beyond_python_s']} s "
        "beyond Python's own start."
    )
    if "before" in s:
        yield (
            f"`ecgclip index build` is {s['index_build_times_as_fast']} × as fast as version 0.1.0 ({s['before']}) on "
            f"the same folder in the same run; beats, measuring and features take {s['measuring_over_before']} × "
            f"({s['measuring_before_ms']} ms there)."
        )


def describe(folder: Path) -> Lines:
    methods = load(folder, "describe")["methods"]
    yield from head("", "precision", "recall", "F1", "mean F1 of the statements")
    for name, words in METHODS.items():
        micro, macro = methods[name]["micro"], methods[name]["macro"]
        values = (micro["precision"], micro["recall"], micro["f1"], macro["f1"])
        yield row(words, *map(interval, values))


# --- retrieval --------------------------------------------------------------------------------------------------------


def retrieval(folder: Path) -> Lines:
    r = load(folder, "retrieval")
    text, ecg, build = r["text_to_ecg"], r["ecg_to_ecg"], r["build"]
    yield f"{build['records']} records were embedded and indexed in {build['seconds']} s.\n"
    yield from head("precision at 10", "", "chance", "best possible")
    chance, best = f"{text['chance']:.3f}", f"{text['best']:.3f}"
    yield row(f"text → ECG, {len(r['labels'])} conditions", interval(text["precision_at_10"]), chance, best)
    yield row(f"ECG → ECG, {ecg['queries']} queries", interval(ecg["precision_at_10"]), f"{ecg['chance']:.3f}", 1)
    yield f"\nIn each language, without the knowledge base: {languages(load(folder, 'fold9-retrieval'))}."
    yield ""
    yield from head("condition", "positives", "precision at 10", "chance")
    for label in sorted(r["labels"], key=lambda label: -label["positives"]):
        yield row(label["concept"], label["positives"], label["precision_at_10"], f"{label['chance']:.3f}")


# --- who is served worst ----------------------------------------------------------------------------------------------


def worst(folder: Path) -> Lines:
    """Of each kind of group the one with the largest gap on fold 9; bold where the gap's interval is above 0."""
    yield from head(
        "fold 9", "by", "worst group", "records", "its macro AUROC (labels)", "below the others (labels compared)"
    )
    for words, name in (("superclasses", "fold9-ptb-xl-super-code"), ("all statements", "fold9-ptb-xl-all-code")):
        for group in load(folder, name)["worst_groups"]:
            bold = "**" if group["gap"][1] > 0 else ""
            yield row(
                words,
                group["by"],
                group["group"],
                group["records"],
                f"{interval(group['auroc'])} ({group['labels']})",
                f"{bold}{signed(group['gap'])}{bold} ({group['compared']})",
            )


def shift(folder: Path) -> Lines:
    """The branch over the measurements with and without age and sex: the mean of the seeds, the lowest and highest."""
    r = load(folder, "shift")
    rows, sets = [*r["rows"]], r["sets"]
    yield from head("", "", *rows)
    for name, of_rows in sets.items():
        first = of_rows[rows[0]]
        kinds = ["macro AUROC", *(key for key in first if key.startswith("largest gap by"))]
        for kind in kinds:
            yield row(name, kind, *("{:.3f} ({:.3f}–{:.3f})".format(*of_rows[r][kind]) for r in rows))


# --- ablations --------------------------------------------------------------------------------------------------------


def ablations(folder: Path) -> Lines:
    r = load(folder, "ablations")
    for group, words in GROUPS.items():
        if group in r["groups"]:
            yield f"\n**{words}**\n"
            yield from ablation_table(r["groups"][group]["rows"])
    yield "\nHow to search by an ECG was chosen on the validation split:\n"
    yield from head("ECG → ECG, precision at 10", "")
    for name, value in r["like_cases"].items():
        yield row(name, f"{value:.3f}")


def ablation_table(entries: Sequence[Results]) -> Lines:
    """A row for each variant, the first of them the base, and one for how much the seeds of the base differ."""
    yield from head("", "seeds", "validation", *SETS)
    base = entries[0]
    for entry in entries:
        share = entry.get("share_of_words")
        differs = share is not None and (entry is base or share != base["share_of_words"])
        words = f" ({share:.0%} of the words)" if differs else ""
        validation = f"{mean(entry['validation']):.3f}" if entry["validation"] else "–"
        yield row(entry["row"] + words, entry["seeds"], validation, *(ablation_cell(entry, name) for name in SETS))
    if base["seeds"] > 1:
        spread = [f"{max(v) - min(v):.3f}" for v in (base["validation"], *(base[name] for name in SETS))]
        yield row("how far the seeds of the base lie apart", base["seeds"], *spread)


def ablation_cell(entry: Results, name: str) -> str:
    """The mean over the seeds and, where known, its difference from the base; bold where its interval leaves out 0."""
    value, change = f"{mean(entry[name]):.3f}", entry.get(f"{name}, less base")
    if not change:
        return value
    if None in change:
        return f"{value} / {change[0]:+.3f}"
    bold = "**" if change[1] * change[2] > 0 else ""
    return f"{value} / {bold}{signed(change)}{bold}"


# --- backbones and tasks of pretraining -------------------------------------------------------------------------------


def backbones(folder: Path) -> Lines:
    if not (folder / "backbones/results.json").exists():
        yield "Not measured yet."
        return
    r = load(folder, "backbones")
    for group, words in BACKBONE_GROUPS.items():
        if group in r["groups"]:
            yield f"\n**{words}**\n\nThe signal alone, each row trained for {r['minutes']} minutes:\n"
            yield from backbone_tables(r["groups"][group]["rows"], r["costs"])


def backbone_tables(entries: Sequence[Results], costs: Results) -> Lines:
    """The tables of a group: the signal alone, the same beside the rest, what disturbs it, and what it costs."""
    yield from head("", "seeds", "validation", *SHOWN_ALONE)
    for entry in entries:
        cells = [ablation_cell(entry, f"signal: {name}") for name in SHOWN_ALONE]
        yield row(entry["row"], entry["seeds"], f"{mean(entry['validation']):.3f}", *cells)
    yield "\nWith the shipped measurements' branch and the criteria (validation: with the measurements):\n"
    yield from head("", "weight of the signal", "validation", *SHOWN_BESIDE)
    for entry in entries:
        cells = [ablation_cell(entry, f"criteria: {name}") for name in SHOWN_BESIDE]
        weight = f"{mean(entry['signal_weight']):.2f}"
        yield row(entry["row"], weight, f"{mean(entry['validation_measured']):.3f}", *cells)
    yield "\nSuperclasses of fold 9 with fewer leads or noise, the signal alone / with measurements and criteria:\n"
    yield from head("", "12 leads", *CHANGES)
    for entry in entries:
        pairs = [[mean(entry[f"{kind}: {name}"]) for kind in ("signal", "criteria")] for name in (SETS[0], *CHANGES)]
        yield row(entry["row"], *(" / ".join(f"{value:.3f}" for value in pair) for pair in pairs))
    yield "\nA linear probe of the signal's vectors by the share of the labels, and what the encoder costs:\n"
    costing = ("parameters", "ms an ECG", "× the first", "MB", "epochs", "of pretraining", "minutes")
    yield from head("", *(name.removeprefix("probe: ").removesuffix(" of the labels") for name in PROBES), *costing)
    for entry in entries:
        probes = [ablation_cell(entry, name) for name in PROBES]
        yield row(entry["row"], *probes, *cost_cells(entry, costs))


def cost_cells(entry: Results, costs: Results) -> list[str]:
    """What an encoder costs, if it was measured, and the training of the row."""
    cost = costs.get(entry["row"])
    cells = ["–"] * 4
    if cost:
        cells = [f"{cost['parameters'] / 1e6:.2f} M", f"{cost['ms']}", f"{cost['ratio']}", str(cost["memory_mb"])]
    seconds = mean(entry["seconds"]) + mean(entry["pretraining_seconds"])
    epochs = [f"{mean(entry[key]):.0f}" for key in ("epochs", "pretraining_epochs")]
    return [*cells, *epochs, f"{seconds / 60:.1f}"]


# --- unseen: conditions that training never had -----------------------------------------------------------------------


def unseen(folder: Path) -> Lines:
    r = load(folder, "unseen")
    yield from unseen_groups(r["groups"])
    for name, scored in r["sets"].items():
        yield from unseen_set(name, scored)
    yield from prompt_shares(r["shares"])
    names = list(r["sets"])
    which = older_weights(folder) or "the weights that ship"
    yield f"\nThe same ECG vectors of {which}, asked in different words (macro AUROC):\n"
    yield from head("asked by", *names)
    for prompt in r["prompts"]:
        yield row(prompt["prompt"], *(interval(prompt[name]) for name in names))
    yield ""
    yield from untrained(folder)


def unseen_groups(groups: Sequence[Results]) -> Lines:
    yield from head("group", "conditions", "positives in the training folds", "reports that name none of it", "hidden")
    for i, group in enumerate(groups, 1):
        hidden, reports = ", ".join(group["unseen"]), f"{group['reports_left']} of {group['reports']}"
        yield row(i, len(group["unseen"]), group["positives"], reports, hidden)


def unseen_set(name: str, scored: Results) -> Lines:
    yield (
        f"\n**{name}**, {scored['records']} records; AUROC by the model that never heard of the label, and by the "
        "weights that ship\n"
    )
    yield from head("label", "positives", "group", *KINDS.values())
    for label in scored["labels"]:
        if label["in_macro"]:
            yield row(label["concept"], label["positives"], label["group"], *(interval(label[kind]) for kind in KINDS))
    labels, positives, _ = count_labels(scored["labels"])
    yield row(f"mean of {labels}", positives, "", *(interval(scored["macro"][kind]) for kind in KINDS))
    gains = [f"{kind} {signed(value)}" for kind, value in scored["less bare name"].items()]
    yield f"\nGain over the bare name, paired: {'; '.join(gains)}."


def prompt_shares(shares: Results) -> Lines:
    elsewhere, stand = interval(shares["chosen_elsewhere"]), interval(shares["best_denials_as_they_stand"])
    yield (
        f"\nChosen on the validation split, {shares['conditions']} conditions each asked of the model that never heard "
        "of it: the shares of the passages in a prompt for what training never had. Chosen for each group by the other "
        f"three they reach {elsewhere}; with criteria that deny not subtracted, the best has {stand}.\n"
    )
    yield from head("shares", "macro AUROC")
    for tried in shares["tried"]:
        words = ", ".join(f"{kind} {share:g}" for kind, share in tried["shares"].items())
        marks = [f", **{mark}**" for mark in ("best", "ships") if shares[mark] == tried["shares"]]
        yield row(words + "".join(marks), interval(tried["auroc"]))


def untrained(folder: Path) -> Lines:
    r = load(folder, "untrained")
    claimed = "".join(f"; {claim['condition']} {interval(claim['share'])}" for claim in r["claimed"][:3])
    yield (
        f"Of fold {r['fold']}'s {r['records']} normal ECGs, {interval(r['any'])} have any of the {r['conditions']} "
        "conditions that training never had, and that a normal ECG excludes, at a probability of at least "
        f"{r['probability']}{claimed}."
    )


# --- million: a large index -------------------------------------------------------------------------------------------


def million(folder: Path) -> Lines:
    r = load(folder, "million")
    yield from head("", "")
    yield row("kind, vectors", f"{r['kind']}, {r['windows']:,}")
    yield row("a query, with its facts: median, 95th percentile", f"{r['query_ms']} ms, {r['query_ms_95']} ms")
    yield row(
        "a query by an ECG's vector: median, the first (it loads the weights and finds where each vector lies)",
        f"{r['like_ms']} ms, {r['like_first_s']} s",
    )
    words = f"recall@10 against comparing with all (as `index info` says: {r['recall_at_10_said']})"
    yield row(words, r["recall_at_10"])
    yield row("a vector on disk, its facts", f"{r['bytes_a_vector']} B, {r['facts_bytes'] / r['windows']:.0f} B")
    yield row("opened in", f"{r['open_s']} s")
    memory = ("memory_before_mb", "memory_mb", "memory_after_queries_mb", "memory_after_like_mb")
    yield row(
        f"memory before, opened, after {r['queries']} queries, after those by an ECG",
        f"{', '.join(str(r[key]) for key in memory)} MB",
    )
    yield row("to train, compress and write", f"{r['compress_s']} s")


def formats(folder: Path) -> Lines:
    results = load(folder, "formats")
    damage = results["damage"]
    yield from head(
        "format", "slowest file, ms", "× the same ECG in WFDB", "damaged files", "read", "refused in one line"
    )
    for name, outcomes in damage["outcomes"].items():
        speed = results["speed"].get(name, {"ms": "–", "ratio": "–"})
        counts = [outcomes.get(what, 0) for what in ("read", "refused")]
        yield row(name, speed["ms"], speed["ratio"], sum(outcomes.values()), *counts)
    yield ""
    yield (
        f"Of {damage['files']:,} damaged files {len(damage['failures'])} failed in another way; the slowest took "
        f"{damage['slowest_s']:.2f} s, and memory grew by {damage['memory_grown_mb']} MB."
    )


SECTIONS = (headline, figures, worst, shift, unseen, retrieval, million, describe, speed, ablations, backbones, formats)


def main(folder: Path, files: list[Path]) -> None:
    if not files:
        print("\n\n".join("\n".join([f"<!-- {s.__name__} -->", *s(folder), "<!-- end -->"]) for s in SECTIONS))
    for file in files:
        text, replaced = file.read_text(), 0
        for section in SECTIONS:
            mark = rf"(?s)(<!-- {section.__name__} -->\n).*?(<!-- end -->)"
            if re.search(mark, text):
                new = "\n".join(section(folder)) + "\n"
                text, replaced = re.sub(mark, lambda m, new=new: m[1] + new + m[2], text), replaced + 1
        if not replaced:
            sys.exit(f"{file}: has no <!-- figures --> … <!-- end -->")
        file.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(f) for f in sys.argv[2:]])
