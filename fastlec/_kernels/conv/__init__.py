"""Convolutions as jobs of a plan: the ways to compute one, and the choice between them."""
