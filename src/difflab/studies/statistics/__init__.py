"""Does a row differ from its baseline, by how much, and could it be chance?"""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.statistics.curves import (
        Band,
        Curve,
        Reach,
        SeedSpeedup,
        Speedup,
        band,
        band_of_difference,
        reach,
        speedup,
    )
    from difflab.studies.statistics.one_sample import SignFlip, sign_flip, sign_test
    from difflab.studies.statistics.paired import Equivalence, PairedDifference, Pairing, equivalence, paired_difference
    from difflab.studies.statistics.power import (
        Pilot,
        pilot,
        pilot_of_pairs,
        pilot_of_seeds,
        pilots,
        power,
        power_by_row,
        power_sentence,
        seeds_needed,
        smallest_difference,
    )
    from difflab.studies.statistics.sentences import GroupDifference, group_difference
    from difflab.studies.statistics.typical_seed import Tally, TypicalSeed, holm, skew_guard, tally, typical_seed
    from difflab.studies.statistics.verdict import RULE, Outcome, Pair, Verdict, interim, judge, verdicts

__all__ = [
    "RULE",
    "Band",
    "Curve",
    "Equivalence",
    "GroupDifference",
    "Outcome",
    "Pair",
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
    "group_difference",
    "holm",
    "interim",
    "judge",
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

on_demand(__name__)
