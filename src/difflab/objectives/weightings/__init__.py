"""How much a time counts."""

from difflab.objectives.weightings.edm import EDM
from difflab.objectives.weightings.min_snr import MinSNR
from difflab.objectives.weightings.p2 import P2
from difflab.objectives.weightings.snr import SNR
from difflab.objectives.weightings.truncated_snr import TruncatedSNR
from difflab.objectives.weightings.unweighted import Unweighted
from difflab.objectives.weightings.weighting import Weighting

__all__ = ["EDM", "P2", "SNR", "MinSNR", "TruncatedSNR", "Unweighted", "Weighting"]
