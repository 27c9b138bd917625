"""--device: the commands that embed run where they are told, and say in one line where that is not there."""

import pytest
from commandline import assert_misuse

MISSING = ("--device", "cuda:99")


@pytest.mark.parametrize(
    "command",
    [
        "classify {records}/af --labels AF",
        "describe {records}/af",
        "search AF --index {folder}",
        "similar {records}/af --index {folder}",
        "index build {records} -o {folder}/index",
        "eval zeroshot {folder} --dataset ptb-xl --label-set ptb-xl-super -o {folder}/out",
    ],
)
def test_a_device_that_is_not_there_is_one_line(run, records, tmp_path, command):
    words = command.format(records=records, folder=tmp_path).split()
    assert_misuse(run(*words, *MISSING), "cuda:99: no such device here", "--device cpu")
    assert not list(tmp_path.iterdir())


def test_auto_answers_anywhere(classify, records):
    code, out, _ = classify(records / "af", "--labels", "AF", "--format", "csv", "--device", "auto")
    assert code == 0
    assert out.count("AF") == 1
