"""Results: the JSON that users and other programs read."""

import json


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
