"""Weightings: the same loss whatever the network predicts."""

import numpy as np
import pytest
import torch
from guided import GOLDEN

from difflab.objectives.weightings import P2, SNR, MinSNR, TruncatedSNR, Unweighted
from difflab.parameterizations import X0, Epsilon, Velocity
from difflab.process import snr
from difflab.schedules import cosine, own_chain

PEERS = np.load(GOLDEN / "schedules_extra.npz")
LEVEL = own_chain(cosine(100))[torch.arange(1, 101)]
RATIO = snr(LEVEL)
OUTPUTS = {"pred_noise": Epsilon(), "pred_x0": X0(), "pred_v": Velocity()}


def c_out(parameterization):
    return parameterization(
        torch.arange(1, 101).double() / 100, LEVEL.alpha, LEVEL.sigma, torch.arange(100).double()
    ).c_out


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(("min_snr", "weighting"), [(True, MinSNR(5.0)), (False, SNR())])
def test_lucidrains_loss_weights(output, min_snr, weighting):
    ours = weighting(RATIO, c_out(OUTPUTS[output]))
    np.testing.assert_allclose(ours, PEERS[f"lucidrains/loss_weight/cosine100/{output}/min_snr={min_snr}"], rtol=1e-5)


def test_closed_forms_on_the_error_of_x0():
    one = torch.ones(100, dtype=torch.float64)  # c_out of x0-prediction
    r = RATIO.numpy()
    np.testing.assert_allclose(Unweighted()(RATIO, one), np.ones(100))
    np.testing.assert_allclose(SNR()(RATIO, one), r)
    np.testing.assert_allclose(MinSNR(3.0)(RATIO, one), np.minimum(r, 3))
    np.testing.assert_allclose(TruncatedSNR()(RATIO, one), np.maximum(r, 1))
    np.testing.assert_allclose(P2(1.0, 0.5)(RATIO, one), r / np.sqrt(1 + r))


def test_closed_forms_on_the_error_of_eps():
    of_eps = c_out(Epsilon())
    r = RATIO.numpy()
    np.testing.assert_allclose(SNR()(RATIO, of_eps), np.ones(100), rtol=1e-12)
    np.testing.assert_allclose(P2(2.0, 1.5)(RATIO, of_eps), (2 + r) ** -1.5, rtol=1e-12)
    np.testing.assert_allclose(TruncatedSNR()(RATIO, of_eps), np.maximum(1, 1 / r), rtol=1e-12)
    np.testing.assert_allclose(MinSNR(5.0)(RATIO, of_eps), np.minimum(1, 5 / r), rtol=1e-12)
