"""Objects that do not change once they are made, because what they were made of is in plans, networks and files by then.

`Fixed` is the base class of what is fixed as a whole; `Settled` and `read_only` are for single attributes.
"""

import inspect
from abc import ABCMeta

_PACKAGE = __name__.partition(".")[0]


def _refusal(kind, name, what, instead):
    return AttributeError(f"{kind}.{name} cannot be {what}: {instead}")


class Settled:
    """An attribute that is set once, for others follow from it. instead : how to have another value."""

    def __init__(self, instead):
        self.instead = instead

    def __set_name__(self, owner, name):
        self.kind, self.name = owner.__name__, name

    def __set__(self, instance, value):  # without __get__ it is read where it lies, in the instance's dict
        if self.name in vars(instance):
            raise _refusal(self.kind, self.name, "assigned", self.instead)
        vars(instance)[self.name] = value

    def __delete__(self, instance):
        raise _refusal(self.kind, self.name, "deleted", self.instead)


def read_only(instead):
    """As ``property``, for what cannot be assigned. instead : how to have another value."""

    def made(get):
        def refuse(self, value):
            raise _refusal(type(self).__name__, get.__name__, "assigned", instead)

        return property(get, refuse, doc=get.__doc__)

    return made


class FixedType(ABCMeta):
    """Tells an object when its constructor has returned."""

    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        made._finish()
        return made

    @property
    def __signature__(cls):
        """That of the constructor, which inspect would not look for behind __call__."""
        return inspect.Signature([*inspect.signature(cls.__init__).parameters.values()][1:])


class Fixed(metaclass=FixedType):
    """What cannot be assigned or deleted once the object is made: any attribute but properties that have a setter; of a class
    outside fastlec the names that fastlec's classes define or take, for the others are its own. AttributeError says what to do.
    """

    _of_fastlec = True  # whether the class itself is one of fastlec's
    _fixed = frozenset()  # names that fastlec's classes among the bases define or take

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls._of_fastlec = cls.__module__.partition(".")[0] == _PACKAGE
        if cls._of_fastlec:
            taken = "__init__" in vars(cls) and not cls.__name__.startswith("_")
            cls._fixed = cls._fixed | vars(cls).keys() | set(inspect.signature(cls).parameters if taken else ())

    def _finish(self):
        vars(self)["_made"] = True

    def _is_fixed(self, name):
        return type(self)._of_fastlec or name in self._fixed

    def _instead(self, name):
        """What to do where `name` cannot be changed."""
        return f"it stays as it was made; make a new {type(self).__name__}"

    def _refuse(self, name, what):
        settable = getattr(getattr(type(self), name, None), "fset", None) is not None
        if "_made" in vars(self) and not settable and self._is_fixed(name):
            raise _refusal(type(self).__name__, name, what, self._instead(name))

    def __setattr__(self, name, value):
        self._refuse(name, "assigned")
        super().__setattr__(name, value)

    def __delattr__(self, name):
        self._refuse(name, "deleted")
        super().__delattr__(name)
