"""The label sets that ship hold the labels of their data sets, and mean what their sources mean."""

import pytest
from published_codes import CHAPMAN, CINC_2021, CPSC_2018, FORM, RHYTHM, SCP, SUBCLASSES

from ecgclip.data.mitdb import BEATS, RHYTHMS
from ecgclip.data.sets import SUPERCLASSES
from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path
from ecgclip.knowledge.label_sets import load_label_set
from ecgclip.knowledge.spelling import normalise

LABEL_SETS = {
    "ptb-xl-super": list(SUPERCLASSES),
    "ptb-xl-sub": SUBCLASSES.split(),
    "ptb-xl-all": SCP,
    "ptb-xl-form": ["NDT", "NST_", "DIG", "LNGQT", *FORM.split()],
    "ptb-xl-rhythm": RHYTHM.split(),
    "cpsc2018": list(CPSC_2018),
    "chapman": CHAPMAN.split(),
    "cinc2021": list(CINC_2021),
    "cinc2017": ["N", "A", "O", "~"],
    "emergency": None,  # ours to choose
    "aami-beats": list("NSVF"),
    "mitdb-rhythm": ["SR" if rhythm == "(N" else rhythm[1:] for rhythm in RHYTHMS],
}


def test_the_label_sets_that_ship():
    assert {f.stem for f in asset_path("prompts/label_sets").glob("*.yaml")} == LABEL_SETS.keys()


@pytest.mark.parametrize("name", LABEL_SETS)
def test_label_set(kb, name):
    chosen = load_label_set(name)
    assert set(chosen) - {"beats"} == {"description", "source", "labels", "labels_en", "labels_de"}
    assert chosen["description"]
    assert chosen["source"]
    labels = chosen["labels"]
    if LABEL_SETS[name]:
        assert set(labels) == set(LABEL_SETS[name])
        assert len(labels) == len(LABEL_SETS[name])
    assert set(labels.values()) <= kb.concepts.keys()
    for names in (chosen["labels_en"], chosen["labels_de"]):
        assert list(names) == list(labels)
        assert len({normalise(n) for n in names.values()}) == len(labels), "two labels of one name"
        meant = {n: (c.id, labels[k]) for k, n in names.items() if (c := kb.find(n))}
        assert [n for n, (found, wanted) in meant.items() if found != wanted] == []
        # a name that the knowledge base does not know would be asked without it, in one language alone
        assert len(meant) >= 0.85 * len(labels)


def test_the_beat_classes_hold_the_kinds_that_mit_bih_annotates():
    chosen = load_label_set("aami-beats")
    kinds = [kind for code in chosen["labels"] for kind in chosen["beats"][code]]
    q = {BEATS[symbol] for symbol in "/fQ"}
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == set(BEATS.values()) - q
    assert all(chosen["labels"][code] in chosen["beats"][code] for code in chosen["labels"])


def test_ptb_xl_labels_are_their_own_statements(kb):
    for name in ("ptb-xl-all", "ptb-xl-form", "ptb-xl-rhythm"):
        labels = load_label_set(name)["labels"]
        assert labels == {code: kb.by_code("scp", code).id for code in labels}
    assert load_label_set("ptb-xl-super")["labels"] == SUPERCLASSES


def test_chapman_abbreviations_keep_their_sources_meaning():
    labels = load_label_set("chapman")["labels"]
    assert labels["AF"] == "atrial-flutter"
    assert labels["AFIB"] == "atrial-fibrillation"
    assert labels["ST"] == "sinus-tachycardia"
    assert labels["VEB"] == "ventricular-escape-beat"
    assert labels["TWO"] == "t-wave-inversion"
    assert labels["TWC"] == "t-wave-abnormality"


def test_a_label_set_that_is_not_there_or_damaged(tmp_path):
    with pytest.raises(EcgclipError, match=r"no label set 'mine'.*cpsc2018"):
        load_label_set("mine")
    own = tmp_path / "own.yaml"
    for text in ("", "labels: []", "labels: {", "labels: {AF: 3}"):
        own.write_text(text, encoding="utf-8")
        with pytest.raises(EcgclipError, match=r"own\.yaml"):
            load_label_set(str(own))


@pytest.mark.parametrize("name,codes", [("cinc2021", CINC_2021), ("cpsc2018", CPSC_2018)])
def test_a_label_means_in_its_set_what_its_code_means_in_the_records(kb, name, codes):
    labels = load_label_set(name)["labels"]
    meant = {label: kb.by_code("snomed", code).id for label, code in codes.items()}
    if "Normal" in meant:  # CPSC2018's code for a normal ECG is that of sinus rhythm, for want of one of its own
        meant["Normal"] = "normal-ecg"
    assert labels == meant
