"""A change of code must not keep old results in silence: versions are raised by hand, this sees to it."""

import runpy
from pathlib import Path

import pytest

from dixonflow.execution.content_keys import STAGE_VERSIONS
from dixonflow.vocabulary import Stage

RECORDER = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "record_stage_code.py"))


@pytest.mark.parametrize("stage", list(STAGE_VERSIONS))
def test_a_stage_whose_code_changed_was_looked_at(stage):
    before, now = RECORDER["recorded"]()[stage.value], RECORDER["current"]()[stage.value]
    assert before == now, (
        f"the code of stage {stage.value} changed. If its results can change, raise its number in STAGE_VERSIONS "
        "(workflow/dixonflow/execution/content_keys.py): every scan is then done again from there on. "
        "Then run scripts/record_stage_code.py"
    )


def test_the_code_of_a_stage_is_what_computes_its_results():
    merge = RECORDER["modules_of"](Stage.MERGE)
    assert {"merge.strategies", "labelmap.component_rules", "models.model", "imaging.nifti", "stages.merge"} <= set(
        merge
    )
    assert not {"execution.shard", "execution.supervisor", "config", "segment.predictor", "measure.scan"} & set(merge)
    assert "segment.sliding_window" in RECORDER["modules_of"](Stage.SEGMENT)
    assert "measure.fat" in RECORDER["modules_of"](Stage.MEASURE)


def test_only_code_counts(monkeypatch, tmp_path):
    source = RECORDER["PACKAGE"] / "merge" / "strategies.py"
    for name in ("merge", "documented", "changed"):
        (tmp_path / name).mkdir()
    text = source.read_text()
    (tmp_path / "merge/strategies.py").write_text(text)
    (tmp_path / "documented/strategies.py").write_text(
        text.replace('"""One label map', '"""  One label map') + "# end\n"
    )
    (tmp_path / "changed/strategies.py").write_text(text.replace("votes > most", "votes >= most"))
    hashes = {}
    function_globals = RECORDER["code_hash"].__globals__
    monkeypatch.setitem(function_globals, "modules_of", lambda stage: ["strategies"])
    for name in ("merge", "documented", "changed"):
        monkeypatch.setitem(function_globals, "PACKAGE", tmp_path / name)
        hashes[name] = RECORDER["code_hash"](Stage.MERGE)
    assert hashes["merge"] == hashes["documented"] != hashes["changed"]
