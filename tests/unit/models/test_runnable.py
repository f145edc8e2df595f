"""A model that cannot run is one line before any job, never a wrong result."""

import subprocess
import sys
from pathlib import Path

import pytest

from dixonflow.cli.config_files import config_yaml
from dixonflow.config import SourceConfig, demo_config
from dixonflow.errors import ConfigError, ModelError
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.models.runnable import check_modality, check_runnable
from dixonflow.run.plan import Plan
from dixonflow.vocabulary import Layout

ROOT = Path(__file__).parents[3]


def model_of(name, tmp_path=None, **changes):
    """A model, as if imported where a folder is given."""
    model = load_model(MODELS / f"{name}.yaml").model_copy(update=changes)
    if tmp_path is None:
        return model
    model = model.model_copy(update={"weights": tmp_path})
    for folder in model.folders.values():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metadata.json").touch()
    return model


def config_with(model, *consent):
    config = demo_config()
    return config.model_copy(
        update={"segment": config.segment.model_copy(update={"models": (model,), "consent": consent})}
    )


def test_what_this_version_can_run_passes(tmp_path):
    check_runnable(model_of("demo"), demo_config())
    check_runnable(model_of("mrsegmentator", tmp_path), config_with("mrsegmentator"))


def test_a_model_without_weights_names_the_remedy(tmp_path):
    absent = model_of("mrsegmentator", weights=tmp_path / "mrsegmentator")
    with pytest.raises(
        ModelError, match=r"not imported, \S+ does not hold it: run dixonflow import-model mrsegmentator$"
    ):
        check_runnable(absent, config_with("mrsegmentator"))
    with pytest.raises(ModelError, match="does not hold it"):
        check_runnable(model_of("demo", weights=tmp_path / "demo"), demo_config())


def test_terms_come_first(tmp_path):
    model = model_of("totalsegmentatortissuemr", weights=tmp_path / "weights")
    with pytest.raises(
        ConfigError, match=r"config: segment\.consent: .* licence .*add totalsegmentatortissuemr$"
    ) as error:
        check_runnable(model, config_with(model.name, "another"))
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="not imported"):
        check_runnable(model, config_with(model.name, model.name))


def test_a_run_says_it_before_its_first_job(tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "is_imported", False)
    content = {
        "cohort": {"sources": [{"layout": "bids", "folder": str(tmp_path)}]},
        "segment": {"models": ["totalsegmentatortissuemr"]},
        "results": str(tmp_path / "results"),
    }
    with pytest.raises(ConfigError, match=r"segment\.consent"):
        Plan.from_config(content)
    content["segment"]["consent"] = ["totalsegmentatortissuemr"]
    with pytest.raises(ModelError, match="totalsegmentatortissuemr is not imported"):
        Plan.from_config(content)
    assert not (tmp_path / "results").exists()


def test_a_stage_by_hand_says_it_in_one_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(config_yaml(config_with("totalsegmentatormr6mm")), encoding="utf-8")
    script = [sys.executable, "-m", "dixonflow", "stage", "segment", "--config", path, "--scan", "sub-1_ses-2"]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    folder = tmp_path / "models" / "totalsegmentatormr6mm"
    assert done.stderr.splitlines() == [
        f"segment: model totalsegmentatormr6mm is not imported, {folder} does not hold it: "
        "run dixonflow import-model totalsegmentatormr6mm"
    ]


@pytest.mark.parametrize(
    ("models", "layouts", "message"),
    [
        (
            ("demo", "totalsegmentatorct"),
            ("bids",),
            r"totalsegmentatorct takes CT, and cohort\.sources\.0 has Dixon",
        ),
        (
            ("totalsegmentatorct",),
            ("ct", "ukb"),
            r"totalsegmentatorct takes CT, and cohort\.sources\.1 has Dixon",
        ),
        (("demo",), ("nako", "ct"), r"demo takes Dixon scans, and cohort\.sources\.1 has CT \(layout ct\)"),
    ],
)
def test_ct_and_dixon_scans_do_not_mix(models, layouts, message):
    config = demo_config()
    sources = tuple(SourceConfig(layout=Layout(layout), folder="raw") for layout in layouts)
    config = config.model_copy(update={"cohort": config.cohort.model_copy(update={"sources": sources})})
    loaded = [load_model(MODELS / f"{name}.yaml") for name in models]
    with pytest.raises(ConfigError, match=message):
        check_modality(loaded, config)


def test_weights_lie_in_the_folder_of_the_configuration_or_where_version_0_1_kept_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = MODELS / "mrsegmentator.yaml"
    assert load_model(path, Path("models")).weights == tmp_path / "models" / "mrsegmentator"
    earlier = tmp_path / "workflow" / "models" / "mrsegmentator"
    (earlier).mkdir(parents=True)
    assert load_model(path, Path("models")).weights == tmp_path / "models" / "mrsegmentator", "it holds none"
    (earlier / "metadata.json").write_text("{}")
    assert load_model(path, Path("models")).weights == earlier
    (tmp_path / "models" / "mrsegmentator").mkdir(parents=True)
    (tmp_path / "models" / "mrsegmentator" / "metadata.json").write_text("{}")
    assert load_model(path, Path("models")).weights == tmp_path / "models" / "mrsegmentator"
    assert load_model(MODELS / "demo.yaml", Path("models")).weights == MODELS / "demo"
