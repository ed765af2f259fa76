"""Less talk from Lightning and Hydra."""

import logging
import warnings


def quiet_lightning() -> None:
    """Lightning speaks of devices, hooks and loaders at length; its warnings stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # what it cannot find is raised as well
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
    warnings.filterwarnings("once", message=".*singular.*")
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"  # not the line of code that gave it
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # metrics are sums over all processes already
