"""What the knowledge base promises: complete, consistent, found under every name, and a clear line for a damaged folder."""

import json
import re

import pytest
import yaml

from ecgclip.data.mitdb import BEATS, RHYTHMS
from ecgclip.data.sets import SUPERCLASSES
from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import normalise
from ecgclip.knowledge.label_sets import load_label_set

# scp_statements.csv of PTB-XL 1.0.3, in its order
DIAGNOSTIC = """NDT NST_ DIG LNGQT NORM IMI ASMI LVH LAFB ISC_ IRBBB 1AVB IVCD ISCAL CRBBB CLBBB ILMI LAO/LAE AMI ALMI ISCIN
    INJAS LMI ISCIL LPFB ISCAS INJAL ISCLA RVH ANEUR RAO/RAE EL WPW ILBBB IPLMI ISCAN IPMI SEHYP INJIN INJLA PMI 3AVB INJIL
    2AVB"""
FORM = "ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S)"
RHYTHM = "SR AFIB STACH SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU"
SCP = " ".join((DIAGNOSTIC, FORM, RHYTHM)).split()
SUBCLASSES = """STTC NST_ NORM IMI AMI LVH LAFB/LPFB ISC_ IRBBB _AVB IVCD ISCA CRBBB CLBBB LAO/LAE ISCI LMI RVH RAO/RAE WPW ILBBB
    SEHYP PMI"""

# dx_mapping_scored.csv of the PhysioNet/CinC Challenge 2021: abbreviation → SNOMED CT
CINC_2021 = {
    "AF": "164889003", "AFL": "164890007", "BBB": "6374002", "Brady": "426627000", "CLBBB": "733534002",
    "CRBBB": "713427006", "IAVB": "270492004", "IRBBB": "713426002", "LAD": "39732003", "LAnFB": "445118002",
    "LBBB": "164909002", "LQRSV": "251146004", "NSIVCB": "698252002", "NSR": "426783006", "PAC": "284470004",
    "PR": "10370003", "PRWP": "365413008", "PVC": "427172004", "LPR": "164947007", "LQT": "111975006",
    "QAb": "164917005", "RAD": "47665007", "RBBB": "59118001", "SA": "427393009", "SB": "426177001", "STach": "427084000",
    "SVPB": "63593006", "TAb": "164934002", "TInv": "59931005", "VPB": "17338001",
}  # fmt: skip
# The CPSC 2018 classes as the Challenge 2020 codes them
CPSC_2018 = {
    "Normal": "426783006", "AF": "164889003", "I-AVB": "270492004", "LBBB": "164909002", "RBBB": "59118001",
    "PAC": "284470004", "PVC": "164884008", "STD": "429622005", "STE": "164931005",
}  # fmt: skip
CHAPMAN = """AQW UW SR WPW 2AVB AT VB ARS STTC SA STE VPB TWO STTU ALS APB 2AVB1 PRIE CCR CR AF AVB QTIE LBBB VEB SVT RBBB
    1AVB STDD MI AFIB TWC PWC ERV RVH LVH ST JEB"""

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


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


@pytest.fixture
def folder(tmp_path):
    """A knowledge base of two concepts, to damage."""
    shipped = asset_path("knowledge_base")
    for name in ("normal-ecg", "sinus-rhythm"):
        entry = yaml.safe_load((shipped / f"{name}.yaml").read_text(encoding="utf-8"))
        write(tmp_path, entry | {"lookalikes": [], "broader": []})
    (tmp_path / "sources.yaml").write_bytes((shipped / "sources.yaml").read_bytes())
    return tmp_path


def write(folder, entry):
    (folder / f"{entry['id']}.yaml").write_text(yaml.safe_dump(entry, allow_unicode=True), encoding="utf-8")


def read(folder, name="sinus-rhythm"):
    return yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))


def complaint(folder):
    with pytest.raises(EcgclipError) as error:
        KnowledgeBase.load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


# What it holds


def test_at_least_150_conditions_in_two_languages(kb):
    assert len(kb.concepts) >= 150
    for concept in kb.concepts.values():
        assert concept.report and concept.report_de and concept.negation and concept.negation_de, concept.id
        assert concept.aliases.get("de"), concept.id


def test_every_scp_statement_of_ptb_xl(kb):
    assert len(set(SCP)) == 71
    assert [code for code in SCP if not kb.by_code("scp", code)] == []
    assert {c.codes["scp"] for c in kb.concepts.values() if "scp" in c.codes} == set(SCP)


@pytest.mark.parametrize("codes", [CINC_2021, CPSC_2018], ids=["cinc2021", "cpsc2018"])
def test_every_scored_snomed_code(kb, codes):
    assert [code for code in codes.values() if not kb.by_code("snomed", code)] == []


@pytest.mark.parametrize("name,codes", [("cinc2021", CINC_2021), ("cpsc2018", CPSC_2018)])
def test_a_label_means_in_its_set_what_its_code_means_in_the_records(kb, name, codes):
    labels = load_label_set(name)["labels"]
    meant = {label: kb.by_code("snomed", code).id for label, code in codes.items()}
    if "Normal" in meant:  # CPSC2018's code for a normal ECG is that of sinus rhythm, for want of one of its own
        meant["Normal"] = "normal-ecg"
    assert labels == meant


def test_every_mit_bih_annotation_and_superclass(kb):
    used = {*BEATS.values(), *RHYTHMS.values(), *SUPERCLASSES.values()}
    assert used - kb.concepts.keys() == set()


def test_no_code_belongs_to_two_concepts(kb):
    for system in ("scp", "snomed"):
        codes = [code for c in kb.concepts.values() for code in listed(c.codes.get(system))]
        assert len(codes) == len(set(codes))


def listed(codes):
    return [codes] if isinstance(codes, str) else codes or []


def test_sources_with_a_doi_have_a_real_one(kb):
    assert all(s.society and s.title and 1950 < s.year <= 2026 for s in kb.sources.values())
    assert [s.key for s in kb.sources.values() if s.doi and not re.fullmatch(r"10\.\d{4,9}/\S+", s.doi)] == []


def test_every_criterion_names_a_source_that_its_concept_lists(kb):
    unlisted = {(c.id, x.source) for c in kb.concepts.values() for x in c.criteria if x.source not in c.sources}
    assert unlisted == set()


def test_criteria_speak_the_words_of_the_measured_findings(kb):
    """Training grounds a criterion in signal by measured sentences that say the same words."""
    findings = yaml.safe_load(asset_path("prompts/findings.yaml").read_text(encoding="utf-8"))
    criteria = [words(x.text) for c in kb.concepts.values() for x in c.criteria]
    covered = {key for key, f in findings.items() if any(words(f["en"][0]) <= c for c in criteria)}
    print(
        f"{len(covered)} of {len(findings)} findings are said by a criterion; not {sorted(findings.keys() - covered)}"
    )
    assert len(covered) >= 0.6 * len(findings)


def words(text):
    return set(re.findall(r"[\w'+.-]+", text.casefold()))


# Finding and following


@pytest.mark.parametrize(
    "label,concept",
    [
        ("AF", "atrial-fibrillation"),
        ("a-fib", "atrial-fibrillation"),
        ("Vorhofflimmern", "atrial-fibrillation"),
        ("vorhofflimmern", "atrial-fibrillation"),
        ("164889003", "atrial-fibrillation"),
        ("STACH", "sinus-tachycardia"),
        ("first-degree AV block", "first-degree-av-block"),
        ("LSB", "left-bundle-branch-block"),
        ("Hyperkaliaemie", "hyperkalemia"),
        ("wolff-parkinson-white", "wolff-parkinson-white"),
        ("sick sinus syndrome", "sinus-node-dysfunction"),
    ],
)
def test_find(kb, label, concept):
    assert kb.find(label).id == concept


@pytest.mark.parametrize("label", ["", "  ", "?", "not a condition", "J wave", "0"])
def test_what_is_not_there_is_not_found(kb, label):
    assert kb.find(label) is None


def test_every_spelling_leads_to_its_own_concept(kb):
    for concept in kb.concepts.values():
        for spelling in (concept.id, concept.name, *(a for v in concept.aliases.values() for a in v)):
            assert kb.find(spelling).id == concept.id, spelling


def test_ancestors_are_all_that_follows(kb):
    infarctions = {"stemi", "acute-myocardial-infarction", "myocardial-infarction", "anterior-myocardial-infarction"}
    assert kb.ancestors("anterior-stemi") == infarctions | {"st-elevation"}
    assert kb.ancestors("normal-ecg") == set()
    assert "conduction-disturbance" in kb.ancestors("mobitz-2-av-block")


def test_no_concept_follows_from_itself(kb):
    assert [c for c in kb.concepts if any(c in kb.ancestors(a) for a in kb.ancestors(c))] == []


def test_no_lookalike_is_a_broader_concept(kb):
    """What a condition is a kind of cannot be mistaken for it."""
    both = [(c.id, x) for c in kb.concepts.values() for x in c.lookalikes if x in kb.ancestors(c.id) or x == c.id]
    assert both == []


def test_normalise_ignores_spelling_alone():
    assert normalise("AV-Block I°") == normalise("av block i")
    assert normalise("überdreht") == normalise("UEBERDREHT") == normalise("u\u0308berdreht")
    assert normalise("Mobitz I") != normalise("Mobitz II")


# Loading


def test_the_digest_changes_with_an_edit(folder):
    before = KnowledgeBase.load(folder).digest
    assert KnowledgeBase.load(folder).digest == before
    write(folder, read(folder) | {"definition": "Another one."})
    assert KnowledgeBase.load(folder).digest != before


def test_the_compiled_copy_is_the_same_and_is_left_aside_after_an_edit(folder, tmp_path, monkeypatch):
    base = KnowledgeBase.load(folder)
    compiled = tmp_path / "kb.json"
    compiled.write_text(json.dumps(base.to_dict()), encoding="utf-8")
    monkeypatch.setattr("ecgclip.knowledge.base.COMPILED", compiled)
    with monkeypatch.context() as patch:
        patch.setattr(KnowledgeBase, "_parse", None)  # the copy is what is read
        copy = KnowledgeBase.load(folder)
    assert copy.concepts == base.concepts and copy.sources == base.sources and copy.passages == base.passages
    write(folder, read(folder) | {"definition": "Another one."})
    assert KnowledgeBase.load(folder).concepts["sinus-rhythm"].definition == "Another one."


@pytest.mark.parametrize("content", ["", "{", "[]", '{"digest": 1}', "no file"])
def test_without_a_compiled_copy_the_folder_is_parsed(content, kb, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgclip.knowledge.base.COMPILED", tmp_path / "kb.json")
    if content != "no file":
        (tmp_path / "kb.json").write_text(content)
    parsed = KnowledgeBase.load()
    assert (parsed.concepts, parsed.sources, parsed.digest) == (kb.concepts, kb.sources, kb.digest)


@pytest.mark.parametrize("field", ["criteria", "negation_de", "codes"])
def test_a_missing_field(folder, field):
    entry = read(folder)
    write(folder, {k: v for k, v in entry.items() if k != field})
    assert "sinus-rhythm.yaml" in complaint(folder) and f"missing {field}" in complaint(folder)


def criterion(**changes):
    return {"criteria": [{"text": "a P wave", "leads": ["II"], "source": "aha-ecg-2007-ii"} | changes]}


@pytest.mark.parametrize(
    "changes,words",
    [
        (criterion(leads=["V9"]), "V9"),
        (criterion(source="my-uncle"), "my-uncle"),
        (criterion(page=3), "exactly text, leads and source"),
        ({"sources": ["my-uncle"]}, "my-uncle"),
        ({"broader": ["no-such-concept"]}, "no-such-concept"),
        ({"category": "sports"}, "sports"),
        ({"colour": "red"}, "colour"),
        ({"report": []}, "empty"),
        ({"aliases": {"en": [True]}}, "quote"),
        ({"codes": {"snomed": [426783006]}}, "quoted"),
    ],
)
def test_a_wrong_entry(folder, changes, words):
    write(folder, read(folder) | changes)
    line = complaint(folder)
    assert "sinus-rhythm.yaml" in line and words in line


def test_an_id_that_is_not_the_files_name(folder):
    (folder / "sinus-rhythm.yaml").rename(folder / "other.yaml")
    assert "other.yaml" in complaint(folder)


def test_an_alias_in_two_files(folder):
    entry = read(folder, "normal-ecg")
    write(folder, entry | {"aliases": {"en": ["Sinus-Rhythm"]}})
    line = complaint(folder)
    assert ".yaml" in line and "sinus-rhythm" in line and "normal-ecg" in line


@pytest.mark.parametrize("text", ["id: [", "", "- a list", "\x00"], ids=["broken", "empty", "list", "binary"])
def test_a_file_that_is_no_entry(folder, text):
    (folder / "sinus-rhythm.yaml").write_text(text, encoding="utf-8")
    assert "sinus-rhythm.yaml" in complaint(folder)


def test_a_folder_without_a_knowledge_base(tmp_path):
    assert str(tmp_path) in complaint(tmp_path)
    assert "nowhere" in complaint(tmp_path / "nowhere")


def test_a_folder_without_sources(folder):
    write(folder, read(folder) | {"id": "third"})
    (folder / "sources.yaml").unlink()
    assert "sources.yaml" in complaint(folder)


# Label sets


def test_the_label_sets_that_ship():
    assert {f.stem for f in asset_path("prompts/label_sets").glob("*.yaml")} == LABEL_SETS.keys()


@pytest.mark.parametrize("name", LABEL_SETS)
def test_label_set(kb, name):
    chosen = load_label_set(name)
    assert set(chosen) - {"beats"} == {"description", "source", "labels", "labels_en", "labels_de"}
    assert chosen["description"] and chosen["source"]
    labels = chosen["labels"]
    if LABEL_SETS[name]:
        assert set(labels) == set(LABEL_SETS[name]) and len(labels) == len(LABEL_SETS[name])
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
    assert len(kinds) == len(set(kinds)) and set(kinds) == set(BEATS.values()) - q
    assert all(chosen["labels"][code] in chosen["beats"][code] for code in chosen["labels"])


def test_ptb_xl_labels_are_their_own_statements(kb):
    for name in ("ptb-xl-all", "ptb-xl-form", "ptb-xl-rhythm"):
        labels = load_label_set(name)["labels"]
        assert labels == {code: kb.by_code("scp", code).id for code in labels}
    assert load_label_set("ptb-xl-super")["labels"] == SUPERCLASSES


def test_chapman_abbreviations_keep_their_sources_meaning():
    labels = load_label_set("chapman")["labels"]
    assert labels["AF"] == "atrial-flutter" and labels["AFIB"] == "atrial-fibrillation"
    assert labels["ST"] == "sinus-tachycardia" and labels["VEB"] == "ventricular-escape-beat"
    assert labels["TWO"] == "t-wave-inversion" and labels["TWC"] == "t-wave-abnormality"


def test_a_label_set_that_is_not_there_or_damaged(tmp_path):
    with pytest.raises(EcgclipError, match=r"no label set 'mine'.*cpsc2018"):
        load_label_set("mine")
    own = tmp_path / "own.yaml"
    for text in ("", "labels: []", "labels: {", "labels: {AF: 3}"):
        own.write_text(text, encoding="utf-8")
        with pytest.raises(EcgclipError, match=r"own\.yaml"):
            load_label_set(str(own))
