"""The corpus of calls and its hashes."""

import json

import bits


def test_hashes_of_a_build_are_its_own_and_a_changed_one_is_told(tmp_path, capsys):
    file = tmp_path / "bits.json"
    assert bits.main("write", file, "maps", "layer") == 0
    assert bits.main("compare", file, "maps") == bits.main("compare", file, "layer") == 0
    table = json.loads(file.read_text())
    isa, name = next((isa, name) for isa in table for name in table[isa])
    table[isa][name] = "another"
    file.write_text(json.dumps(table))
    assert bits.main("compare", file, name.split()[0]) == 1
    assert f"{isa}: {name}: another -> " in capsys.readouterr().out
