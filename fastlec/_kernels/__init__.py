"""Kernels: the jobs that compute, and the plans that run them. All compiled modules are one library, which this finds them in."""

import sys
from importlib.machinery import ExtensionFileLoader, PathFinder
from importlib.util import spec_from_file_location

_library = PathFinder.find_spec(f"{__name__}.library", __path__)
if _library is None:
    raise ImportError(
        f"fastlec is not built for this Python in {__path__[0]}: expected a compiled library there, as pip makes one"
    )


class _Modules:
    """Finds the modules that are no files."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith(f"{__name__}."):
            return spec_from_file_location(name, _library.origin, loader=ExtensionFileLoader(name, _library.origin))
        return None


sys.meta_path.append(_Modules)
