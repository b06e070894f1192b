"""Tables of text as they come out of spreadsheets, pandas, NumPy and other people's hands."""

import gzip
import sys

import numpy as np
import pytest

from fastlec import data
from fastlec.data import DataError
from fastlec.preprocessing import Preprocessing

pandas = pytest.importorskip("pandas")
TWO = [[1.5, 2.0], [3.0, 4.0]]


@pytest.fixture
def load(tmp_path):
    def load(text, *, name="a.csv", **options):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return data.load(tmp_path / name, **options)

    return load


LAYOUTS = {
    "byte order mark": "\ufeffa,b,y\n1.5,2,no\n3,4,yes\n",
    "UTF-16": b"\xff\xfe" + "a\tb\ty\r\n1,5\t2\tno\r\n3\t4\tyes\r\n".encode("utf-16-le"),
    "semicolons": "a;b;y\n1.5;2;no\n3;4;yes\n",
    "decimal commas": "a;b;y\n1,5;2;no\n3;4;yes\n",
    "tabs": "a\tb\ty\n1.5\t2\tno\n3\t4\tyes\n",
    "bars": "a|b|y\n1.5|2|no\n3|4|yes\n",
    "blanks": "# a b y\n 1.5   2 no\n3 4 yes\n",
    "CRLF": "a,b,y\r\n1.5,2,no\r\n3,4,yes\r\n",
    "CR": "a,b,y\r1.5,2,no\r3,4,yes\r",
    "quotes": '"a","b","y"\n"1.5","2","no"\n"3","4","yes"\n',
    "quoted decimal commas": 'a,b,y\n"1.5",2,no\n3,4,"yes"\n',
    "spaces": "a , b, y\n 1.5 , 2 , no\n3, 4, yes \n",
    "blank lines": "\na,b,y\n\n1.5,2,no\n  \n3,4,yes\n\n",
    "separators at the ends": "a,b,y,\n1.5,2,no,\n3,4,yes,\n",
    "row numbers": ",a,b,y\n7,1.5,2,no\n3,3,4,yes\n",
    "a hint for Excel": "sep=;\r\na;b;y\r\n1.5;2;no\r\n3;4;yes\r\n",
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(load, text):
    found = load(text)
    assert found.X.tolist() == TWO
    assert (found.y.tolist(), found.classes, found.columns, found.label) == ([0, 1], ("no", "yes"), ("a", "b"), "y")


@pytest.mark.parametrize("name", ["a.tsv", "A.CSV", "a.txt.gz", "a.data"])
def test_names_of_files(load, name):
    assert load("a;b;y\n1.5;2;no\n3;4;yes\n", name=name).X.tolist() == TWO


HEADERS = {
    "names": ("a,b,y\n1.5,2,0\n3,4,1\n", "line 1 taken for names", ("a", "b")),
    "names of numbers": ("0,1,2\n1.5,2,0\n3,4,1\n", "line 1 taken for names", ("0", "1")),
    "some are numbers": ("2015,2016,y\n1.5,2,0\n3,4,1\n", "line 1 taken for names", ("2015", "2016")),
    "none": ("1.5,2,0\n3,4,1\n", "no line of names", None),
    "none, text": ("1.5,2,rose\n3,4,tree\n", "no line of names", None),
    "the same twice": ("a,a,y\n1.5,2,0\n3,4,1\n", "line 1 taken for names", None),
}


@pytest.mark.parametrize(("text", "note", "columns"), HEADERS.values(), ids=HEADERS)
def test_lines_of_names(load, text, note, columns):
    found = load(text)
    assert (found.X.tolist(), found.y.tolist(), found.columns) == (TWO, [0, 1], columns)
    assert note in found.note


def test_whether_there_is_a_line_of_names_can_be_told(load):
    assert load("0,1,2\n1.5,2,0\n3,4,1\n", header=False).X.tolist() == [[0, 1], *TWO]
    assert load("9,8,7\n1.5,2,0\n3,4,1\n", header=True).columns == ("9", "8")


def test_the_column_of_labels(load):
    text = "kind,a,b\nno,1.5,2\nyes,3,4\n"
    for label in ("first", "kind"):
        found = load(text, label=label)
        assert (found.X.tolist(), found.y.tolist(), found.label) == (TWO, [0, 1], "kind")
    assert load(text.replace("kind", "Label")).label == "Label"
    found = load("no,1.5,2\nyes,3,4\n", label="first")
    assert (found.X.tolist(), found.classes, found.label) == (TWO, ("no", "yes"), "first")
    for wrong, names, match in (
        (text, "colour", r"no column 'colour': its columns are kind, a, b"),
        ("1,2\n", "kind", "no line of names; expected first or last"),
        ("a,a,b\n1,2,3\n", "a", "2 columns 'a'"),
    ):
        with pytest.raises(DataError, match=match):
            load(wrong, label=names)
    with pytest.raises(DataError, match="no table of text"):
        load("", name="a.npz", label="first")


LABELS = {
    "-1, 1": (["-1", "1", "-1"], (-1, 1), [0, 1, 0]),
    "from 1 on": (["1", "2", "3"], (1, 2, 3), [0, 1, 2]),
    "gaps": (["7", "30", "8"], (7, 8, 30), [0, 2, 1]),
    "written as floats": (["1.0", "3.0", "1e0"], (1, 3), [0, 1, 0]),
    "booleans": (["True", "False", "True"], ("False", "True"), [1, 0, 1]),
    "text": (["ä", '"b, c"', "ä"], ("b, c", "ä"), [1, 0, 1]),
    "text and numbers": (["1", "other", "2"], ("1", "2", "other"), [0, 2, 1]),
    "text that elsewhere is missing": (["NA", "EU", "NA"], ("EU", "NA"), [1, 0, 1]),
    "large": (["9007199254740993", "1", "1"], (1, 9007199254740993), [1, 0, 0]),
}


@pytest.mark.parametrize(("labels", "classes", "codes"), LABELS.values(), ids=LABELS)
def test_labels_of_any_kind(load, labels, classes, codes):
    found = load("".join(f"{i},1,{label}\n" for i, label in enumerate(labels)))
    assert (found.classes, found.y.tolist()) == (classes, codes)
    assert [type(label) for label in found.classes] == [type(label) for label in classes]
    np.testing.assert_array_equal(found.preprocessing.labels(found.y), [classes[code] for code in codes])


def test_numbers_are_those_of_python(load):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) * 10.0 ** rng.integers(-200, 200, (300, 2))
    found = load("".join(f"{a!r},{b!r},0\n" for a, b in X.tolist()))
    np.testing.assert_array_equal(found.X, X)
    assert load(f"1,{10**30},0\n1,{10**19},1\n").X[:, 1].tolist() == [1e30, 1e19]


def test_what_pandas_writes(load):
    X = pandas.DataFrame({"a": [1.5, 3.0], "b": [2, 4], "kind": ["no", "yes"]})
    for index in (True, False):
        found = load(X.to_csv(index=index))
        assert (found.X.tolist(), found.classes, found.columns) == (TWO, ("no", "yes"), ("a", "b"))


def test_like_a_model(load):
    own = load("a,b,kind\n1.5,2,no\n3,4,yes\n", standardise=True).preprocessing
    assert own.mean == (2.25, 3.0)
    expected = [[-1, -1], [1, 1]]
    for text in ("kind,b,more,a\nno,2,text,1.5\nyes,4,text,3\n", "1.5,2,no\n3,4,yes\n", "b,a,kind\n2,1.5,no\n4,3,yes\n"):
        found = load(text, n_features=2, like=own)
        assert (found.X.tolist(), found.y.tolist()) == (expected, [0, 1])
    for text in ("b,a\n2,1.5\n4,3\n", "1.5,2\n3,4\n"):
        found = load(text, n_features=2, like=own)
        assert (found.X.tolist(), found.y) == (expected, None)
    for text, match in (
        ("a,c\n1,2\n", "has no column 'b'; the model takes a, b"),
        ("1,2,3,4\n", "3 features; expected 2"),
        ("a,b,kind\n1,2,perhaps\n", "has the label perhaps; the model knows the classes no, yes"),
    ):
        with pytest.raises(DataError, match=match):
            load(text, n_features=2, like=own)
    numbers = load("1,2,7\n3,4,9\n", n_features=2, like=Preprocessing(classes=(7, 9)))
    assert numbers.y.tolist() == [0, 1]


def test_without_pandas_one_line_says_what_to_install(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlec\[table\]'"):
        load("1,2\n3,4\n")
