"""The same work in fastlec and in every peer that is installed, checked to agree and timed in turns: `fastlec bench`.

`cases` is the table of what is run, `kinds` says what that is and what is right (about images: `images`), `nets` and `image_nets`
describe networks; `peers` and `peers_compiled` (products and networks: `peers_networks`, `peers_networks_compiled`; images:
`peers_images`, `peers_images_compiled`) say how each library does it best; `machine` measures the limits, `timing` takes the times
and `report` prints them. How the comparison is kept fair is told in `timing`.
"""

from .timing import run

__all__ = ["run"]
