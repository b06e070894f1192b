"""ClipNorm, and learning rates that go by epochs: ReduceOnPlateau, schedules with per="epoch"; in steps, fit and checkpoints."""

import nets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastlec import (
    SGD,
    Adam,
    AdamW,
    ClipNorm,
    CosineDecay,
    Dense,
    EarlyStopping,
    ExponentialDecay,
    History,
    Network,
    Optimizer,
    ReduceOnPlateau,
    RMSprop,
    SoftmaxCrossEntropy,
    StepDecay,
    fit,
    training_step,
)

CROSS = SoftmaxCrossEntropy()


class Plain(Optimizer):
    """Gradient descent, in Python."""

    lr = 0.5

    def step(self, theta, gradient, states, count):
        theta -= self.rate(count) * gradient


INNER = [SGD(0.5), SGD(0.1, 0.9, 0.1), Adam(0.01), AdamW(0.01), RMSprop(0.01, momentum=0.5), Plain()]


def problem(dtype, rng, m=20):
    net = Network([Dense(5, 6, dtype=dtype, rng=1), Dense(6, 3, "identity", dtype=dtype, rng=2)])
    return net, rng.standard_normal((m, 5)).astype(dtype), rng.integers(0, 3, m)


@pytest.mark.parametrize("own", [False, True], ids=["planned", "by layers"])
@pytest.mark.parametrize("trainable", [None, "1.*"], ids=["all", "some"])
@pytest.mark.parametrize("optimizer", INNER, ids=lambda optimizer: type(optimizer).__name__)
def test_gradients_have_a_norm_of_max_norm_at_most(optimizer, trainable, own, dtype, rng):
    """The optimizer by itself does the same with the loss's gradient scaled: of a loss times the factor."""
    net, X, y = problem(dtype, rng)
    net = Network([nets.Same(), *net.layers]) if own else net
    trainable = "2.*" if own and trainable else trainable
    output, jac = net.linearize(X)
    value, v = CROSS.value_and_gradient(output, y)
    names = [name for name in net.params if trainable is None or name.startswith(trainable[:2])]
    norm = np.sqrt(sum((g.astype(float) ** 2).sum() for g in jac.tmv(v, tuple(names)).values()))
    for max_norm in (norm / 3, norm * 3):
        factor = min(1.0, max_norm / (norm + 1e-6))
        other = Network(net.layers)

        class Scaled:
            targets = CROSS.targets

            def value_and_gradient(self, output, y):
                value, gradient = CROSS.value_and_gradient(output, y)
                return value, gradient * gradient.dtype.type(factor)  # noqa: B023

        training_step(other, Scaled(), optimizer, 20, trainable)(X, y)
        clipped = Network(net.layers)
        assert training_step(clipped, CROSS, ClipNorm(optimizer, max_norm), 20, trainable)(X, y) == pytest.approx(value)
        atol = 1e-4 if dtype == np.float32 else 1e-11  # of steps by the roots of small squares
        assert_allclose(clipped.theta, other.theta, rtol=0, atol=atol)
        unchanged = [name for name in net.params if name not in names]
        assert all((clipped.params[name] == net.params[name]).all() for name in unchanged)


def test_short_gradients_keep_their_bits(dtype, rng):
    net, X, y = problem(dtype, rng)
    for optimizer in INNER:
        found = []
        for chosen in (optimizer, ClipNorm(optimizer, 1e6)):
            trained = Network(net.layers)
            step = training_step(trained, CROSS, chosen, 20)
            found.append([step(X, y) for _ in range(3)] + [trained.theta.tobytes()])
        if not getattr(optimizer, "weight_decay", 0):  # else a product is added to the gradient before it is rounded, or after
            assert found[0] == found[1]


def test_clipping_refuses():
    with pytest.raises(ValueError, match=r"^max_norm is 0; expected a number > 0"):
        ClipNorm(SGD(0.1), 0)
    with pytest.raises(TypeError, match=r"^optimizer is 0.1; expected SGD"):
        ClipNorm(0.1, 1.0)
    assert repr(ClipNorm(SGD(0.5), 2)) == (
        "ClipNorm(optimizer=SGD(lr=0.5, momentum=0.0, weight_decay=0.0, nesterov=False), max_norm=2.0)"
    )


# --- rates by epochs --------------------------------------------------------------------------------------------------


def test_schedules_of_epochs(rng):
    """One rate for all steps of an epoch, that of the schedule at its number; in every optimizer."""
    net, X, y = problem(np.float64, rng)
    schedules = (
        StepDecay(0.5, 2, 0.5, per="epoch"),
        ExponentialDecay(0.5, 0.9, 2, per="epoch"),
        CosineDecay(0.5, 4, per="epoch"),
    )
    for schedule in schedules:
        for optimizer in (SGD(schedule), Adam(schedule), ClipNorm(RMSprop(schedule), 1.0)):
            history = fit(net, X, y, optimizer=optimizer, epochs=5, batch_size=3)
            assert history.learning_rate == [schedule(epoch) for epoch in range(5)]
        with pytest.raises(ValueError, match=r"^lr is .*per='epoch'\), which goes by epochs; expected a number"):
            training_step(net, CROSS, SGD(schedule), 20)(X, y)
    assert repr(CosineDecay(1, 5)) == "CosineDecay(lr=1.0, steps=5, floor=0.0, warmup=0)"
    with pytest.raises(ValueError, match=r"^per is 'year'; expected"):
        CosineDecay(1, 5, per="year")


def reduced(values, **settings):
    """The rates of the epochs after each of these losses."""
    rule = ReduceOnPlateau(1.0, **settings)
    return [rule.in_epoch(History(val_loss=values[:n])) for n in range(len(values) + 1)]


def test_plateaus_by_hand():
    assert reduced([3, 2, 2, 2, 2, 1], factor=0.5, patience=1) == [1, 1, 1, 1, 0.5, 0.5, 0.5]
    assert reduced([3, 3, 3, 3], factor=0.5, patience=0, min_lr=0.3) == [1, 1, 0.5, 0.3, 0.3]
    assert reduced([3, 3, 3, 3, 3], factor=0.5, patience=0, cooldown=2) == [1, 1, 0.5, 0.5, 0.5, 0.25]
    assert reduced([3, 2.9, 2.8], factor=0.5, patience=0, threshold=0.05) == [1, 1, 0.5, 0.5]


def test_plateaus_are_those_of_pytorch(rng):
    torch = pytest.importorskip("torch")
    values = rng.uniform(0.5, 1, 60).cumsum() % 3 + rng.uniform(0, 0.1, 60)
    for patience, cooldown, threshold in ((0, 0, 1e-4), (2, 3, 0.1), (1, 1, 0.3)):
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        settings = {"factor": 0.5, "patience": patience, "cooldown": cooldown, "threshold": threshold, "min_lr": 1e-6}
        plateau, rates = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings), [1.0]
        for value in values:
            plateau.step(value)
            rates.append(optimizer.param_groups[0]["lr"])
        assert reduced(values.tolist(), **settings) == pytest.approx(rates)


RATES = {
    "plateau": ReduceOnPlateau(0.5, 0.5, patience=0, threshold=0.2),
    "accuracy": ReduceOnPlateau(0.5, 0.5, patience=0, monitor="val_accuracy"),
    "epochs": ExponentialDecay(0.5, 0.8, per="epoch"),
}


@pytest.mark.parametrize("lr", RATES.values(), ids=RATES)
def test_training_goes_on_to_the_same_bits(lr, tmp_path):
    def trained(epochs, path, lr=lr):
        net, X, y = problem(np.float64, np.random.default_rng(0), 60)
        optimizer = ClipNorm(SGD(lr, momentum=0.9), 0.5)
        settings = {"epochs": epochs, "batch_size": 7, "validation": 0.3, "early_stopping": EarlyStopping(50)}
        return net.theta, fit(net, X, y, optimizer=optimizer, checkpoint=path, **settings)

    whole, history = trained(8, tmp_path / "whole.npz")
    assert history.learning_rate[-1] < history.learning_rate[0]
    trained(4, tmp_path / "parts.npz")
    theta, again = trained(8, tmp_path / "parts.npz")
    assert_array_equal(theta, whole)
    assert again.learning_rate == history.learning_rate
    assert again.notes == []
    _, changed = trained(9, tmp_path / "parts.npz", 0.001)
    assert changed.learning_rate == [*history.learning_rate, 0.001]
    assert changed.notes[0].startswith("from epoch 9 on lr is 0.001; it was ")


def test_what_a_plateau_monitors_is_measured(rng):
    net, X, y = problem(np.float64, rng)
    with pytest.raises(ValueError, match=r"^the optimizer's lr monitors val_loss and validation is None; expected"):
        fit(net, X, y, optimizer=SGD(ReduceOnPlateau(0.1)))
    assert len(fit(net, X, y, optimizer=SGD(ReduceOnPlateau(0.1, monitor="train_loss")), epochs=2)) == 2
    for settings, match in (
        ({"factor": 1.0}, "factor is 1.0; expected a number > 0 and < 1"),
        ({"patience": -1}, "patience is -1; expected at least 0"),
        ({"monitor": "loss"}, "monitor is 'loss'; expected"),
        ({"threshold": 1}, "threshold is 1.0; expected a number >= 0 and < 1"),
        ({"min_lr": -1}, "min_lr is -1"),
    ):
        with pytest.raises(ValueError, match=f"^{match}"):
            ReduceOnPlateau(0.1, **settings)


def test_an_lr_by_epochs_in_an_object_that_is_no_optimizer(rng):
    class Bare:
        lr, state_arrays = ReduceOnPlateau(0.1, monitor="train_loss"), 0

        def rate(self, count):
            return 0.1

        def step(self, theta, gradient, states, count):
            theta -= 0.1 * gradient

    net, X, y = problem(np.float64, rng)
    with pytest.raises(TypeError, match=r"^optimizer is a Bare, whose lr goes by epochs; expected a subclass of Optimizer"):
        fit(net, X, y, optimizer=Bare())
