import numpy as np

SOFTMAX: int
LOG_SOFTMAX: int
LOGSUMEXP: int

def along_axis(mode: int, x: object, axis: object, out: object) -> np.ndarray | np.floating | None: ...
