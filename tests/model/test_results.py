"""Results: the JSON that users and other programs read."""

import json
import math

from ecgclip.model.results import Score, ranking


def test_the_json_contract(model, records):
    entry = json.loads(json.dumps(model.classify(str(records / "af.hea"), ["AF"]).to_dict()))
    assert set(entry) == {"record", "leads", "seconds", "used_s", "notes", "windows", "scores"}
    assert entry["record"] == str(records / "af")
    assert entry["seconds"] == entry["used_s"] == 10
    answered = {"label", "concept", "probability", "similarity", "max_probability", "burden", "trained", "note"}
    answered |= {"by_vector", "by_criteria", "observed"}
    assert set(entry["scores"][0]) == answered
    assert entry["windows"] == [0.0]
    assert len(entry["leads"]) == 12


def test_of_conditions_that_exclude_each_other_the_ones_are_ranked_that_a_description_would_state():
    excluded = {"normal-ecg": {"st-elevation", "rbbb"}, "st-elevation": {"normal-ecg"}, "rbbb": {"normal-ecg", "lbbb"}}
    excluded["lbbb"] = {"rbbb"}

    def ranked(**probability: float) -> list[str]:
        names = [name.replace("_", "-") for name in probability]
        scores = [Score(n, n, p, 0.0, p, 0.0) for n, p in zip(names, probability.values(), strict=True)]
        best = ranking(scores, None, excluded=lambda c: frozenset(excluded[c]), threshold=0.4)
        return [names[i] for i in best]

    assert ranked(normal_ecg=0.79, rbbb=0.1, st_elevation=0.75) == ["st-elevation", "rbbb"], "the finding is stated"
    assert ranked(normal_ecg=0.79, rbbb=0.1, st_elevation=0.39) == ["normal-ecg"], "nothing but normal is"
    assert ranked(lbbb=0.6, rbbb=0.5, normal_ecg=0.9) == ["normal-ecg", "lbbb"]
    assert ranked(lbbb=math.nan, rbbb=0.1, normal_ecg=0.05) == ["rbbb"], "what cannot be measured comes last"
