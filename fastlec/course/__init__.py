"""The course's applications of the library, run by the commands ``train``, ``overfit`` and ``universal``.

The library does not import them.

models           what a trained classifier is: its arrays, what its samples look like, its file
softmax          training of softmax regression
classifier       training of the networks that `architectures` describes
trained          what comes of a training, and its scores
overfit          over-fitting, its L-shaped curves and their corners as an experiment
universal        the universal approximation theorem as an experiment
"""
