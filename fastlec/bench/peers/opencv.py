"""OpenCV."""

from types import MappingProxyType

import numpy as np

from .base import Peer


class OpenCV(Peer):
    name, module = "OpenCV", "cv2"
    HELD = MappingProxyType({"avx2": {"OPENCV_CPU_DISABLE": "AVX512-SKX", "OPENCV_IPP": "avx2"}})

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.setNumThreads(threads)

    def filter2d(self, case, image, kernel, out):
        lib = self.lib
        border = {"mirror": lib.BORDER_REFLECT_101, "constant": lib.BORDER_CONSTANT}[case.mode]
        kernel = np.ascontiguousarray(kernel[::-1, ::-1])
        return lambda: lib.filter2D(image, -1, kernel, out, borderType=border)
