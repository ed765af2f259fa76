"""Samplers whose steps use the predictions of the steps before: one mechanism, and a rule for each of them."""

from difflab.samplers.multistep.adams_bashforth import AdamsBashforth, InLevel, InLogLevel, InTime, Polynomial, Variable
from difflab.samplers.multistep.dpm_solver import AsPublished, DPMSolver, Form, Midpoint, Taylor
from difflab.samplers.multistep.multistep import Multistep
from difflab.samplers.multistep.quantities import Clean, Eps, Quantity
from difflab.samplers.multistep.rule import Corrector, Rule
from difflab.samplers.multistep.span import Place, Span, Weights
from difflab.samplers.multistep.start import Growing, PseudoImprovedEuler, PseudoRungeKutta, StartUp
from difflab.samplers.multistep.unipc import B1, B2, Bh, UniC, UniP

__all__ = [
    "B1",
    "B2",
    "AdamsBashforth",
    "AsPublished",
    "Bh",
    "Clean",
    "Corrector",
    "DPMSolver",
    "Eps",
    "Form",
    "Growing",
    "InLevel",
    "InLogLevel",
    "InTime",
    "Midpoint",
    "Multistep",
    "Place",
    "Polynomial",
    "PseudoImprovedEuler",
    "PseudoRungeKutta",
    "Quantity",
    "Rule",
    "Span",
    "StartUp",
    "Taylor",
    "UniC",
    "UniP",
    "Variable",
    "Weights",
]
