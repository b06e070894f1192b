"""Optimizers and schedules by themselves: formulas, settings that they refuse. What a step makes of them: test_step.py."""

import copy
import pickle
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


TEN = 10**400
SCHEDULES = [StepDecay(0.5, 4, 0.5, 3), ExponentialDecay(0.5, 0.9, 3), ExponentialDecay(0.5, 1.0), CosineDecay(0.5, 8, 0.1, 3)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_schedules_go_on_for_ever(schedule):
    rates = [schedule(step) for step in (5000, 10**6, 10**12, 10**18, 2**63, TEN, np.int64(5000))]
    assert all(type(rate) is float and 0 <= rate <= 0.5 for rate in rates)
    assert rates[-2] == schedule(10**300)


def test_schedules_of_any_length():
    assert CosineDecay(0.5, TEN)(TEN) == StepDecay(0.5, 1)(TEN) == ExponentialDecay(0.5, 0.9, warmup=TEN)(7) == 0
    assert CosineDecay(0.5, TEN)(7) == StepDecay(0.5, TEN)(7) == 0.5


GROWING = [ExponentialDecay(0.5, 1.2), StepDecay(0.5, 2, 3.0), ExponentialDecay(1e308, 1.01, 2)]


@pytest.mark.parametrize("schedule", GROWING, ids=str)
def test_rates_that_grow_beyond_all_bounds(schedule):
    """A ValueError that names the step, from the schedule and from an optimizer alike."""
    assert schedule(3) < schedule(5)
    for step in (5000, 10**18, TEN):
        for ask in (schedule, SGD(schedule).rate, Adam(schedule).rate):
            with pytest.raises(ValueError, match=r"^lr\(\d+\) is inf; expected a finite number"):
                ask(step)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize(("step", "error"), [(-1, ValueError), (0.5, TypeError), ("a", TypeError), (None, TypeError)])
def test_steps_are_counted(schedule, step, error):
    with pytest.raises(error, match=r"^step is "):
        schedule(step)


@pytest.mark.parametrize(
    ("rate", "error"), [(np.nan, ValueError), (-0.1, ValueError), (TEN, ValueError), (None, TypeError), ([0.1], TypeError)]
)
def test_schedules_that_give_no_rate(rate, error):
    for optimizer in (SGD(lambda step: rate), Adam(lambda step: rate)):
        with pytest.raises(error, match=r"^lr\(3\) is "):
            optimizer.rate(3)


def test_settings_are_plain_numbers_and_stay():
    """However they were given, so that equal settings are equal, and read the same."""
    given = SGD(np.float32(0.5), np.float64(0.5), 1, np.True_)
    assert (given, repr(given)) == (SGD(0.5, 0.5, 1.0, True), "SGD(lr=0.5, momentum=0.5, weight_decay=1.0, nesterov=True)")
    betas = [0.5, np.float32(0.25)]
    adam = Adam(1, betas)
    betas[0] = 3
    assert repr(adam) == "Adam(lr=1.0, betas=(0.5, 0.25), eps=1e-08, weight_decay=0.0)"
    assert hash(adam) == hash(Adam(1, (0.5, 0.25)))
    assert repr(CosineDecay(1, np.int8(5))) == "CosineDecay(lr=1.0, steps=5, floor=0.0, warmup=0)"
    for settings in (given, adam, *SCHEDULES):
        for name in ("lr", "other"):
            with pytest.raises(AttributeError):
                setattr(settings, name, 1.0)
        assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings


REFUSED = {
    "lr": (lambda: SGD(0), ValueError, "lr is 0.0; expected a number > 0"),
    "lr negative": (lambda: Adam(-1e-3), ValueError, "lr is -0.001; expected"),
    "lr NaN": (lambda: SGD(np.nan), ValueError, "lr is nan; expected"),
    "lr infinite": (lambda: SGD(np.inf), ValueError, "lr is inf; expected"),
    "lr text": (lambda: SGD("fast"), TypeError, "lr is 'fast'; expected a number"),
    "lr huge": (lambda: SGD(TEN), ValueError, "lr is an integer of 1329 bits; expected a number that float64 holds"),
    "lr bytes": (lambda: SGD(b"0.1"), TypeError, "lr is b'0.1'; expected a number"),
    "lr complex": (lambda: SGD(np.complex128(1)), TypeError, "lr is "),
    "lr array": (lambda: SGD(np.array([0.1])), TypeError, "lr is array([0.1]); expected a number"),
    "lr a class": (
        lambda: SGD(CosineDecay),
        TypeError,
        "lr is <class 'fastlec.training.optim.CosineDecay'>, a class; expected",
    ),
    "lr a schedule's": (lambda: CosineDecay(CosineDecay(0.1, 5), 5), TypeError, "lr is CosineDecay("),
    "momentum huge": (
        lambda: SGD(0.1, TEN),
        ValueError,
        "momentum is an integer of 1329 bits; expected a number that float64 holds",
    ),
    "momentum None": (lambda: SGD(0.1, None), TypeError, "momentum is None; expected a number"),
    "weight decay huge": (
        lambda: SGD(0.1, weight_decay=TEN),
        ValueError,
        "weight_decay is an integer of 1329 bits; expected a number that float64 holds",
    ),
    "weight decay NaN": (lambda: SGD(0.1, weight_decay=np.nan), ValueError, "weight_decay is nan; expected"),
    "nesterov text": (lambda: SGD(0.1, 0.9, nesterov="no"), TypeError, "nesterov is 'no'; expected True or False"),
    "betas huge": (
        lambda: Adam(betas=(TEN, 0.9)),
        ValueError,
        "betas[0] is an integer of 1329 bits; expected a number that float64 holds",
    ),
    "betas a number": (lambda: Adam(betas=0.9), ValueError, "betas is 0.9; expected two numbers"),
    "betas NaN": (lambda: Adam(betas=(0.9, np.nan)), ValueError, "betas[1] is nan; expected"),
    "eps huge": (lambda: Adam(eps=TEN), ValueError, "eps is an integer of 1329 bits; expected a number that float64 holds"),
    "factor huge": (
        lambda: ExponentialDecay(0.1, TEN),
        ValueError,
        "factor is an integer of 1329 bits; expected a number that float64 holds",
    ),
    "factor NaN": (lambda: StepDecay(0.1, 2, np.nan), ValueError, "factor is nan; expected"),
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
