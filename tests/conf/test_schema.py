"""The keys that a training has of itself are read from its files, and are those that Hydra composes; a command composes once."""

import hydra._internal.hydra as hydra_itself
import pytest
from omegaconf import OmegaConf

from difflab.cli.train import main
from difflab.config.run import schema
from running import SHORT, SMALL, composed


def test_the_schema_is_what_hydra_would_compose():
    assert OmegaConf.to_container(schema("train")) == OmegaConf.to_container(composed("train"))


def test_a_training_composes_its_configuration_once(tmp_path, monkeypatch, capsys):
    whole, names = hydra_itself.Hydra.compose_config, []

    def counted(self, config_name, *arguments, **given):
        names.append(config_name)
        return whole(self, config_name, *arguments, **given)

    monkeypatch.setattr(hydra_itself.Hydra, "compose_config", counted)
    monkeypatch.setattr("sys.argv", ["train.py", *SMALL, *SHORT, "trainer.max_steps=1", f"run.root={tmp_path}"])
    main()
    assert names == ["train"]
    assert (tmp_path / "cosine_adagn") in [path.parent for path in tmp_path.glob("*/*")]
    names.clear()
    monkeypatch.setattr("sys.argv", ["train.py", *SMALL, "network.widht=3", f"run.root={tmp_path}"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "did you mean 'width'" in capsys.readouterr().err
