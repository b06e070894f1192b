"""The tests that every communicator passes. A subclass says how ranks are started: `start(function, n, *arguments)` gives what the
function, one of `ranks`, returns on each rank."""

import pickle

import numpy as np
import pytest
import ranks

import fastlec.training

SIZES = [0, 1, 7, 1000, 100_003]
TRAININGS = [
    ("plain", "sgd", "float64", False),
    ("plain", "adam", "float64", True),
    ("plain", "clipped", "float32", False),
    ("norm", "sgd", "float64", True),
    ("norm", "sgd", "float32", False),
    ("images", "sgd", "float64", False),
]
CLUSTERINGS = [
    (weighted, settings)
    for weighted in (False, True)
    for settings in (
        {"init": "given", "algorithm": "lloyd"},
        {"init": "given", "tol": 0.0, "algorithm": "bounds"},
        {"init": "far"},
        {"n_init": 4},
        {"init": "random", "n_init": 4},
        {"init": "given", "batch_size": 300},
    )
]
OBJECTIVES = [
    (kind, weighted) for kind in ("softmax", "logistic", "network", "squares", "ignored") for weighted in (False, True)
]
SOLVED = [
    ("softmax", "lbfgs"),
    ("softmax", "newton-cg"),
    ("logistic", "Newton-CG"),
    ("network", "L-BFGS-B"),
    ("network", "dense"),
    ("network", "cg"),
    ("squares", "auto"),
]


def same_bits(found):
    """What the first rank has found, which all others have, too."""
    for other in found[1:]:
        for a, b in zip(_flat(found[0]), _flat(other), strict=True):
            assert a == b if isinstance(a, str | bytes) else np.array_equal(a, b)
    return found[0]


def _flat(found):
    if isinstance(found, dict):
        found = [found[name] for name in sorted(found)]
    if isinstance(found, list | tuple) and not all(isinstance(part, float) for part in found):
        return [a for part in found for a in _flat(part)]
    return [found if isinstance(found, str | bytes) else np.asarray(found, object if found is None else None)]


@pytest.mark.parametrize("n", [2, 3])
class OnRanks:
    def test_sums_and_what_is_made_of_them(self, n):
        same_bits(self.start(ranks.several, n, [("sums", (SIZES,))]))
        said = self.start(ranks.disagree, n)
        assert set(said) == {"b is 1 on rank 1 and 0 on rank 0; expected the same on all ranks"}

    def test_fit_makes_the_steps_of_one_process_on_the_whole_batches(self, n):
        calls = [("trained", arguments) for arguments in TRAININGS]
        found = same_bits(self.start(ranks.several, n, calls))
        again = same_bits(self.start(ranks.several, n, calls))
        assert pickle.dumps(found) == pickle.dumps(again)
        for (theta, buffers, measured, _, _), arguments in zip(found, TRAININGS, strict=True):
            one, own, losses = ranks.by_steps(n, *arguments)
            close = 100 * np.finfo(theta.dtype).eps
            assert np.abs(theta - one).max() <= close * np.abs(one).max()
            for name, a in own.items():
                assert np.abs(buffers[name] - a).max() <= close * (1 + np.abs(a).max())
            np.testing.assert_allclose(measured["train_loss"], losses, rtol=close)

    def test_buckets_of_the_gradient_make_the_same_steps(self, n):
        calls = [
            (name, ("plain", optimizer)) for name in ("trained", "trained_in_buckets") for optimizer in ("adam", "clipped")
        ]
        *whole, one, other = same_bits(self.start(ranks.several, n, calls))
        for (theta, *_), ((own, *_), begun) in zip(whole, (one, other), strict=True):
            assert np.abs(own - theta).max() <= 1e-14 * np.abs(theta).max()
            assert begun == 2  # a bucket for each layer

    def test_validation_stopping_and_dropout_agree(self, n):
        more = {
            "validation": 0.25,
            "early_stopping": fastlec.EarlyStopping(2, monitor="val_accuracy"),
            "class_weight": "balanced",
        }
        calls = [("trained_with", (kind, "adam", {"epochs": 20, **more})) for kind in ("plain", "dropout", "norm")]
        for _, _, measured, best, _ in same_bits(self.start(ranks.several, n, calls)):
            assert best == len(measured["val_accuracy"]) - 2
            assert 0.5 < max(measured["val_accuracy"]) <= 1

    def test_objectives_have_the_derivatives_of_all_samples(self, n):
        calls = [("derivatives", arguments) for arguments in OBJECTIVES]
        found = same_bits(self.start(ranks.several, n, calls))
        for own, whole in zip(found, ranks.several(None, calls), strict=True):
            for name, a in whole.items():
                assert np.abs(own[name] - a).max() <= 1e-13 * np.abs(a).max(), name

    def test_solvers_run_in_step(self, n):
        calls = [("minimised", arguments) for arguments in SOLVED]
        *found, said = same_bits(self.start(ranks.several, n, [*calls, ("out_of_step", ())]))
        for (_, cost), (_, whole) in zip(found, ranks.several(None, calls), strict=True):
            assert abs(cost - whole) <= 1e-8 * abs(whole)
        assert said.startswith("theta is not the same on all ranks")

    def test_kmeans_finds_the_clusters_of_all_samples(self, n):
        found = self.start(ranks.clusterings, n, CLUSTERINGS)
        same_bits([[one[:3] for one in own] for own in found])
        whole = ranks.clusterings(None, CLUSTERINGS)
        for i, (centers, inertia, n_iter, labels) in enumerate(whole):
            own, (_, settings) = found[0][i], CLUSTERINGS[i]
            if "batch_size" in settings or "init" not in settings or settings["init"] == "random":  # other samples are drawn
                assert own[1] <= (1.5 if settings.get("init") == "random" else 1.01) * inertia
                continue
            np.testing.assert_allclose(own[0], centers, rtol=1e-11, atol=1e-11)
            assert abs(own[1] - inertia) <= 1e-11 * inertia
            assert own[2] == n_iter
            assert np.array_equal(np.concatenate([one[i][3] for one in found]), labels)
