"""Optimizers and schedules by themselves: formulas, settings that they refuse. What a step makes of them: test_step.py."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastlec import (
    SGD,
    Adam,
    CosineDecay,
    ExponentialDecay,
    StepDecay,
)


def test_schedules():
    """Each by its formula, step for step, with and without a warmup of three."""
    formulas = [
        (StepDecay(0.5, 4), lambda t: 0.5 * 0.1 ** (t // 4)),
        (StepDecay(0.5, 2, 0.25), lambda t: 0.5 * 0.25 ** (t // 2)),
        (ExponentialDecay(0.5, 0.9), lambda t: 0.5 * 0.9**t),
        (CosineDecay(0.5, 8), lambda t: 0.25 * (1 + np.cos(np.pi * min(t, 8) / 8))),
        (CosineDecay(0.5, 8, 0.1), lambda t: 0.5 * (0.1 + 0.9 * (1 + np.cos(np.pi * min(t, 8) / 8)) / 2)),
    ]
    for schedule, formula in formulas:
        assert_allclose([schedule(t) for t in range(20)], [formula(t) for t in range(20)], rtol=1e-13, atol=1e-16)
        assert all(type(schedule(t)) is float for t in range(3))
    warm = [
        (StepDecay(0.5, 4, warmup=3), formulas[0][1]),
        (ExponentialDecay(0.5, 0.9, warmup=3), formulas[2][1]),
        (CosineDecay(0.5, 8, 0.1, warmup=3), formulas[4][1]),
    ]
    for schedule, formula in warm:
        expected = [0.5 / 3, 1 / 3, 0.5, *(formula(t) for t in range(17))]
        assert_allclose([schedule(t) for t in range(20)], expected, rtol=1e-13, atol=1e-16)


REFUSED = {
    "lr": (lambda: SGD(0), ValueError, "lr is 0.0; expected a number > 0"),
    "lr negative": (lambda: Adam(-1e-3), ValueError, "lr is -0.001; expected"),
    "lr NaN": (lambda: SGD(np.nan), ValueError, "lr is nan; expected"),
    "lr infinite": (lambda: SGD(np.inf), ValueError, "lr is inf; expected"),
    "lr text": (lambda: SGD("fast"), TypeError, "lr is 'fast'; expected a number"),
    "lr None": (lambda: Adam(None), TypeError, "lr is None; expected a number"),
    "momentum": (lambda: SGD(0.1, 1.0), ValueError, "momentum is 1.0; expected a number >= 0 and < 1"),
    "momentum negative": (lambda: SGD(0.1, -0.1), ValueError, "momentum is -0.1; expected"),
    "weight decay": (lambda: SGD(0.1, weight_decay=-1), ValueError, "weight_decay is -1.0; expected"),
    "nesterov": (lambda: SGD(0.1, nesterov=True), ValueError, "nesterov is True and momentum 0; expected momentum > 0"),
    "betas": (lambda: Adam(betas=(0.9, 1.0)), ValueError, "betas[1] is 1.0; expected a number >= 0 and < 1"),
    "three betas": (lambda: Adam(betas=(0.9, 0.99, 0.5)), ValueError, "betas is (0.9, 0.99, 0.5); expected two numbers"),
    "eps": (lambda: Adam(eps=0), ValueError, "eps is 0.0; expected a number > 0"),
    "adam's decay": (lambda: Adam(weight_decay=-0.1), ValueError, "weight_decay is -0.1; expected"),
    "every": (lambda: StepDecay(0.1, 0), ValueError, "every is 0; expected at least 1"),
    "every float": (lambda: StepDecay(0.1, 2.5), TypeError, "every is 2.5; expected an integer"),
    "factor": (lambda: StepDecay(0.1, 2, 0), ValueError, "factor is 0.0; expected a number > 0"),
    "exponential": (lambda: ExponentialDecay(0.1, -1), ValueError, "factor is -1.0; expected"),
    "schedule's lr": (lambda: ExponentialDecay(0.0, 0.9), ValueError, "lr is 0.0; expected a number > 0"),
    "steps": (lambda: CosineDecay(0.1, 0), ValueError, "steps is 0; expected at least 1"),
    "floor": (lambda: CosineDecay(0.1, 5, 1.0), ValueError, "floor is 1.0; expected a number >= 0 and < 1"),
    "warmup": (lambda: CosineDecay(0.1, 5, warmup=-1), ValueError, "warmup is -1; expected at least 0"),
}


@pytest.mark.parametrize(("call", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_settings(call, error, match):
    with pytest.raises(error, match=f"^{re.escape(match)}") as caught:
        call()
    assert caught.type is error
