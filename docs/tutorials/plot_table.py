"""
A data scientist: from a table to a calibrated pipeline
=======================================================

A CSV table with numbers, names and gaps; a question with yes or no; and a probability as the answer, on which somebody will
act. ``fastlec.sklearn`` has estimators that go into scikit-learn's pipelines like its own. We read the table, prepare it,
compare a linear model with a network, search settings, and look whether 20 % means one in five.

Install with ``pip install 'fastlec[sklearn,table,plot]'``.
"""

from pathlib import Path
from tempfile import mkdtemp

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastlec.sklearn
from fastlec.sklearn import NetClassifier, SoftmaxClassifier

# %%
# The table
# ---------
#
# 4000 pumps, and whether each failed within a year. We make the table ourselves, so that the true probabilities are known, and
# write it to a file, as it would come to you. Failures depend on load and age together, and on temperatures that are too low or
# too high.

rng = np.random.default_rng(0)
m = 4000
age, load, temperature = rng.gamma(3, 2, m), rng.beta(4, 3, m), rng.normal(55, 12, m)
site = rng.choice(["harbour", "hill", "plant"], m, p=[0.5, 0.3, 0.2])
logit = -4 + 5 * load * age / 6 + ((temperature - 55) / 12) ** 2 - 2 * load + np.where(site == "harbour", 0.8, 0)
truth = 1 / (1 + np.exp(-logit))
table = pd.DataFrame({"age": age.round(1), "load": load.round(3), "temperature": temperature.round(), "site": site})
table.loc[rng.random(m) < 0.05, "temperature"] = np.nan  # some sensors were off
table["failed"] = np.where(rng.random(m) < truth, "yes", "no")

path = Path(mkdtemp()) / "pumps.csv"
table.to_csv(path, index=False)
print(pd.read_csv(path).head().to_string())

# %%
# The pipeline
# ------------
#
# Each kind of column has its preparation: the gaps filled and the scale taken off numbers, names turned into columns of 0 and
# 1. They belong into the pipeline, so that cross-validation learns them from what it trains on alone.

data = pd.read_csv(path)
y = data.pop("failed")
X_train, X_test, y_train, y_test, _, p_test = train_test_split(data, y, truth, test_size=0.25, stratify=y, random_state=0)


def pipeline(classifier):
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    prepared = make_column_transformer(
        (numbers, ["age", "load", "temperature"]),
        (OneHotEncoder(sparse_output=False), ["site"]),
    )
    return make_pipeline(prepared, classifier)


# %%
# A linear model first: it is what a network has to beat. Then the network, whose size and penalty a grid search chooses.

linear = pipeline(SoftmaxClassifier(C=1.0)).fit(X_train, y_train)

net = pipeline(NetClassifier((32, 32), epochs=40, random_state=0))
grid = {"netclassifier__hidden": [(16,), (32, 32)], "netclassifier__l2": [1e-4, 3e-2]}
search = GridSearchCV(net, grid, cv=3, scoring="neg_log_loss").fit(X_train, y_train)
print(search.best_params_)

# %%
# Is 20 % one in five?
# --------------------
#
# A network that was trained for long is more certain than it should be. Calibration fits a curve from its scores to
# frequencies, on samples that it was not trained on. We calibrate a network of that kind, too.

certain = pipeline(NetClassifier((64, 64), epochs=150, random_state=0)).fit(X_train, y_train)
calibrated = CalibratedClassifierCV(pipeline(NetClassifier((64, 64), epochs=150, random_state=0)), method="sigmoid", cv=3).fit(
    X_train, y_train
)

models = {
    "linear": linear,
    "network, searched": search,
    "network, trained for long": certain,
    "the same, calibrated": calibrated,
}
losses, errors = {}, {}
for name, model in models.items():
    p = model.predict_proba(X_test)[:, 1]  # of "yes"
    losses[name], errors[name] = log_loss(y_test == "yes", p), float(np.sqrt(np.mean((p - p_test) ** 2)))
    auc = roc_auc_score(y_test == "yes", p)
    print(f"{name:26} log loss {losses[name]:.3f}   AUC {auc:.3f}   from the true probability {errors[name]:.3f}")
best = log_loss(y_test == "yes", p_test)
print(f"{'the truth itself':26} log loss {best:.3f}")

# %%
# One split may be luck. Cross-validation calibrates and measures anew on each third of the table, whose other thirds it trains on.

print("calibrated, by folds:", -cross_val_score(calibrated, data, y, cv=3, scoring="neg_log_loss").round(3))

# %%
# A curve of reliability has the predicted probability across and the frequency upwards: who lies on the diagonal may be taken
# at their word. The table was made, so the true probabilities are there to compare with, which no other table has.

_, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for name, model in models.items():
    CalibrationDisplay.from_estimator(model, X_test, y_test, pos_label="yes", n_bins=8, strategy="quantile", name=name, ax=left)
left.set(xlabel="predicted probability", ylabel="frequency of failures", title="Reliability")
left.legend(loc="upper left")
for name, color in (("network, trained for long", "tab:green"), ("network, searched", "tab:orange")):
    right.plot(p_test, models[name].predict_proba(X_test)[:, 1], ".", color=color, alpha=0.4, label=name)
right.plot([0, 1], [0, 1], ":", color="black")
right.set(xlabel="true probability", ylabel="predicted probability", title="One dot for each pump of the test")
right.legend(loc="upper left")

assert losses["network, searched"] < losses["linear"] - 0.02
assert losses["the same, calibrated"] < losses["network, trained for long"]

# %%
# Deploy it
# ---------
#
# A whole pipeline is a matter of ``pickle``, joblib or skops. A file of the first two may run code when it is read: load only
# what you trust.

joblib.dump(calibrated, path.with_name("pumps.joblib"))
same = joblib.load(path.with_name("pumps.joblib"))
assert (same.predict_proba(X_test) == calibrated.predict_proba(X_test)).all()

# %%
# ``fastlec.sklearn.save`` refuses a calibrated pipeline, and a ``ColumnTransformer``. A network behind a ``StandardScaler`` it
# saves as plain arrays, in a file without code that ``fastlec predict`` and ``fastlec.sklearn.load`` read:

numbers = make_pipeline(StandardScaler(), NetClassifier((16,), epochs=10, random_state=0))
numbers.fit(X_train[["age", "load"]], y_train)
fastlec.sklearn.save(path.with_suffix(".npz"), numbers)
same = fastlec.sklearn.load(path.with_suffix(".npz"))
assert (same.predict_proba(X_test[["age", "load"]]) == numbers.predict_proba(X_test[["age", "load"]])).all()
