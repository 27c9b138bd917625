"""Data sets of simulated patients in their public layouts, and a recipe small enough to train on one in seconds."""

import csv
from pathlib import Path

from ecgclip.ecg import ECG
from ecgclip.simulate import simulate, write_record
from ecgclip.train.recipe import Recipe

# simulator's condition: (SCP-ECG statements, report)
CONDITIONS = {
    "normal": ({"NORM": 100.0, "SR": 0.0}, "sinus rhythm. normal ecg."),
    "lbbb": ({"CLBBB": 100.0, "SR": 0.0}, "sinusrhythmus. linksschenkelblock"),
    "af": ({"AFIB": 0.0}, "vorhofflimmern mit normaler kammerfrequenz"),
    "lvh": ({"LVH": 100.0, "SR": 0.0}, "sinus rhythm. left ventricular hypertrophy"),
    "anterior-stemi": ({"AMI": 100.0, "STE_": 0.0, "SR": 0.0}, "sinus rhythm. acute anterior myocardial infarction"),
}
COLUMNS = "ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_lr,filename_hr"  # of the public file
STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
CLBBB,complete left bundle branch block,1.0,,,CD,CLBBB
LVH,left ventricular hypertrophy,1.0,,,HYP,LVH
AMI,anterior myocardial infarction,1.0,,,MI,AMI
STE_,non-specific ST elevation,,1.0,,,
SR,sinus rhythm,,,1.0,,
AFIB,atrial fibrillation,,,1.0,,
"""


def write_ptb_xl(
    root: Path,
    records: int = 24,
    extra: dict[str, list[str]] | None = None,
    signals: bool = True,
    fold: int | None = None,
    numbered: bool = False,
) -> Path:
    """Rows that go through CONDITIONS, two records a patient.

    Parameters
    ----------
    records : int
        Number of rows.
    extra : dict, optional
        Further columns by name, a value for each row.
    signals : bool
        Write the records, too.
    fold : int, optional
        Of all rows; None: folds 1 to 9 by turns.
    numbered : bool
        Each report has the number of its row, so that no two are the same.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "scp_statements.csv").write_text(STATEMENTS)
    extra = extra or {}
    with (root / "ptbxl_database.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS.split(","), *extra])
        for i in range(records):
            condition = list(CONDITIONS)[i % len(CONDITIONS)]
            codes, report = CONDITIONS[condition]
            patient = i // 2
            report += f" {i + 1}." * numbered
            name = f"records100/00000/{i + 1:05d}_lr"
            if signals:
                write_record(simulate(condition, seed=i, sampling_rate=100), root / name)
            row = [i + 1, f"{patient}.0", "60.0", i % 2, report, repr(codes), fold or patient % 9 + 1, name, ""]
            table.writerow([*row, *(values[i] for values in extra.values())])
    return root


def write_simulated(
    path: Path, condition: str = "normal", leads: tuple[str, ...] | None = None, sampling_rate: int = 100, **options
) -> None:
    """A simulated record, with the first rows under the names `leads` where these are given."""
    ecg = simulate(condition, sampling_rate=sampling_rate, **options)
    if leads:
        ecg = ECG(ecg.signal[: len(leads)], ecg.sampling_rate, leads, ecg.metadata)
    write_record(ecg, path)


def write_dx(path: Path, *codes: str, condition: str = "normal") -> None:
    """A simulated record with these diagnoses in its header."""
    write_simulated(path, condition)
    with path.with_suffix(".hea").open("a") as header:
        header.write(f"#Dx: {','.join(codes)}\n")


def write_headers(root: Path, names: list[str], dx: str = "") -> Path:
    """Headers without a signal, which is all that a loader looks at; `names` may lie in folders below `root`."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        line = f"#Dx: {dx}\n" if dx else ""
        (root / f"{name}.hea").write_text(
            f"{Path(name).name} 1 300 3000\n{Path(name).name}.dat 16 1000 16 0 0 0 0 I\n{line}"
        )
    return root


def write_challenge_2017(root: Path, records: int) -> Path:
    names = [f"A{i:05d}" for i in range(records)]
    write_headers(root, names)
    (root / "REFERENCE.csv").write_text("\n".join(f"{name},{'NAO~'[i % 4]}" for i, name in enumerate(names)))
    return root


def write_challenge_2011(root: Path, records: int) -> Path:
    names = [str(i) for i in range(records)]
    write_headers(root, names)
    (root / "REFERENCE.csv").write_text("\n".join(f"{name},{i % 2}" for i, name in enumerate(names)))
    return root


def write_mitdb(root: Path, names: list[str]) -> Path:
    """Records of 40 s with a beat each second and no signal."""
    import numpy as np
    import wfdb

    write_headers(root, names)
    at = np.arange(100, 360 * 40, 360)
    symbols, notes = ["+", *"N" * (len(at) - 1)], ["(N", *[""] * (len(at) - 1)]
    for name in names:
        wfdb.wrann(name, "atr", at, symbol=symbols, aux_note=notes, fs=360, write_dir=str(root))
    return root


# what the device prints for each condition
LINES = {
    "normal": ["Sinus rhythm", "Normal ECG"],
    "lbbb": ["Sinus rhythm", "Left bundle branch block", "Abnormal ECG"],
    "af": ["Atrial fibrillation", "Abnormal ECG"],
    "lvh": ["Sinus rhythm with left ventricular hypertrophy", "Abnormal ECG"],
    "anterior-stemi": [
        "Sinus rhythm with possible left ventricular hypertrophy",
        "Inferior myocardial infarction - age undetermined .",
    ],
}


def write_mimic(root: Path, records: int) -> Path:
    """Two records a subject that go through LINES, in the public layout of MIMIC-IV-ECG, at 500 Hz."""
    root.mkdir(parents=True, exist_ok=True)
    columns = ["subject_id", "study_id", "cart_id", "ecg_time", *(f"report_{i}" for i in range(18)), "rr_interval"]
    listed = [["subject_id", "study_id", "file_name", "ecg_time", "path"]]
    measured = [columns]
    for i in range(records):
        condition = list(LINES)[i % len(LINES)]
        subject, study, time = 10000000 + i // 2, 40000000 + i, "2180-01-01 10:00:00"
        path = f"files/p1000/p{subject}/s{study}/{study}"
        write_record(simulate(condition, seed=i, sampling_rate=500), root / path)
        listed.append([subject, study, study, time, path])
        lines = LINES[condition]
        measured.append([subject, study, 1, time, *lines, *[""] * (18 - len(lines)), 800])
    for name, rows in (("record_list.csv", listed), ("machine_measurements.csv", measured)):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return root


def recipe(**changes) -> Recipe:
    """All eight losses, every augmentation, networks of a few thousand parameters."""
    fields = {
        "name": "toy",
        "seed": 0,
        "data": {"ptb-xl": {"path": "ptb-xl", "folds": [1, 2, 3, 4, 5, 6, 7, 8], "per_step": 6}},
        "validation_part": 3,
        "test_part": {},
        "pretraining": {"epochs": 1, "batch": 256, "lr": 1e-3},
        "epochs": 2,
        "locked": {
            "epochs": 1,
            "lr": 1e-3,
            "scale": 20,
            "whiten": 0.8,
            "losses": {
                "clip": 0.5,
                "statements": 5.0,
                "ranking": 0.5,
                "findings": 2.5,
                "beats": 1.0,
                "views": 0.5,
                "criteria": 1.0,
            },
        },
        "teacher": {"share": 0.5, "trees": 10},
        "wording": 0.15,
        "measured": {
            "epochs": 1,
            "lr": 1e-3,
            "statements": 10.0,
            "findings": 0.5,
            "ranking": 1.0,
            "criteria": 1.0,
        },
        "lr": 3e-3,
        "text_lr": 1e-3,
        "weight_decay": 0.05,
        "warmup": 0.1,
        "average": 0.9,
        "losses": {
            "clip": 0.5,
            "statements": 5.0,
            "ranking": 0.5,
            "findings": 2.5,
            "beats": 1.0,
            "synonyms": 0.25,
            "views": 0.1,
            "criteria": 1.0,
        },
        "augment": {"drop_leads": 0.5, "gain": 0.15, "noise": 0.03, "wander": 0.05, "mains": 0.02, "crop": 0.3},
        "ecg": {"width": 32, "channels": [8, 16, 24], "heads": 4, "dim": 32, "members": 2},
        "text": {
            "vocabulary": 400,
            "width": 32,
            "layers": 1,
            "heads": 4,
            "max_tokens": 24,
            "dim": 32,
        },
    }
    return Recipe(**{**fields, **changes})


def few_simulated(patch) -> None:
    """Fit the criteria on simulated ECGs of CONDITIONS alone, a patient each: those of every condition take long."""
    from ecgclip.train.witnesses import Simulated

    of = Simulated.of
    patch.setattr("ecgclip.train.witnesses.CONDITIONS", CONDITIONS)
    patch.setattr(Simulated, "of", lambda seeds=(1,), sampling_rate=100: of(seeds, sampling_rate))


def some_leads(ecg: ECG, leads: list[str]) -> ECG:
    """The same ECG as if only these leads had been recorded, in this order."""
    rows = [ecg.leads.index(lead) for lead in leads]
    return ECG(ecg.signal[rows], ecg.sampling_rate, leads)


def read_log(folder: Path) -> list[dict[str, str]]:
    """The rows of a training's log.csv."""
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))
