"""Schedules that learn with the model, through the bound: a table of betas, and a log-SNR along a monotone network.

Both have finitely many steps, as the bound of `objectives.VLB` has. They learn from whatever depends on them: an objective whose loss is no
bound (`Simple`) would be made small by a schedule that leaves nothing to do, and teaches them nothing worth having.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float64
from torch import Tensor, nn

from difflab.schedules.discrete import Tabulated, between_rows, step_time
from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class LearnedBetas(nn.Module, NoiseSchedule):
    """beta_2, ..., beta_T by the bound, beta_1 as it is (Sohl-Dickstein et al. 2015, section 2.4.1).

        beta_i = sigmoid(logit of the first table's beta_i + shift_i),      shift_i learned, 0 at first

    The first step is held fixed, as in the paper, "to prevent overfitting": without noise in x_1 the density of the training images has no
    bound. What the paper calls frozen noise is x_t = alpha_t x_0 + sigma_t eps, through which gradients reach the betas. Steps sit and are
    interpolated as those of `Tabulated`; the network is told i.

    Args:
        start: The table with which training begins; its beta_1 stays.
    """

    def __init__(self, start: Tabulated):
        super().__init__()
        if len(start.betas) < 2 or (start.betas == 1).any():
            raise ValueError(
                f"schedule.start: betas that learn begin with at least two steps and below 1, and these {len(start.betas)} end at "
                f"{float(start.betas[-1]):.4g}: choose linear, cosine or tabulated"
            )
        self.start = start
        self.steps = self._count = len(start.betas)
        self.shift = nn.Parameter(torch.zeros(self._count - 1))

    @property
    def betas(self) -> Float64[Tensor, " n"]:
        """The variances of the T steps, as the weights are now."""
        return torch.sigmoid(self._logits(self.shift.device))

    def _logits(self, device: torch.device) -> Float64[Tensor, " n"]:
        return torch.logit(self.start.betas.to(device)) + F.pad(self.shift.double().to(device), (1, 0))

    def forward(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        log_alpha_bar = F.pad(F.logsigmoid(-self._logits(t.device)).cumsum(0), (1, 0))
        alpha = torch.exp(0.5 * log_alpha_bar)
        sigma = torch.cat([alpha.new_zeros(1), torch.sqrt(-torch.expm1(log_alpha_bar[1:]))])
        return between_rows(AlphaSigma(alpha, sigma), t)

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.start.network_time(t)

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.start.time(u)


class MonotoneLogSNR(nn.Module, NoiseSchedule):
    """log-SNR falls from one learned end to the other along a learned monotone network (Kingma et al. 2021, section 3.1 and appendix H).

        log-SNR(p) = high + (low - high) (g(p) - g(0)) / (g(1) - g(0)),      p = 0 at the first step, 1 at the last
        g(p)       = a + w_3 . sigmoid(w_2 a + b_2),                         a = w_1 p, all weights w positive

    and alpha^2 = sigmoid(log-SNR), sigma^2 = 1 - alpha^2. Ends and interior all learn by the bound, which in T steps depends on both (eq.
    13). In the paper's continuous time it depends on the ends alone (eq. 18), so that the interior is free to make the estimate's variance
    small (appendix I.2); for many steps the two agree on the ends, and the interior matters little. The network is told i, the step.

    Args:
        steps: T.
        log_snr_max: At the first step, to begin with.
        log_snr_min: At the last.
        width: Hidden units.
    """

    def __init__(self, steps: int = 1000, log_snr_max: float = 8.0, log_snr_min: float = -8.0, width: int = 64):
        super().__init__()
        if steps < 2 or width < 1 or not log_snr_min < log_snr_max:
            raise ValueError(
                f"steps={steps} must be at least 2, width={width} at least 1, and log_snr_min={log_snr_min} below "
                f"log_snr_max={log_snr_max}"
            )
        self.steps = self._count = steps
        self._first = (log_snr_max, log_snr_min)
        self.ends = nn.Parameter(
            torch.zeros(2)
        )  # of the middle, and of the logarithm of the range: high stays above low
        self.slope = nn.Parameter(torch.zeros(()))
        self.inner, self.outer = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.full((width,), -4.0))
        self.bias = nn.Parameter(torch.linspace(-6, 6, width) if width > 1 else torch.zeros(1))

    def log_snr(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """log(alpha^2 / sigma^2) at times t, [B]."""
        high, low = self._first
        middle, stretch = self.ends.double().to(t.device)
        span = (high - low) * stretch.exp()
        p = (t.double() * self._count - 1) / (self._count - 1)
        at_0, at_1 = self._rise(p.new_tensor([0.0, 1.0]))
        return (high + low) / 2 + middle + span * (0.5 - (self._rise(p) - at_0) / (at_1 - at_0))

    def _rise(self, p: Tensor) -> Tensor:
        slope, inner, outer, bias = (w.double().to(p.device) for w in (self.slope, self.inner, self.outer, self.bias))
        a = F.softplus(slope) * p
        hidden = torch.sigmoid(10 * F.softplus(inner) * (a[..., None] - 0.5) + bias)
        return a + (F.softplus(outer) * hidden).sum(-1)

    def forward(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        log_snr = self.log_snr(t)
        return AlphaSigma(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return t * self._count - 1

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return step_time(u, self._count)
