"""Mistakes that type checkers must find: each line with the comment `error`, and no other. Nobody runs them."""

import numpy as np

import fastlec
from fastlec import data, datasets, regression
from fastlec.sklearn import NetClassifier, SoftmaxClassifier

x = np.ones((4, 3))
net = fastlec.Network([fastlec.Dense(3, 2)])

fastlec.softmax(x, axis="last")  # error
fastlec.softmax(x, dtype=np.float32)  # error
fastlec.gelu(x, approximate="erf")  # error
fastlec.conv2d(x, x, padding="full")  # error
fastlec.conv2d_jac_tmv(x, x, x, wrt=3)  # error
fastlec.filter2d(x, x, mode="periodic")  # error
fastlec.Dense("3", 2)  # error
fastlec.Dense(3, 2, activation=3)  # error
fastlec.Conv2d(1, 4, kernel_size=2.5)  # error
fastlec.Network(fastlec.Dense(3, 2))  # error
net.predict()  # error
net.predicted(x)  # error
fastlec.fit(net, x, loss=fastlec.MeanSquaredError())  # error
fastlec.fit(net, x, x, epochs="ten")  # error
fastlec.fit(net, x, x, early_stopping=3)  # error
fastlec.Adam(lr="fast")  # error
fastlec.EarlyStopping(patience=2.5)  # error
fastlec.kmeans(x, "three")  # error
fastlec.robust_lstsq(x, x, loss="logistic")  # error
fastlec.SoftmaxObjective(x).value(x)  # error
data.load(3)  # error
datasets.make_spirals("many")  # error
regression.polynomial_basis(x, 3, kind="spline")  # error
SoftmaxClassifier(solver="cholesky")  # error
NetClassifier(hidden="wide")  # error
print(fastlec.log_softmax(x).score)  # error
