"""The kinds of layers that a file may hold: those of fastlec, by name, and none of a user's own."""

KINDS = {}


def kind(layer_class):
    """Decorator of a layer's class: files may hold such layers. See `PlannedLayer` for what it must say of itself."""
    KINDS[layer_class.__name__] = layer_class
    return layer_class
