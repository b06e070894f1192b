"""Tables of text as they come out of spreadsheets, pandas, NumPy and other people's hands."""

import gzip
import re
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
    "blanks and tabs": "a b\t\ty\n1.5   2\tno\n3 4 \tyes\n",
    "CRLF": "a,b,y\r\n1.5,2,no\r\n3,4,yes\r\n",
    "CR": "a,b,y\r1.5,2,no\r3,4,yes\r",
    "quotes": '"a","b","y"\n"1.5","2","no"\n"3","4","yes"\n',
    "quoted decimal commas": 'a,b,y\n"1.5",2,no\n3,4,"yes"\n',
    "spaces": "a , b, y\n 1.5 , 2 , no\n3, 4, yes \n",
    "blank lines": "\na,b,y\n\n1.5,2,no\n  \n3,4,yes\n\n",
    "separators at the ends": "a,b,y,\n1.5,2,no,\n3,4,yes,\n",
    "row numbers": ",a,b,y\n7,1.5,2,no\n3,3,4,yes\n",
    "names of rows, as R writes": '"a" "b" "y"\n"ann" 1.5 2 "no"\n"bob" 3 4 "yes"\n',
    "separators at the ends but of names": "a,b,y\n1.5,2,no,\n3,4,yes,\n",
    "comments": "# of two\n\n#, and more\r\na,b,y\n1.5,2,no\n3,4,yes\n",
    "comments, names the last": "# of two\n# a,b,y\n1.5,2,no\n3,4,yes\n",
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
    "some are numbers, above text": ("2015,2016,class\n1.5,2,0\n3,4,1\n", "line 1 taken for names", ("2015", "2016")),
    "none, though a class has such a name": ("1.5,2,target\n3,4,target\n1,1,other\n", "no line of names", None),
    "none": ("1.5,2,0\n3,4,1\n", "no line of names", None),
    "none, text": ("1.5,2,rose\n3,4,tree\n", "no line of names", None),
    "the same twice": ("a,a,y\n1.5,2,0\n3,4,1\n", "line 1 taken for names", None),
}


@pytest.mark.parametrize(("text", "note", "columns"), HEADERS.values(), ids=HEADERS)
def test_lines_of_names(load, text, note, columns):
    found = load(text)
    assert (found.X.tolist()[:2], found.columns) == (TWO, columns)
    assert found.y.tolist() in ([0, 1], [1, 1, 0])
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


def test_the_name_of_the_column_of_labels_tells_the_line_of_names(load):
    text = "2015,2016,kind\n1.5,2,no\n3,4,yes\n"
    assert load(text, label="kind").columns == ("2015", "2016")
    assert load(text).classes == ("kind", "no", "yes")  # nothing tells that these are no labels


def test_a_first_column_that_counts_rows_is_no_feature(load):
    rows = "".join(f"{i},1.5,2,{kind}\n" for i, kind in enumerate(("no", "no", "yes"), 1))
    found = load("Id,a,b,y\n" + rows)
    assert (found.columns, found.X[0].tolist()) == (("a", "b"), TWO[0])
    assert "column 1, 'Id', which counts rows, not used" in found.note
    assert load("c,a,b,y\n" + rows).columns == ("c", "a", "b")
    assert load(("Id,a,b,y\n" + rows).replace("\n2,", "\n5,")).columns == ("Id", "a", "b")
    assert load("Id,a,b\n" + rows.replace(",no", "").replace(",yes", ""), label="Id").columns == ("a", "b")


def test_encodings(load):
    text = "größe,y\n1,nö\n2,ja\n".encode("cp1252")
    with pytest.raises(DataError, match=r"a\.csv, line 1: is not text in UTF-8; --encoding says in what, such as cp1252"):
        load(text)
    found = load(text, encoding="cp1252")
    assert (found.columns, found.classes) == (("größe",), ("ja", "nö"))
    text16 = "a,y\n1,no\n2,yes\n".encode("utf-16-le")
    with pytest.raises(DataError, match="line 1: holds a null character"):
        load(text16)
    assert load(text16, encoding="utf-16-le").classes == ("no", "yes")
    assert load("\ufeffa,y\n1,0\n2,1\n", encoding="UTF-8").columns == ("a",)
    with pytest.raises(DataError, match="line 2: is not text in ascii"):
        load("a,y\n1,ä\n", encoding="ascii")
    for encoding in ("klingon", "rot13", "a\0", 3):
        with pytest.raises((ValueError, TypeError), match=r"^encoding is .*; expected that of a text, such as latin-1"):
            load(text, encoding=encoding)


FAULTS = {
    "behind booleans": ("f,x,y\nTrue,1,no\nFalse,,yes\n", "line 3, column 2 ('x'): a value is missing"),
    "booleans among numbers": ("f,y\nTrue,no\n3,yes\n", "line 2, column 1 ('f'): holds 'True'; expected a number"),
    "marks of thousands": (
        'x,y\n"1,234",no\n5,yes\n',
        "line 2, column 1 ('x'): holds '1,234'; expected a number without marks of",
    ),
    "marks of thousands, decimal commas": ("x;y\n1,5;no\n1.234,5;yes\n", "line 3, column 1 ('x'): holds '1.234,5'; expected"),
    "points among commas": ("x;z;y\n1,5;1;no\n1;2.25;yes\n", "holds '2.25'; expected a number with a decimal comma"),
    "a title": ("Some data\na,b,y\n1,2,no\n", "line 2: has 3 columns; expected 1"),
    "one column": ("a\n1\n2\n", "has no column of features beside that of labels, separated by ','"),
    "labels first": ("kind,a\nno,1\nyes,2\n", "holds 'no'; expected a number; labels are taken from column 2 ('a') (--label)"),
    "numbers last": (
        "1,1.5\n2,1.25\n",
        "the label 1.5; expected a class: a whole number or text; labels are taken from column 2",
    ),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_have_their_place(load, text, message):
    with pytest.raises(DataError, match=re.escape(message)):
        load(text)


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
    with pytest.raises(DataError, match="no column of labels 'colour'; its columns are a, b"):
        load("a,b\n1,2\n", n_features=2, like=own, label="colour")
    numbers = load("1,2,7\n3,4,9\n", n_features=2, like=Preprocessing(classes=(7, 9)))
    assert numbers.y.tolist() == [0, 1]


def test_messages_are_one_line(load):
    own = Preprocessing(classes=("a", "b"))
    for options in ({"label": "k", "header": True}, {"like": own, "n_features": 2}):
        with pytest.raises(DataError, match=r"^[^\n]*a b[^\n]*$"):
            load('1,2,"a\nb"\n3,4,c\n', **options)


BAD = [("label", 0), ("label", ""), ("header", "yes"), ("header", 2), ("standardise", "no"), ("like", 3), ("encoding", "")]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_arguments(load, name, value):
    with pytest.raises((ValueError, TypeError), match=f"^{name} is "):
        load("1,2,0\n3,4,1\n", **{name: value})


def test_samples_without_labels_are_standardised(load):
    found = load("1,5\n3,7\n", n_features=2, standardise=True)
    assert (found.X.tolist(), found.y) == ([[-1, -1], [1, 1]], None)


def test_without_pandas_one_line_says_what_to_install(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlec\[table\]'"):
        load("1,2\n3,4\n")
