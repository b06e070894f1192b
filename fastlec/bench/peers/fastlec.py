"""fastlec itself."""

from itertools import chain, cycle
from types import MappingProxyType

import numpy as np

from ..bridges import by_autograd, convolution_by_autograd
from ..curvature import DAMPING
from ..image_nets import Conv, Flatten, Pool
from ..kinds import unpack
from ..nets import RATE, Dense, split
from ..norms import EPS
from .base import Peer


class Fastlec(Peer):
    name = module = "fastlec"
    HELD = MappingProxyType({isa: {"FASTLEC_ISA": isa} for isa in ("base", "neon", "avx2", "avx512")})

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.set_num_threads(threads)

    def unary(self, case, x, out):
        function, axis = getattr(self.lib, case.op), case.axis
        if "softmax" not in case.op:
            return lambda: function(x, out=out)
        return (lambda: function(x, out=out)) if axis == -1 else (lambda: function(x, axis=axis, out=out))

    smooth = unary

    def cross_entropy(self, case, logits, labels, out):
        function = self.lib.softmax_cross_entropy
        return lambda: function(logits, labels, grad_out=out)

    def value_and_gradient(self, case, X, y, theta, out):
        objective = self.lib.SoftmaxObjective(X, y, case.shape[2])

        def work():
            value, gradient = objective.value_and_gradient(theta)
            return value, *unpack(gradient, case)

        return work

    def hessian_mv(self, case, X, y, theta, v, out):
        objective = self.lib.SoftmaxObjective(X, y, case.shape[2])
        return lambda: unpack(objective.hessian_mv(theta, v), case)

    def hessian_mv_frozen(self, case, X, y, theta, v, out):
        operator = self.lib.SoftmaxObjective(X, y, case.shape[2]).hessian_operator(theta)
        return lambda: unpack(operator.matvec(v), case)

    def robust_lstsq(self, case, A, y, out):
        robust_lstsq = self.lib.robust_lstsq
        return lambda: robust_lstsq(A, y).x

    def kmeans(self, case, X, start, out):
        _, _, k, iterations = case.shape
        options = {"init": start, "max_iter": iterations, "tol": 0, "algorithm": case.algorithm}
        return lambda: self.lib.kmeans(X, k, **options).inertia

    def product(self, case, a, b, out):
        (a, b), matmul = case.operands(a, b), self.lib.matmul
        return lambda: matmul(a, b, out=out)

    def _model(self, net, theta):
        """The layer itself where there is but one."""
        layers = [
            self.lib.Dense(layer.n_in, layer.n_out, layer.activation, dtype=theta.dtype)
            if isinstance(layer, Dense)
            else self.lib.Residual(layer.n, activation=layer.activation, dtype=theta.dtype)
            for layer in net
        ]
        model = layers[0] if len(layers) == 1 else self.lib.Network(layers)
        for parameter, values in zip(model.params.values(), chain(*split(net, theta)), strict=True):
            parameter[...] = values
        return model

    def forward(self, case, X, theta, out):
        model = self._model(case.shape[1], theta)
        return lambda: model(X, out=out)

    def dense_jac_tmv(self, case, X, theta, v, out):
        layer = self._model(case.shape[1], theta)
        _, jac = layer.linearize(X)
        parts = {"x": np.empty_like(X)} | {name: np.empty_like(parameter) for name, parameter in layer.params.items()}
        results = tuple(parts.values())

        def work():
            jac.tmv(v, out=parts)
            return results

        return work

    def dense_jac_mv(self, case, X, theta, dX, dtheta, out):
        net = case.shape[1]
        layer = self._model(net, theta)
        directions = dict(zip(("x", *layer.params), (dX, *split(net, dtheta)[0]), strict=True))
        return lambda: layer.value_and_jac_mv(X, **directions)

    def jac_mv(self, case, X, theta, dX, dtheta, out):
        net = case.shape[1]
        model = self._model(net, theta)
        _, jac = model.linearize(X)
        directions = dict(zip(("x", *model.params), (dX, *chain(*split(net, dtheta))), strict=True))
        return lambda: jac.mv(**directions)

    def jac_tmv(self, case, X, theta, v, out):
        _, jac = self._model(case.shape[1], theta).linearize(X)
        return lambda: jac.tmv(v)

    def _norm(self, case, gamma, beta):
        """The layer, in its form for training."""
        kind = self.lib.LayerNorm if case.op.startswith("layer_norm") else self.lib.BatchNorm
        layer = kind(len(gamma), EPS, dtype=gamma.dtype).for_training()
        return layer.with_params({"gamma": gamma, "beta": beta})

    def norm(self, case, x, gamma, beta, out):
        layer = self._norm(case, gamma, beta)
        return lambda: layer(x)

    def norm_jac_tmv(self, case, x, gamma, beta, v, out):
        _, jac = self._norm(case, gamma, beta).linearize(x)
        return lambda: tuple(jac.tmv(v).values())

    def dropout(self, case, x, out):
        layer = self.lib.Dropout(case.p, training=True, rng=0)

        def work():
            y = layer(x)
            layer.update_buffers(None)
            return x, y

        return work

    def fit_net(self, case, X, y, out):
        _, _, hidden, batch_size, epochs, rate = case.shape
        options = {"batch_size": batch_size, "epochs": epochs, "learning_rate": rate, "random_state": 0}
        return lambda: (self.lib.sklearn.NetClassifier(hidden, **options).fit(X, y), X, y)

    def fit_softmax(self, case, X, y, out):
        return lambda: (self.lib.sklearn.SoftmaxClassifier(C=case.shape[2]).fit(X, y), X, y)

    def arrays(self, case, result):
        if case.op.startswith("fit_"):
            return case.result(result)
        if case.op == "point":
            y, dy, parts = result
            return y, dy, *parts.values()
        return tuple(result.values()) if case.op == "jac_tmv" else super().arrays(case, result)

    def step(self, case, X, y, theta, out):
        net = self._model(case.shape[1], theta)
        step = self.lib.training_step(net, self.lib.SoftmaxCrossEntropy(), self.lib.SGD(RATE), len(X))
        theta = net.theta
        return lambda: (step(X, y), theta)

    def conv(self, case, x, W, b, out):
        conv2d, options = self.lib.conv2d, case.layer.options
        return lambda: conv2d(x, W, b, out=out, **options)

    def conv_data_gradient(self, case, v, x, W, out):
        conv2d_jac_tmv, options = self.lib.conv2d_jac_tmv, case.layer.options
        return lambda: conv2d_jac_tmv(v, x, W, wrt=("x",), **options)["x"]

    def conv_weight_gradient(self, case, v, x, W, out):
        conv2d_jac_tmv, options = self.lib.conv2d_jac_tmv, case.layer.options
        return lambda: conv2d_jac_tmv(v, x, W, wrt=("W",), **options)["W"]

    def autograd_conv(self, case, x, W, b, v, out):
        return convolution_by_autograd(case, self._torch().ops.conv2d, x, W, b, v)

    def autograd_cross_entropy(self, case, logits, labels, out):
        labels, loss = self._torch().tensors.torch.as_tensor(labels), self._torch().ops.softmax_cross_entropy
        return by_autograd(lambda logits: loss(logits, labels), (logits,))

    def _torch(self):
        """The bridge, where PyTorch has as many threads, for what it does itself."""
        bridge = self.lib.torch
        bridge.tensors.torch.set_num_threads(self.threads)
        return bridge

    def conv_jac_mv(self, case, x, W, dx, dW, out):
        conv2d_jac_mv, options = self.lib.conv2d_jac_mv, case.layer.options
        return lambda: conv2d_jac_mv(x, W, dx=dx, dW=dW, **options)

    def conv_transpose(self, case, x, W, b, out):
        layer = self.lib.ConvTranspose2d(*W.shape[:2], W.shape[2:], dtype=x.dtype, **case.options).with_params({"W": W, "b": b})
        return lambda: layer(x)

    def conv1d(self, case, x, W, b, out):
        layer = self.lib.Conv1d(x.shape[1], *W.shape[::2], dtype=x.dtype, **case.options).with_params({"W": W, "b": b})
        return lambda: layer(x)

    def upsample(self, case, x, out):
        layer = self.lib.Upsample2d(case.shape[1])
        return lambda: layer(x)

    def filter2d(self, case, image, kernel, out):
        filter2d, mode = self.lib.filter2d, case.mode
        return lambda: filter2d(image, kernel, mode=mode, out=out)

    def _image_layer(self, layer, dtype):
        lib = self.lib
        match layer:
            case Conv():
                return lib.Conv2d(layer.n_in, layer.n_out, layer.size, layer.activation, dtype=dtype, **layer.options)
            case Pool():
                return {"average": lib.AvgPool2d, "max": lib.MaxPool2d}[layer.kind](layer.size)
            case Flatten():
                return lib.Flatten()
        return lib.Dense(layer.n_in, layer.n_out, layer.activation, dtype=dtype)

    def _image_network(self, net, theta):
        network = self.lib.Network([self._image_layer(layer, theta.dtype) for layer in net])
        for parameter, values in zip(network.params.values(), chain(*split(net, theta)), strict=True):
            parameter[...] = values
        return network

    def image_inference(self, case, X, theta, out):
        network = self._image_network(case.shape[1], theta)
        return lambda: network(X, out=out)

    def image_step(self, case, X, y, theta, out):
        network = self._image_network(case.shape[1], theta)
        step = self.lib.training_step(network, self.lib.SoftmaxCrossEntropy(), self.lib.SGD(RATE), len(X))
        theta = network.theta
        return lambda: (step(X, y), theta)

    def _objective(self, case, X, y, theta):
        """(the loss as a function of theta, theta)."""
        network = self._image_network(case.shape[1], theta)
        return self.lib.Objective(network, self.lib.SoftmaxCrossEntropy(), X, y), network.theta

    def objective(self, case, X, y, theta, out):
        objective, theta = self._objective(case, X, y, theta)
        return lambda: objective.value_and_gradient(theta)

    def objective_hessian_mv(self, case, X, y, theta, v, out):
        objective, theta = self._objective(case, X, y, theta)
        at = objective.at(theta)
        return lambda: at.hessian_mv(v)

    def objective_gauss_newton_mv(self, case, X, y, theta, v, out):
        objective, theta = self._objective(case, X, y, theta)
        at = objective.at(theta)
        return lambda: at.gauss_newton_mv(v)

    def sample_gradients(self, case, X, y, theta, out):
        objective, theta = self._objective(case, X, y, theta)
        thetas = _in_turn(theta)
        return lambda: objective.sample_gradients(next(thetas))

    def sample_norms(self, case, X, y, theta, out):
        objective, theta = self._objective(case, X, y, theta)
        thetas = _in_turn(theta)
        return lambda: objective.sample_gradient_norms(next(thetas)).astype(X.dtype, copy=False)

    def point(self, case, X, theta, dX, v, out):
        network = self._image_network(case.shape[1], theta)

        def work():
            y, jac = network.linearize(X)
            return y, jac.mv(x=dX), jac.tmv(v)

        return work

    def _linearized(self, case, X, theta):
        return self._image_network(case.shape[1], theta).linearize(X)[1]

    def mv_many(self, case, X, theta, V, out):
        jac = self._linearized(case, X, theta)
        return lambda: jac.mv_many(x=V)

    def tmv_many(self, case, X, theta, V, out):
        jac = self._linearized(case, X, theta)
        return lambda: jac.tmv_many(V, "x")["x"]

    def sample_jacobians(self, case, X, theta, out):
        network = self._image_network(case.shape[1], theta)
        return lambda: network.linearize(X)[1].blocks("x")

    def theta_jacobian(self, case, X, theta, out):
        network = self._image_network(case.shape[1], theta)
        return lambda: network.linearize(X)[1].matrix("theta")

    def hessian_columns(self, case, X, y, theta, V, out):
        operator = self.lib.SoftmaxObjective(X, y, case.shape[2]).hessian_operator(theta)
        return lambda: operator @ V

    def gram(self, case, X, theta, out):
        network = self._image_network(case.shape[1], theta)
        return lambda: self.lib.curvature.gram(network, X).astype(X.dtype, copy=False)

    def gram_of_matrix(self, case, X, theta, out):
        network = self._image_network(case.shape[1], theta)

        def work():
            J = network.linearize(X)[1].matrix("theta")
            return self.lib.matmul(J, J.T)

        return work

    def _squares(self, case, X, y, theta):
        return self.lib.Objective(self._image_network(case.shape[1], theta), self.lib.MeanSquaredError(), X, y)

    def gauss_newton_iterations(self, case, X, y, theta, out):
        f, options = self._squares(case, X, y, theta), {"damping": DAMPING, "solver": "dense", "tol": 0, "max_iter": case.k}
        return lambda: self.lib.gauss_newton(f, theta, **options).x

    def least_squares(self, case, X, y, theta, out):
        f, tol = self._squares(case, X, y, theta), case.tolerance[theta.dtype.name]
        return lambda: (self.lib.gauss_newton(f, theta, tol=tol).x, X, y, theta)

    def laplace_variance(self, case, X, known, y, theta, out):
        network = self._image_network(case.shape[1], theta)
        f = self.lib.Objective(network, self.lib.SoftmaxCrossEntropy(), known, y)
        posterior = self.lib.curvature.laplace(f, network.theta)
        return lambda: posterior.variance(X).astype(X.dtype, copy=False)


def _in_turn(theta):
    """theta and its neighbour again and again, where what follows from the last theta is remembered."""
    return cycle((theta, np.nextafter(theta, np.inf, dtype=theta.dtype)))
