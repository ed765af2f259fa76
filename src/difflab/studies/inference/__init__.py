"""By how much do rows differ, and could it be chance? Numbers per seed in, differences, intervals and verdicts out.

Which number of a run enters: the one of its last step, of one EMA track, both fixed before the run. The best of K checkpoints is the
best of K noisy numbers, hence better than the model: by 1.87 standard errors of one number for K = 20 independent ones (E max of K
normals). Between rows this luck cancels only if they have as many checkpoints and as much noise; a row that is measured more often, or
more noisily, wins without being better. The same holds for EMA tracks, guidance scales and samplers: where one of them is to be chosen,
`difflab.studies.choose` does it on other samples than it reports.
"""

from difflab.studies.inference.curves import Band, Curve, band, band_of_difference
from difflab.studies.inference.equivalence import Equivalence, equivalence
from difflab.studies.inference.holm import holm
from difflab.studies.inference.paired import PairedDifference, Pairing, paired_difference
from difflab.studies.inference.pilot import Pilot, pilot, pilot_of_pairs, pilot_of_seeds, pilots
from difflab.studies.inference.power import power, power_by_row, power_sentence, seeds_needed, smallest_difference
from difflab.studies.inference.sign_flip import SignFlip, sign_flip, sign_test
from difflab.studies.inference.skew_guard import skew_guard
from difflab.studies.inference.speedup import Reach, SeedSpeedup, Speedup, reach, speedup
from difflab.studies.inference.typical_seed import Tally, TypicalSeed, tally, typical_seed
from difflab.studies.inference.verdict import RULE, Comparison, Outcome, Verdict, interim, judge, verdicts
from difflab.studies.inference.wording import p_in_words

__all__ = [
    "RULE",
    "Band",
    "Comparison",
    "Curve",
    "Equivalence",
    "Outcome",
    "PairedDifference",
    "Pairing",
    "Pilot",
    "Reach",
    "SeedSpeedup",
    "SignFlip",
    "Speedup",
    "Tally",
    "TypicalSeed",
    "Verdict",
    "band",
    "band_of_difference",
    "equivalence",
    "holm",
    "interim",
    "judge",
    "p_in_words",
    "paired_difference",
    "pilot",
    "pilot_of_pairs",
    "pilot_of_seeds",
    "pilots",
    "power",
    "power_by_row",
    "power_sentence",
    "reach",
    "seeds_needed",
    "sign_flip",
    "sign_test",
    "skew_guard",
    "smallest_difference",
    "speedup",
    "tally",
    "typical_seed",
    "verdicts",
]
