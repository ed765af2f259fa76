"""Words that Hydra's grammar has no letters for."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from difflab.config.words import readable


@pytest.mark.parametrize(
    "path", ["/tmp/my clone ü/runs", "runs/a(1)/b", "/data/Vögel", "C\\ü", "日本", "/a/b c!/d", "/it;is&so/x"]
)
def test_a_path_is_read_as_it_is_written(path):
    (word,) = readable([f"run.root={path}"])
    assert OverridesParser.create().parse_override(word).value() == path


@pytest.mark.parametrize(
    "word",
    [
        "run.root=/tmp/my clone/runs",
        'run.root="/tmp/my clone ü/runs"',
        "seed=1,2,3",
        "seed=range(0,3)",
        "metric=[frechet,ü",
        "guidance={a:1}",
        "trainer.max_steps",
        "~data",
        "run.name=a=b",
        "data.dataset.root=a(1),b(2)",
    ],
)
def test_all_else_stays(word):
    assert readable([word]) == [word]
