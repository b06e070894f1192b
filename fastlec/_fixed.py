"""Objects that do not change once they are made, because what they were made of is in plans, networks and files by then.

`Fixed` is the base class of what is fixed as a whole; `Settled` and `read_only` are for single attributes.
"""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

T = TypeVar("T")
_PACKAGE = __name__.partition(".")[0]


def _refusal(kind: str, name: str, what: str, instead: str) -> AttributeError:
    return AttributeError(f"{kind}.{name} cannot be {what}: {instead}")


class Settled(Generic[T]):
    """An attribute of type T that is set once, for others follow from it. instead : how to have another value."""

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: type | None = None) -> T: ...

    kind: str
    name: str

    def __init__(self, instead: str) -> None:
        self.instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self.kind, self.name = owner.__name__, name

    def __set__(self, instance: object, value: T) -> None:  # without __get__ it is read where it lies, in the instance's dict
        if self.name in vars(instance):
            raise _refusal(self.kind, self.name, "assigned", self.instead)
        vars(instance)[self.name] = value

    def __delete__(self, instance: object) -> None:
        raise _refusal(self.kind, self.name, "deleted", self.instead)


def read_only(instead: str) -> Callable[[Callable[[Any], T]], Settled[T]]:
    """As ``property``, for what cannot be assigned; to type checkers it is what `Settled` is. instead : how to have another
    value."""

    def made(get: Callable[[Any], T]) -> Settled[T]:
        def refuse(self: object, value: object) -> None:
            raise _refusal(type(self).__name__, get.__name__, "assigned", instead)

        return cast("Settled[T]", property(get, refuse, doc=get.__doc__))

    return made


class FixedType(ABCMeta):
    """Tells an object when its constructor has returned."""

    if not TYPE_CHECKING:  # which ask the constructor for its arguments

        def __call__(cls, *args, **kwargs):
            made = super().__call__(*args, **kwargs)
            made._finish()
            return made

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of the constructor, which inspect would not look for behind __call__."""
        return inspect.Signature([*inspect.signature(cls.__init__).parameters.values()][1:])


class Fixed(metaclass=FixedType):
    """What cannot be assigned or deleted once the object is made: any attribute but properties that have a setter; of a class
    outside fastlec the names that fastlec's classes define or take, for the others are its own. AttributeError says what to do.
    """

    _of_fastlec = True  # whether the class itself is one of fastlec's
    _fixed: frozenset[str] = frozenset()  # names that fastlec's classes among the bases define or take

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._of_fastlec = cls.__module__.partition(".")[0] == _PACKAGE
        if cls._of_fastlec:
            taken = "__init__" in vars(cls) and not cls.__name__.startswith("_")
            cls._fixed = cls._fixed | vars(cls).keys() | set(inspect.signature(cls).parameters if taken else ())

    def _finish(self) -> None:
        vars(self)["_made"] = True

    def _is_fixed(self, name: str) -> bool:
        return type(self)._of_fastlec or name in self._fixed

    def _instead(self, name: str) -> str:
        """What to do where `name` cannot be changed."""
        return f"it stays as it was made; make a new {type(self).__name__}"

    def _refuse(self, name: str, what: str) -> None:
        settable = getattr(getattr(type(self), name, None), "fset", None) is not None
        if "_made" in vars(self) and not settable and self._is_fixed(name):
            raise _refusal(type(self).__name__, name, what, self._instead(name))

    if not TYPE_CHECKING:  # which know the attributes themselves

        def __setattr__(self, name, value):
            self._refuse(name, "assigned")
            super().__setattr__(name, value)

        def __delattr__(self, name):
            self._refuse(name, "deleted")
            super().__delattr__(name)
