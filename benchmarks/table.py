"""The figures of the README, the model card and docs/, from results/:  python benchmarks/table.py results [FILE.md ...]

In the files named it replaces what stands between the mark of a section, such as <!-- figures -->, and the next <!-- end -->
(SECTIONS); without a file it prints them all.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

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
SEEN = {True: "other patients of the same set", False: "never", None: "–"}


def interval(value: list[float] | None) -> str:
    return "{:.3f} ({:.3f}–{:.3f})".format(*value) if value else "–"


def signed(value: list[float]) -> str:
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*value)


def load(folder: Path, name: str) -> dict:
    file = folder / name / "results.json"
    if not file.exists():
        sys.exit(f"{file}: not measured yet; see benchmarks/evaluate.sh and docs/benchmarks.md")
    return json.loads(file.read_text())


def label(results: dict, name: str) -> str:
    row = next(r for r in results["labels"] if r["label"] == name)
    return f"{interval(row['auroc'])}, {row['positives']} positives"


def counted(rows: Sequence[dict]) -> tuple[int, int, str]:
    """Of a table's labels those in its macro: how many, their positives, and how many of them training named."""
    used = [row for row in rows if row["in_macro"]]
    named = [row["trained"] for row in used]
    words = "–" if None in named else "all" if all(named) else f"{sum(named)} of them" if any(named) else "none"
    return len(used), sum(row["positives"] for row in used), words


def zeroshot(folder: Path):
    """The labels that training never had first, each by the model that never heard of it."""
    yield "| zero-shot, macro AUROC | records | labels (least positives) | positives | label named in training | source seen in training | ecgclip | same encoder, random weights |"
    yield "| --- " * 8 + "|"
    unseen = load(folder, "unseen")
    sets = unseen["sets"]
    abroad = [sets[name] for name in unseen["abroad"]["sets"]]
    parts = [("labels that training never had, in hospitals it never saw", abroad, unseen["abroad"]["macro"])]
    parts += [(f"… {name}, each label by a model that never heard of it", [r], r["macro"]) for name, r in sets.items()]
    for words, of, macro in parts:
        rows = [row for r in of for row in r["labels"]]
        cells = cells_of(of, rows, {r["source_trained"] for r in of})
        yield f"| {words} | {cells} | {interval(macro['knowledge base'])} | – |"
    for words, name in ROWS:
        r = load(folder, name)
        cells = cells_of([r], r["labels"], {r.get("source_trained")})
        yield f"| {words} | {cells} | {interval(r['macro']['auroc'])} | {interval(r['random_encoder']['auroc'])} |"
    if (trained := len(unseen["groups"])) < unseen["groups_in_all"]:
        yield f"\nThe rows of models that never heard of a label hold the labels of {trained} of {unseen['groups_in_all']} groups: the others are not trained yet."
    yield (
        f"\nOn the labels of the first row the weights that ship, which were trained on {counted_shipped(abroad)} by name, reach "
        f"{interval(unseen['abroad']['macro']['shipped'])}; the bare names alone "
        f"{interval(unseen['abroad']['macro']['bare name'])}."
    )


def cells_of(parts: Sequence[dict], rows: Sequence[dict], seen: set) -> str:
    labels, positives, named = counted(rows)
    least = " or ".join(str(n) for n in sorted({r["least_positives"] for r in parts}))
    records = sum(r["records"] for r in parts)
    return f"{records} | {labels} (≥ {least}) | {positives} | {named} | {', '.join(sorted(SEEN[s] for s in seen))}"


def counted_shipped(parts: Sequence[dict]) -> str:
    return counted([row | {"trained": row["shipped_trained"]} for r in parts for row in r["labels"]])[2]


def figures(folder: Path):
    yield from zeroshot(folder)
    rhythm, hand = load(folder, "fold9-rhythm-lead-I"), load(folder, "challenge-2017")
    yield f"\nAtrial fibrillation from lead I alone: {label(rhythm, 'AFIB')} (fold 9); {label(hand, 'A')} (Challenge 2017)."
    weak = [
        (row["auroc"][0], f"{row['concept']} {interval(row['auroc'])}, {row['positives']} positives ({words})")
        for words, name in ROWS[1:4]
        for row in load(folder, name)["labels"]
        if row.get("in_macro") and row["positives"] >= 5
    ]
    weakest = [words for _, words in sorted(weak)[:5]]
    yield f"The {len(weakest)} weakest labels with at least five positives: {'; '.join(weakest)}."
    yield "\nBy what a label is asked for on fold 9 (a name of either language asks for the same concept; *bare*: `--no-enrich`):\n"
    yield "| asked by | superclasses | all statements |"
    yield "| --- | --- | --- |"
    for words, name in TYPED:
        values = [interval(load(folder, f"fold9-ptb-xl-{s}-{name}")["macro"]["auroc"]) for s in ("super", "all")]
        yield f"| {words} | " + " | ".join(values) + " |"
    ece = [load(folder, n)["macro"]["ece"] for n in ("fold9-ptb-xl-super-code", "fold9-ptb-xl-all-code", "cpsc2018")]
    yield "\nExpected calibration error on fold 9: {:.3f} (superclasses), {:.3f} (all statements); CPSC2018 {:.3f}.".format(
        *ece
    )
    yield "\nHow much the superclass scores of fold 9 change:\n"
    yield "| change | macro AUROC | mean change of probability | correlation of similarities |"
    yield "| --- | --- | --- | --- |"
    for row in load(folder, "robustness")["changes"]:
        numbers = [f"{row[k]:.3f}" if k in row else "–" for k in ("mean_probability_change", "correlation")]
        yield f"| {row['change']} | {interval(row['auroc'])} | {' | '.join(numbers)} |"
    yield "\nSimulated records, which it was not trained on: each condition asked for by name among 15 (`python benchmarks/simulated.py`):\n"
    yield "| simulated | AUROC | median probability | of the others |"
    yield "| --- | --- | --- | --- |"
    for row in load(folder, "simulated")["labels"]:
        yield f"| {row['condition']} | {interval(row['auroc'])} | {row['median_probability'][0]} | {row['median_probability'][1]} |"
    r, bare = load(folder, "retrieval"), load(folder, "fold9-retrieval")
    text, ecg = r["text_to_ecg"], r["ecg_to_ecg"]
    yield (
        f"\nSearching fold 9, precision at 10 (`docs/benchmarks.md`): for a condition, by a name in either language, "
        f"{interval(text['precision_at_10'])} over {len(r['labels'])} conditions with at least {min(row['positives'] for row in r['labels'])} "
        f"positives (chance {text['chance']:.2f}, best possible {text['best']:.2f}); for an ECG, a shared superclass "
        f"{interval(ecg['precision_at_10'])} (chance {ecg['chance']:.2f})."
    )
    yield f"In each language: {languages(bare)}."
    yield "\nSentences of `ecgclip describe` on fold 9 against the cardiologist's statements:\n"
    yield from describe(folder)
    yield ""
    yield from speed(folder)


def languages(r: dict) -> str:
    """What differs by the language asked in: bare names, and reports that ask for their own ECG."""
    text = r["text_to_ecg"]
    bare = [
        f"bare {words} names {interval(text[key])}" for words, key in (("English", "bare_en"), ("German", "bare_de"))
    ]
    asked = [
        f"{words} {interval(row['recall_at_10'])} of {row['queries']} (chance {row['recall_at_10_chance']:.2f})"
        for words, row in text["by_language"].items()
    ]
    return f"{'; '.join(bare)}; reports that find their own ECG among the first ten: {'; '.join(asked)}"


def speed(folder: Path):
    s = json.loads((folder / "speed.json").read_text())
    yield (
        f"Speed, ratios in one run ({s['threads']} threads): an ECG through the encoder takes {s['embed_over_resnet18_16']} × an 18-layer "
        f"1-D ResNet at 12 × 5000 in batches of 16\n({s['embed_ms_16']} over {s['resnet18_ms_16']} ms), {s['embed_over_resnet18_1']} × "
        f"one by one ({s['embed_ms_1']} over {s['resnet18_ms_1']} ms); finding the beats and measuring takes {s['measure_ms']} ms;\n"
        f"a whole recording by `embed_many` with others takes {s['embed_many_over_embed']} × one by `embed` ({s['embed_many_ms']} over "
        f"{s['embed_alone_ms']} ms);\n"
        f"`ecgclip classify` starts and answers in {s['classify_over_import_torch']} ×, `ecgclip search` in "
        f"{s['search_over_import_torch']} × (for words that the knowledge base does not name {s['words_over_import_torch']} ×) "
        f'`python -c "import torch"` ({s["classify_s"]}, {s["search_s"]} and {s["words_s"]} over {s["import_torch_s"]} s).'
    )


METHODS = {
    "description": "`ecgclip describe`",
    "neighbour": "the nearest training ECG's statements",
}


def describe(folder: Path):
    methods = load(folder, "describe")["methods"]
    yield "| | precision | recall | F1 | mean F1 of the statements |"
    yield "| --- | --- | --- | --- | --- |"
    for name, words in METHODS.items():
        micro, macro = methods[name]["micro"], methods[name]["macro"]
        values = (micro["precision"], micro["recall"], micro["f1"], macro["f1"])
        yield f"| {words} | " + " | ".join(map(interval, values)) + " |"


def retrieval(folder: Path):
    r = load(folder, "retrieval")
    text, ecg, build = r["text_to_ecg"], r["ecg_to_ecg"], r["build"]
    yield f"{build['records']} records were embedded and indexed in {build['seconds']} s.\n"
    yield "| precision at 10 | | chance | best possible |"
    yield "| --- | --- | --- | --- |"
    yield f"| text → ECG, {len(r['labels'])} conditions | {interval(text['precision_at_10'])} | {text['chance']:.3f} | {text['best']:.3f} |"
    yield f"| ECG → ECG, {ecg['queries']} queries | {interval(ecg['precision_at_10'])} | {ecg['chance']:.3f} | 1 |"
    yield f"\nIn each language, without the knowledge base: {languages(load(folder, 'fold9-retrieval'))}."
    yield "\n| condition | positives | precision at 10 | chance |"
    yield "| --- | --- | --- | --- |"
    for row in sorted(r["labels"], key=lambda row: -row["positives"]):
        yield f"| {row['concept']} | {row['positives']} | {row['precision_at_10']} | {row['chance']:.3f} |"


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
}


def ablations(folder: Path):
    r = load(folder, "ablations")
    for group, words in GROUPS.items():
        stored = r["groups"][group]
        yield f"\n**{words}**\n"
        yield "| | seeds | validation | " + " | ".join(SETS) + " |"
        yield "| --- " * (3 + len(SETS)) + "|"
        base = stored["rows"][0]
        for row in stored["rows"]:
            cells = [str(row["seeds"]), f"{mean(row['validation']):.3f}" if row["validation"] else "–"]
            for name in SETS:
                value = f"{mean(row[name]):.3f}"
                if change := row.get(f"{name}, less base"):
                    if None in change:
                        value += f" / {change[0]:+.3f}"
                    else:
                        words = signed(change)
                        value += f" / {'**' + words + '**' if change[1] * change[2] > 0 else words}"
                cells.append(value)
            share = row.get("share_of_words")
            told = share is not None and (row is base or share != base["share_of_words"])
            words = f" ({share:.0%} of the words)" if told else ""
            yield f"| {row['row']}{words} | " + " | ".join(cells) + " |"
        if base["seeds"] > 1:
            spread = [f"{max(v) - min(v):.3f}" for v in (base["validation"], *(base[n] for n in SETS))]
            yield f"| how far the seeds of the base lie apart | {base['seeds']} | " + " | ".join(spread) + " |"
    yield "\nHow to search by an ECG was chosen on the validation split:\n"
    yield "| ECG → ECG, precision at 10 | |"
    yield "| --- | --- |"
    for name, value in r["like_cases"].items():
        yield f"| {name} | {value:.3f} |"


def unseen(folder: Path):
    r = load(folder, "unseen")
    yield "| group | conditions | positives in the training folds | reports that name none of it | hidden |"
    yield "| --- " * 5 + "|"
    for i, group in enumerate(r["groups"], 1):
        hidden = ", ".join(group["unseen"])
        yield f"| {i} | {len(group['unseen'])} | {group['positives']} | {group['reports_left']} of {group['reports']} | {hidden} |"
    kinds = ("bare name", "all names and reports", "criteria only", "knowledge base", "shipped")
    for name, scored in r["sets"].items():
        yield f"\n**{name}**, {scored['records']} records; AUROC by the model that never heard of the label, and by the weights that ship\n"
        yield "| label | positives | group | " + " | ".join((*kinds[:-1], "weights that ship")) + " |"
        yield "| --- " * (3 + len(kinds)) + "|"
        for row in (row for row in scored["labels"] if row["in_macro"]):
            cells = " | ".join(interval(row[kind]) for kind in kinds)
            yield f"| {row['concept']} | {row['positives']} | {row['group']} | {cells} |"
        labels, positives, _ = counted(scored["labels"])
        yield (
            f"| mean of {labels} | {positives} | | "
            + " | ".join(interval(scored["macro"][kind]) for kind in kinds)
            + " |"
        )
        gains = [f"{kind} {signed(value)}" for kind, value in scored["less bare name"].items()]
        yield f"\nGain over the bare name, paired: {'; '.join(gains)}."
    shares = r["shares"]
    elsewhere, stand = interval(shares["chosen_elsewhere"]), interval(shares["best_denials_as_they_stand"])
    yield (
        f"\nChosen on the validation split, {shares['conditions']} conditions each asked of the model that never heard of it: the shares of the passages in a "
        f"prompt for what training never had. Chosen for each group by the other three they reach {elsewhere}; with criteria that deny "
        f"not subtracted, the best has {stand}.\n"
    )
    yield "| shares | macro AUROC |"
    yield "| --- | --- |"
    for row in shares["tried"]:
        words = ", ".join(f"{k} {v:g}" for k, v in row["shares"].items())
        told = [("best", shares["best"]), ("ships", shares["ships"])]
        told = "".join(f", **{name}**" for name, which in told if which == row["shares"])
        yield f"| {words}{told} | {interval(row['auroc'])} |"
    names = list(r["sets"])
    yield "\nThe same ECG vectors of the weights that ship, asked in different words (macro AUROC):\n"
    yield "| asked by | " + " | ".join(names) + " |"
    yield "| --- " * (1 + len(names)) + "|"
    for row in r["prompts"]:
        yield f"| {row['prompt']} | " + " | ".join(interval(row[name]) for name in names) + " |"
    yield ""
    yield from untrained(folder)


def untrained(folder: Path):
    r = load(folder, "untrained")
    yield (
        f"Of fold {r['fold']}'s {r['records']} normal ECGs, {interval(r['any'])} have any of the {r['conditions']} conditions that training never had at a "
        f"probability of at least {r['probability']}"
        + "".join(f"; {row['condition']} {interval(row['share'])}" for row in r["claimed"][:3])
        + "."
    )


def mean(values):
    return sum(values) / len(values)


def million(folder: Path):
    r = load(folder, "million")
    yield "| | |"
    yield "| --- | --- |"
    yield f"| kind, vectors | {r['kind']}, {r['windows']:,} |"
    yield f"| a query, with its facts: median, 95th percentile | {r['query_ms']} ms, {r['query_ms_95']} ms |"
    yield f"| a query by an ECG's vector: median, the first (it loads the weights and finds where each vector lies) | {r['like_ms']} ms, {r['like_first_s']} s |"
    yield f"| recall@10 against comparing with all (as `index info` says: {r['recall_at_10_said']}) | {r['recall_at_10']} |"
    yield f"| a vector on disk, its facts | {r['bytes_a_vector']} B, {r['facts_bytes'] / r['windows']:.0f} B |"
    yield f"| opened in | {r['open_s']} s |"
    yield (
        f"| memory before, opened, after {r['queries']} queries, after those by an ECG | {r['memory_before_mb']}, {r['memory_mb']}, "
        f"{r['memory_after_queries_mb']}, {r['memory_after_like_mb']} MB |"
    )
    yield f"| to train, compress and write | {r['compress_s']} s |"


SECTIONS = (figures, unseen, retrieval, million, describe, speed, ablations)


def main(folder: Path, files: list[Path]) -> None:
    if not files:
        print("\n\n".join("\n".join([f"<!-- {s.__name__} -->", *s(folder), "<!-- end -->"]) for s in SECTIONS))
    for file in files:
        text, n = file.read_text(), 0
        for section in SECTIONS:
            mark = rf"(?s)(<!-- {section.__name__} -->\n).*?(<!-- end -->)"
            if re.search(mark, text):
                new = "\n".join(section(folder)) + "\n"
                text, n = re.sub(mark, lambda m, new=new: m[1] + new + m[2], text), n + 1
        if not n:
            sys.exit(f"{file}: has no <!-- figures --> … <!-- end -->")
        file.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(f) for f in sys.argv[2:]])
