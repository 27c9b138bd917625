"""The figures of the README, the model card and docs/, from results/:  python benchmarks/table.py results FILE.md ...

In the files named it replaces what stands between <!-- figures -->, <!-- retrieval -->, <!-- million -->, <!-- describe -->,
<!-- speed --> or <!-- ablations --> and the next <!-- end -->.
"""

import json
import re
import sys
from pathlib import Path

ROWS = (
    ("PTB-XL fold 9, five superclasses", "fold9-ptb-xl-super-code"),
    ("PTB-XL fold 9, all SCP statements with ≥ 5 positives", "fold9-ptb-xl-all-code"),
    ("CPSC2018 (another country), nine classes with ≥ 4", "cpsc2018"),
    ("other sources of Challenge 2020, labels with ≥ 4", "challenge-2020"),
    ("Challenge 2017, one hand-held lead, the unseen fifth", "challenge-2017"),
    ("fold 9, superclasses from lead I alone", "fold9-super-lead-I"),
    ("… from lead II alone", "fold9-super-lead-II"),
    ("… from lead V1 alone", "fold9-super-lead-V1"),
)
NAMINGS = (("abbreviations (`MI`, `1AVB`)", "code"), ("English names", "en"), ("German names", "de"))


def interval(value: list[float] | None) -> str:
    return "{:.3f} ({:.3f}–{:.3f})".format(*value) if value else "–"


def load(folder: Path, name: str) -> dict:
    return json.loads((folder / name / "results.json").read_text())


def label(results: dict, name: str) -> str:
    row = next(r for r in results["labels"] if r["label"] == name)
    return f"{interval(row['auroc'])}, {row['positives']} positives"


def figures(folder: Path):
    yield "| zero-shot, macro AUROC | records | labels | positives | ecgclip | same encoder, random weights |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for words, name in ROWS:
        r = load(folder, name)
        used = [row for row in r["labels"] if row.get("in_macro")]
        macro, chance = interval(r["macro"]["auroc"]), interval(r["random_encoder"]["auroc"])
        yield f"| {words} | {r['records']} | {len(used)} | {sum(row['positives'] for row in used)} | {macro} | {chance} |"
    rhythm, hand = load(folder, "fold9-rhythm-lead-I"), load(folder, "challenge-2017")
    yield f"\nAtrial fibrillation from lead I alone: {label(rhythm, 'AFIB')} (fold 9); {label(hand, 'A')} (Challenge 2017)."
    weak = [
        (row["auroc"][0], f"{row['label']} {interval(row['auroc'])}, {row['positives']} positives ({words})")
        for words, name in (
            ("CPSC2018", "cpsc2018"),
            ("Challenge 2020", "challenge-2020"),
            ("fold 9", "fold9-ptb-xl-all-en"),
        )
        for row in load(folder, name)["labels"]
        if row.get("in_macro") and row["positives"] >= 5
    ]
    yield (
        "The five weakest labels with at least five positives: "
        + "; ".join(words for _, words in sorted(weak)[:5])
        + "."
    )
    yield "\nWhat a user types, with the knowledge base and without (`--no-enrich`), on fold 9:\n"
    yield "| typed | superclasses | bare | all statements | bare |"
    yield "| --- | --- | --- | --- | --- |"
    for words, naming in NAMINGS:
        names = [f"fold9-{s}-{naming}{p}" for s in ("ptb-xl-super", "ptb-xl-all") for p in ("", "-plain")]
        yield f"| {words} | " + " | ".join(interval(load(folder, n)["macro"]["auroc"]) for n in names) + " |"
    if (folder / "ablations/results.json").exists():
        for unseen in load(folder, "ablations")["unseen"].get("eight conditions unseen", [])[:1]:
            yield (
                f"\nEight conditions that no text or label of a smaller training named, on fold 9: {interval(unseen['knowledge base']['macro'])} with the "
                f"knowledge base, {interval(unseen['bare name']['macro'])} by their bare names (`docs/benchmarks.md`)."
            )
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
    r = load(folder, "retrieval")
    text, ecg = r["text_to_ecg"], r["ecg_to_ecg"]
    yield "\nSearching fold 9, precision at 10 (`docs/benchmarks.md`): by words "
    yield (
        f"{interval(text['precision_at_10'])} over {len(r['labels'])} conditions with ≥ 10 positives, {interval(text['german'])} in "
        f"German (chance {text['chance']:.2f}, best possible {text['best']:.2f}); by an ECG, "
    )
    yield f"a shared superclass {interval(ecg['precision_at_10'])} (chance {ecg['chance']:.2f})."
    yield "\nSentences of `ecgclip describe` on fold 9 against the cardiologist's statements:\n"
    yield from describe(folder)
    yield ""
    yield from speed(folder)


def speed(folder: Path):
    s = json.loads((folder / "speed.json").read_text())
    yield (
        f"Speed, ratios in one run ({s['threads']} threads): an ECG through the encoder takes {s['embed_over_resnet18_16']} × an 18-layer "
        f"1-D ResNet at 12 × 5000 in batches of 16\n({s['embed_ms_16']} over {s['resnet18_ms_16']} ms), {s['embed_over_resnet18_1']} × "
        f"one by one ({s['embed_ms_1']} over {s['resnet18_ms_1']} ms); finding the beats and measuring takes {s['measure_ms']} ms;\n"
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
    yield f"| text → ECG, English, {len(r['labels'])} conditions | {interval(text['precision_at_10'])} | {text['chance']:.3f} | {text['best']:.3f} |"
    yield f"| text → ECG, German | {interval(text['german'])} | {text['chance']:.3f} | {text['best']:.3f} |"
    yield f"| ECG → ECG, {ecg['queries']} queries | {interval(ecg['precision_at_10'])} | {ecg['chance']:.3f} | 1 |"
    yield "\n| condition | positives | English | German | chance |"
    yield "| --- | --- | --- | --- | --- |"
    for row in sorted(r["labels"], key=lambda row: -row["positives"]):
        yield f"| {row['concept']} | {row['positives']} | {row['precision_en']} | {row['precision_de']} | {row['chance']:.3f} |"


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
    "unseen": "Eight conditions that the training does not name: an epoch of both encoders, three locked, then the measurements",
}


def ablations(folder: Path):
    r = load(folder, "ablations")
    for group, stored in r["groups"].items():
        yield f"\n**{GROUPS[group]}**\n"
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
                        words = "{:+.3f} ({:+.3f} to {:+.3f})".format(*change)
                        value += f" / {'**' + words + '**' if change[1] * change[2] > 0 else words}"
                cells.append(value)
            share = row.get("share_of_words")
            told = share is not None and (row is base or share != base["share_of_words"])
            words = f" ({share:.0%} of the words)" if told else ""
            yield f"| {row['row']}{words} | " + " | ".join(cells) + " |"
        if base["seeds"] > 1:
            spread = [f"{max(v) - min(v):.3f}" for v in (base["validation"], *(base[n] for n in SETS))]
            yield f"| how far the seeds of the base lie apart | {base['seeds']} | " + " | ".join(spread) + " |"
    yield "\nThe same ECG vectors of the shipped weights, asked in different words (macro AUROC):\n"
    yield "| asked by | " + " | ".join(SETS[:4]) + " |"
    yield "| --- " * 5 + "|"
    for row in r["prompts"]:
        yield f"| {row['prompt']} | " + " | ".join(interval(row[name]) for name in SETS[:4]) + " |"
    if not (trained := r["unseen"].get("eight conditions unseen")):
        return
    unseen, (seen, *_) = trained[0], r["unseen"].get("the eight seen", [None])
    yield (
        "\n**Truly unseen.** No text, label or prompt of the training named these eight conditions; fold 9, AUROC. The last column is the same "
        "training with them.\n"
    )
    yield "| | positives | abbreviation | bare name | criteria only | knowledge base | knowledge base, seen |"
    yield "| --- " * 7 + "|"
    kinds = ("abbreviation", "bare name", "criteria only", "knowledge base")
    for i, concept in enumerate(unseen["labels"]):
        cells = [interval(unseen[k]["labels"][i]) for k in kinds] + [
            interval(seen["knowledge base"]["labels"][i]) if seen else "–"
        ]
        yield f"| {concept} | {unseen['positives'][i]} | " + " | ".join(cells) + " |"
    cells = [interval(unseen[k]["macro"]) for k in kinds] + [interval(seen["knowledge base"]["macro"]) if seen else "–"]
    yield "| mean | | " + " | ".join(cells) + " |"
    gains = [f"{k} {interval(unseen[k]['less bare name'])}" for k in ("criteria only", "knowledge base")]
    others = ", ".join(f"{t['knowledge base']['less bare name'][0]:.3f}" for t in trained[1:])
    yield f"\nGain over the bare name, paired: {'; '.join(gains)}. That of the knowledge base with other seeds: {others or 'not trained'}."
    yield (
        "\nChosen on the validation split: how to ask for what training never named (the shares of a prompt's passages; macro AUROC of the seven of "
        'the eight that it has; *denials*: a criterion that begins with "no" is subtracted; the last row but one ships), and how to search by an ECG.\n'
    )
    yield "| shares | denials subtracted | as they stand |"
    yield "| --- | --- | --- |"
    for one, other in zip(r["shares"][::2], r["shares"][1::2], strict=True):
        words = ", ".join(f"{k} {v:g}" for k, v in one["shares"].items())
        yield f"| {words} | {interval(one['auroc'])} | {interval(other['auroc'])} |"
    yield "\n| ECG → ECG, precision at 10 on validation | |"
    yield "| --- | --- |"
    for name, value in r["like_cases"].items():
        yield f"| {name} | {value:.3f} |"


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


def main(folder: Path, files: list[Path]) -> None:
    for file in files:
        text, n = file.read_text(), 0
        for section in (figures, retrieval, million, describe, speed, ablations):
            mark = rf"(?s)(<!-- {section.__name__} -->\n).*?(<!-- end -->)"
            if re.search(mark, text):
                new = "\n".join(section(folder)) + "\n"
                text, n = re.sub(mark, lambda m, new=new: m[1] + new + m[2], text), n + 1
        if not n:
            sys.exit(f"{file}: has no <!-- figures --> … <!-- end -->")
        file.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(f) for f in sys.argv[2:]])
