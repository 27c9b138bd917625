"""The groups that figures are given for."""

import pytest

from ecgclip.evaluate.groups import report_language


@pytest.mark.parametrize(
    "report, language",
    [
        ("sinusrhythmus lagetyp normal normales ekg", "German"),
        ("sinus rhythm. normal ecg.", "English"),
        ("sinusrytm vÄnster el-axel eljest normalt ekg", "Swedish"),
        ("trace only requested.", ""),
        ("", ""),
    ],
)
def test_the_language_of_a_report(report, language):
    assert report_language(report) == language
