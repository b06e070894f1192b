"""Laplace's approximation against its formulas, from explicit Jacobians."""

import math
import pickle

import numpy as np
import pytest
from curved import close, jacobian, made, objective_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax

import fastlec
from fastlec import BinaryCrossEntropy, MeanSquaredError, Network, Objective, SoftmaxCrossEntropy, curvature
from fastlec.layers import _factors as factors

pytestmark = pytest.mark.filterwarnings("ignore:net ends with")  # networks here end in any activation, whatever the loss


def log_likelihood(f, theta, sigma):
    z = f.net.with_theta(theta)(f.X)
    if isinstance(f.loss, SoftmaxCrossEntropy):
        return np.log(softmax(z, axis=1))[np.arange(len(z)), f.y].sum()
    if isinstance(f.loss, BinaryCrossEntropy):
        return (f.y * np.log(expit(z)) + (1 - f.y) * np.log(expit(-z))).sum()
    return (-((z - f.y) ** 2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))).sum()


def hessian_by_output(f, sigma):
    z = f.net(f.X).reshape(len(f.X), -1)
    q = z.shape[1]
    if isinstance(f.loss, SoftmaxCrossEntropy):
        p = softmax(z, axis=1)
        return p[:, :, None] * np.eye(q) - p[:, :, None] * p[:, None]
    if isinstance(f.loss, BinaryCrossEntropy):
        return (expit(z) * expit(-z))[:, :, None] * np.eye(q)
    return np.broadcast_to(np.eye(q) / sigma**2, (len(z), q, q))


@pytest.mark.parametrize("subset", ["last_layer", "all"])
@pytest.mark.parametrize("name", ["dense", "residual", "images", "strides", "own"])
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError(), BinaryCrossEntropy()], ids=str)
def test_laplace_is_the_gaussian_of_the_formulas(name, loss, subset, monkeypatch):
    net, X = made(name, m=30)
    rng = np.random.default_rng(2)
    q = net.output_shape(X.shape[1:])[0]
    y = rng.integers(0, q, 30) if isinstance(loss, SoftmaxCrossEntropy) else rng.random((30, q))
    f, sigma = Objective(net, loss, X, y, l2=0.5), 0.7
    J, J_new = jacobian(net, X), jacobian(net, X[:20] + 0.1)
    own = np.arange(net.n_params)
    if subset == "last_layer":
        last = str(max(i for i, layer in enumerate(net.layers) if layer.params)) + "."
        own = own[-sum(a.size for key, a in net.params.items() if key.startswith(last)) :]
    prior = rng.random(len(own)) + 0.5
    found = curvature.laplace(f, net.theta, subset=subset, prior_precision=prior, sigma_noise=sigma)
    J, J_new = J[:, :, own], J_new[:, :, own]
    precision = np.einsum("ica,icd,idb->ab", J, hessian_by_output(f, sigma), J) + np.diag(prior)
    close(found.precision, precision)
    mean, covariance = found.predictive(X[:20] + 0.1)
    assert_array_equal(mean, net(X[:20] + 0.1))
    expected = np.einsum("ica,ab,idb->icd", J_new, np.linalg.inv(precision), J_new)
    assert_allclose(covariance, expected, rtol=1e-8, atol=1e-10 * expected.max())
    monkeypatch.setattr(factors, "CHUNK_BYTES", 2000)
    monkeypatch.setattr(curvature, "PREDICTED_VALUES", 1)
    assert_allclose(
        found.variance(X[:20] + 0.1), np.diagonal(expected, axis1=1, axis2=2), rtol=1e-8, atol=1e-10 * expected.max()
    )
    at = net.theta[own]
    evidence = log_likelihood(f, net.theta, sigma) - (at * prior * at).sum() / 2
    evidence += (np.log(prior).sum() - np.linalg.slogdet(precision)[1]) / 2
    assert found.log_evidence == pytest.approx(evidence, rel=1e-10)
    other = found.with_prior_precision(2.0)
    same = curvature.laplace(f, net.theta, subset=subset, prior_precision=2, sigma_noise=sigma)
    assert other.log_evidence == pytest.approx(same.log_evidence, rel=1e-12)
    assert_allclose(other.variance(X), same.variance(X), rtol=1e-9)
    if not isinstance(loss, MeanSquaredError):
        scaled = mean / np.sqrt(1 + np.pi / 8 * np.diagonal(expected, axis1=1, axis2=2))
        expected = softmax(scaled, axis=1) if isinstance(loss, SoftmaxCrossEntropy) else expit(scaled)
        assert_allclose(found.predict_proba(X[:20] + 0.1), expected, rtol=1e-8)


def test_laplace_of_weights_float32_and_no_samples():
    f = objective_of("dense", "classes", dtype=np.float32)
    kept = f.y >= 0
    found = curvature.laplace(f, f.net.theta)
    loss = SoftmaxCrossEntropy(label_smoothing=0.1)
    other = curvature.laplace(Objective(f.net.astype(np.float64), loss, f.X[kept], f.y[kept]), f.net.theta)
    assert_allclose(found.precision, other.precision, rtol=1e-4, atol=1e-5)
    assert found.log_evidence == pytest.approx(other.log_evidence, rel=1e-5)
    assert_allclose(found.variance(f.X), other.variance(f.X), rtol=1e-4)
    assert found.variance(f.X[:0]).shape == (0, 3)
    assert found.names == ("2.W", "2.b")
    assert repr(found).startswith("<Laplace's approximation by 15 parameters: log evidence ")
    assert_array_equal(pickle.loads(pickle.dumps(found)).variance(f.X), found.variance(f.X))


def test_laplace_refuses():
    f = objective_of("dense", "huber")
    with pytest.raises(ValueError, match=r"^loss is Huber\(delta=0.5\); expected SoftmaxCrossEntropy, "):
        curvature.laplace(f, f.net.theta)
    f = objective_of("dense", "squares")
    theta = f.net.theta
    for options, match in (
        ({"subset": "first"}, r"^subset is 'first'; expected one of last_layer, all"),
        ({"prior_precision": 0}, r"^prior_precision is 0; expected finite numbers > 0"),
        ({"prior_precision": [1.0, 2.0]}, r"^prior_precision has shape \(2,\); expected a number or \(15,\)"),
        ({"sigma_noise": -1}, r"^sigma_noise is -1.0; expected a finite number >= 0"),
    ):
        with pytest.raises(ValueError, match=match):
            curvature.laplace(f, theta, **options)
    with pytest.raises(ValueError, match=r"^theta has shape \(2,\)"):
        curvature.laplace(f, theta[:2])
    with pytest.raises(ValueError, match="expected finite numbers"):
        curvature.laplace(f, theta * np.nan)
    found = curvature.laplace(f, theta)
    with pytest.raises(ValueError, match=r"^x has samples of shape \(4,\); expected \(5,\)"):
        found.variance(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"^the loss is MeanSquaredError\(\)"):
        found.predict_proba(f.X)
    with pytest.raises(ValueError, match=r"^net has no parameters"):
        curvature.laplace(Objective(Network([fastlec.Activation("tanh")]), MeanSquaredError(), f.X, f.X), np.zeros(0))
