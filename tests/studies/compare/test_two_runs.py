"""Two runs in one process, as of a sweep, a search or a notebook, know nothing of each other."""

import gc
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from running import SHORT, differences, saved_state, train_small

LOGGED = ("logger=[wandb]", "data.num_workers=1")
OTHER = ("seed=3", "trainer.precision=bf16-mixed", "network.width=32", "checkpoint_io=asynchronous")


def state_of_the_process(others: Collection[threading.Thread]) -> dict[str, Any]:
    """What a run could leave behind for the next one.

    Args:
        others: Threads of earlier tests. Of the later ones those that have been told to end are waited for.
    """
    for thread in set(threading.enumerate()) - set(others):
        if thread.name == "run lock":
            thread.join(30)
    loggers = [
        logging.root,
        *(log for log in logging.root.manager.loggerDict.values() if isinstance(log, logging.Logger)),
    ]
    return {
        "environment": dict(os.environ),
        "handlers": {log.name: list(map(repr, log.handlers)) for log in loggers if log.handlers},
        "levels": {log.name: log.level for log in loggers if log.level},
        "filters": sorted(str(one) for one in warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals() if number < 32},
        "hooks": (sys.exit, sys.excepthook, threading.excepthook, sys.argv[:], os.getcwd()),
        "torch": (
            *(torch.get_num_threads(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()),
            *(torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.is_grad_enabled()),
            *(
                torch.get_float32_matmul_precision(),
                torch.distributed.is_initialized(),
                torch.is_autocast_enabled("cpu"),
            ),
        ),
        "threads": sorted(thread.name for thread in threading.enumerate() if thread not in others),
        "garbage": (gc.isenabled(), gc.get_threshold()),
    }


def assert_unchanged(before: dict[str, Any], others: Collection[threading.Thread]) -> None:
    now = state_of_the_process(others)
    assert set(now["environment"].items()) ^ set(before["environment"].items()) == set()
    assert now == before


def test_a_run_is_the_same_after_another_and_leaves_the_process_as_it_was(tmp_path):
    others = threading.enumerate()
    alone = train_small(tmp_path / "alone", *SHORT, *LOGGED).run
    before = state_of_the_process(others)
    train_small(tmp_path / "after", *SHORT, *LOGGED, *OTHER)
    assert_unchanged(before, others)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    after = train_small(tmp_path / "after", *SHORT, *LOGGED).run
    assert_unchanged(before, others)
    assert after.path.name == alone.path.name
    one, other = saved_state(alone), saved_state(after)
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops")
    assert [found for part in parts for found in differences(one[part], other[part], part)] == []
    assert after.last_scores() == alone.last_scores()
    pictures = [sorted((path.name, path.read_bytes()) for path in run.samples.iterdir()) for run in (alone, after)]
    assert pictures[0] == pictures[1]
