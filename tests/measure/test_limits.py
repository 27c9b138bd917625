"""The table of limits."""

import yaml

from ecgclip.files import asset_path
from ecgclip.measure.limits import LIMITS, OTHER_SOURCES, Limit, limits_of


def test_every_limit_has_a_source_that_is_listed():
    sources = {*yaml.safe_load(asset_path("knowledge_base/sources.yaml").read_text(encoding="utf-8")), *OTHER_SOURCES}
    for name, row in LIMITS.items():
        for limit in [row] if isinstance(row, Limit) else row.values():
            assert limit.source in sources, name
            assert limit.margin >= 0, name


def test_limits_depend_on_age_and_sex():
    assert limits_of(39, "male")["st_up_v2v3"].threshold == 0.25
    assert limits_of(40, "male")["st_up_v2v3"].threshold == 0.2
    assert limits_of(39, "female")["st_up_v2v3"].threshold == 0.15
    assert limits_of(None, "male")["st_up_v2v3"] == limits_of()["st_up_v2v3"]
    assert limits_of(sex="male")["qtc_long"].threshold == 450
    assert set(limits_of()) == set(LIMITS)
