"""A run that was begun before conditionings could be chosen is the same run now."""

from difflab.runs import identity


def test_no_conditioning_leaves_a_run_what_it_was():
    old = {"_target_": "difflab.callbacks.ObjectiveCallback", "objective": "simple"}
    new = {"_target_": "difflab.training.callbacks.ObjectiveCallback", "objective": "simple"}
    before = {"seed": 0, "module": {"objective": old}}
    now = {"seed": 0, "conditioning": {}, "module": {"objective": new | {"conditionings": {}}}}
    low = {"low_resolution": {"size": 8}}
    enlarges = {"seed": 0, "conditioning": low, "module": {"objective": new | {"conditionings": low}}}
    assert identity(before, "data", "judge") == identity(now, "data", "judge")
    assert identity(enlarges, "data", "judge") != identity(now, "data", "judge")
