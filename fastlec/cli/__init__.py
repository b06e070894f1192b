"""The command line ``fastlec``: `main` runs it; every command has a module of its own, and `app` puts them together."""

from .app import main

__all__ = ["main"]
