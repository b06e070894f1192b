"""Results are, bit by bit, those of the build whose hashes `bits.json` has."""

import json

import bits
import pytest

from fastlec._kernels import runner

EXPECTED = json.loads(bits.FILE.read_text())
CALLS = dict(bits.corpus())
KINDS = sorted({name.split()[0] for name in CALLS})


@pytest.mark.skipif(not runner.compiler().startswith("gcc 12."), reason="the hashes are of a library that gcc 12 compiled")
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_what_they_were(kind, isa):
    expected = {name: hash for name, hash in EXPECTED[isa].items() if name.split()[0] == kind}
    assert {name: bits.bits_of(call) for name, call in CALLS.items() if name.split()[0] == kind} == expected
