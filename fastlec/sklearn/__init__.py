"""scikit-learn estimators: softmax regression, networks, K-means and robust regression with fit, predict and score, for pipelines.

It needs scikit-learn, the extra ``sklearn``. The estimators validate and name things as scikit-learn does, and leave the computing
to `fastlec.fit`, `fastlec.SoftmaxObjective`, `fastlec.kmeans` and `fastlec.robust_lstsq`.

base, callbacks, training    what they share: samples, weights, randomness; scikit-learn's callbacks; networks that train for both
softmax                      SoftmaxClassifier, the counterpart of LogisticRegression
net, convnet                 NetClassifier, NetRegressor, ConvNetClassifier, the counterparts of MLPClassifier and MLPRegressor
cluster, robust              KMeans; RobustRegressor, the counterpart of HuberRegressor
files                        save and load: estimators, and scalers before them, in the files of `fastlec train`
"""

try:
    from sklearn import __version__ as _of_scikit_learn  # noqa: F401  # which a folder of the name sklearn has not
except ImportError as error:
    raise ImportError("fastlec.sklearn needs scikit-learn: pip install 'fastlec[sklearn]'") from error

from .cluster import KMeans
from .convnet import ConvNetClassifier
from .files import load, save
from .net import NetClassifier, NetRegressor
from .robust import RobustRegressor
from .softmax import SoftmaxClassifier

__all__ = [
    "ConvNetClassifier",
    "KMeans",
    "NetClassifier",
    "NetRegressor",
    "RobustRegressor",
    "SoftmaxClassifier",
    "load",
    "save",
]
