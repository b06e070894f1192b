"""Tables of text, CSV and its relatives, read by pandas (the extra ``table``), imported on first use.

pandas makes numbers of the columns. Where something is in the way, the standard library's csv goes through the same text and
tells the line and the column.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from . import _check
from ._check import memory_size
from .preprocessing import DataError, Preprocessing

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat")
_SEPARATORS = {"\t": "tab", ";": "';'", ",": "','", "|": "'|'", " ": "blanks"}
_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))  # in lower case
_LABELS = ("label", "class", "target")  # names that a column of labels has, wherever it is
_NUMBERED = ("id", "index", "row")  # names of a first column that is left out where it counts the rows
_FLAGS = ("true", "false")  # in lower case: 1 and 0 in a column that has no other values
_LOOKED_AT = 20  # lines from which the layout is told


def is_named(path: Path) -> bool:
    """Whether the file has the name of a table of text, perhaps a compressed one."""
    return path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def check_encoding(name: str | None) -> str | None:
    """The name of an encoding of text, or None; ValueError for another."""
    try:
        "".encode("utf-8" if name is None else name)
    except (LookupError, ValueError, TypeError):
        raise ValueError(f"encoding is {_check.shown(name)}; expected that of a text, such as latin-1") from None
    return name


class Table(NamedTuple):
    """X (m, n) float64, labels y (m,), text or integers, or None, the names of the features or None, the column of the labels (its
    name, "first" or "last"), and what was assumed, in words."""

    X: np.ndarray
    y: np.ndarray | None
    columns: tuple[str, ...] | None
    label: str
    note: str


def read(
    path: Path,
    stream: BinaryIO,
    *,
    label: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    n_features: int | None = None,
    like: Preprocessing | None = None,
) -> Table:
    """The samples in ``stream``; the arguments are those of `data.load`. DataError, which names line and column, for what is no
    table of finite numbers and labels; ImportError without pandas."""
    pandas = _pandas()
    text = _text(path, stream, encoding)
    sep = _separator(text)
    first = list(islice(_records(path, text, sep), _LOOKED_AT))
    if not first:
        raise DataError(f"{path}: holds no samples")
    decimal = _decimal(first, sep)
    names, assumed = None, ", decimal commas" if decimal == "," else ""
    if header or (header is None and _is_header(first, decimal, label)):
        names = first[0].fields
        if _one_more(names, first[1:]):  # as R's write.table leaves out the name of its row names
            ends = all(record.fields[-1] == "" for record in first[1:])
            names = [*names, ""] if ends else ["", *names]
            first[0] = first[0]._replace(fields=names)
        if header is None:
            assumed += f", line {first[0].line} taken for names (--no-header: for a sample)"
    elif header is None:
        assumed += ", no line of names (--header: the first line has them)"
    if names is not None and len(first) == 1:
        raise DataError(f"{path}: holds no samples")
    width = len(first[0].fields)
    empty = not (names and names[-1]) and all(record.fields[-1] == "" for record in first)  # each line ends with a separator
    layout = _Layout.of(path, names, width - empty, label, n_features, like, _counts_rows(first[1:]))
    if not layout.features:
        for record in first:
            _check_width(path, record, width)
        raise DataError(f"{path}: has no column of features beside that of labels, separated by {_SEPARATORS[sep]}")
    hint = "" if label or layout.label is None else f"; labels are taken from column {_column(layout.label, names)} (--label)"
    used = sorted({*layout.features, *([] if layout.label is None else [layout.label])})

    rest = io.StringIO(text[first[0].end :] if names is not None else text, newline="")
    try:
        frame = pandas.read_csv(
            rest,
            sep=r"\s+" if sep == " " else sep,
            header=None,
            index_col=False,
            decimal=decimal,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
            dtype={} if layout.label is None else {layout.label: str},
        )
        features = frame.iloc[:, layout.features] if frame.shape[1] == width else None
        X = features.to_numpy(np.float64) if _are_numbers(pandas, features) else None
    except MemoryError:
        raise
    except Exception as error:  # the parser's own errors, which say less than the search for the place does
        if "EOF inside string" in str(error):
            (last,) = deque(_records(path, text, sep), maxlen=1)
            raise DataError(f"{path}, line {last.line}: has a quote that does not end") from error
        _complain(path, text, sep, decimal, names, width, layout, hint)
        raise DataError(f"{path}: cannot be read as a table: {str(error).splitlines()[0]}") from error
    y = None
    if X is not None and layout.label is not None:
        column = frame[layout.label]
        y = None if column.isna().any() else _labels_of([value.strip() for value in column])
    if X is None or not np.isfinite(X).all() or (y is None and layout.label is not None):
        _complain(path, text, sep, decimal, names, width, layout, hint)
        raise DataError(f"{path}: cannot be read as a table of {width} columns")
    if len(used) < width - empty - len(layout.dropped):
        assumed += f", {width - empty - len(used)} columns not used"
    if layout.dropped:
        what = f"{names[0]!r}, which counts rows" if names[0] else "without a name, taken for names of rows"
        assumed += f", column 1, {what}, not used"
    told = "" if layout.label is None else f", labels in column {_column(layout.label, names)}"
    return Table(X, y, layout.columns, layout.label_name, f"separated by {_SEPARATORS[sep]}{told}{assumed}")


def _are_numbers(pandas, frame) -> bool:
    """Whether all columns are, integers of any size among them."""
    if frame is None:
        return False
    others = [frame.iloc[:, j] for j, dtype in enumerate(frame.dtypes) if dtype.kind not in "biuf"]
    return all(pandas.api.types.infer_dtype(column, skipna=False) == "integer" for column in others)


class _Layout(NamedTuple):
    """Which columns, counted from 0, are the features, the labels (or None), and neither; what they are called."""

    features: list[int]
    label: int | None
    dropped: list[int]
    columns: tuple[str, ...] | None
    label_name: str

    @classmethod
    def of(cls, path, names, width, label, n_features, like, counted: bool) -> _Layout:
        """counted : whether column 0 counts the rows."""
        if names and like and like.columns:
            return cls._by_name(path, names, label, like, n_features)
        dropped = []
        if names and names[0] != label:
            unnamed = names[0] == "" or names[0].lower() == "unnamed: 0"
            dropped = [0] if unnamed or (counted and names[0].lower() in _NUMBERED) else []
        kept = [j for j in range(width) if j not in dropped]
        if n_features == len(kept) and label is None:
            where = None
        else:
            wanted = label or (like.label if like and like.label in ("first", "last", *(names or ())) else None)
            where = _label_column(path, names, kept, wanted)
        features = [j for j in kept if j != where]
        called = tuple(names[j] for j in features) if names else None
        unique = called is not None and len(set(called)) == len(called) and "" not in called
        if where is None:
            name = like.label if like else "last"
        elif names and names[where] and names.count(names[where]) == 1:
            name = names[where]
        else:
            name = "first" if where == kept[0] else "last"
        return cls(features, where, dropped, called if unique else None, name)

    @classmethod
    def _by_name(cls, path, names, chosen, like, n_features) -> _Layout:
        columns, label = like.columns, chosen or like.label
        for name in columns:
            if name not in names:
                raise DataError(f"{path}: has no column {name!r}; the model takes {_some(columns)}")
        features = [names.index(name) for name in columns]
        rest = [j for j in range(len(names)) if j not in features]
        where = names.index(label) if label in names else None
        if where is None and rest and label in ("first", "last"):
            where = rest[0 if label == "first" else -1]
        if where is None and (chosen or n_features is None):
            raise DataError(f"{path}: has no column of labels {label!r}; its columns are {_some(names)}")
        return cls(features, where, [], columns, label)


def _label_column(path, names: list[str] | None, kept: list[int], label: str | None) -> int:
    if label is None:
        known = [j for j in kept if names and names[j].lower() in _LABELS]
        return known[0] if len(known) == 1 else kept[-1]
    if names and label in names:
        if names.count(label) > 1:
            raise DataError(f"{path}: has {names.count(label)} columns {label!r}; expected one of labels")
        return names.index(label)
    if label in ("first", "last"):
        return kept[0 if label == "first" else -1]
    has = f"its columns are {_some(names)}" if names else "it has no line of names; expected first or last"
    raise DataError(f"{path}: has no column {label!r}: {has}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")


def _column(j: int, names: list[str] | None) -> str:
    """Column j as people count, with its name."""
    return f"{j + 1} ({names[j]!r})" if names and j < len(names) and names[j] else f"{j + 1}"


def _text(path: Path, stream: BinaryIO, encoding: str | None) -> str:
    """The decoded text, without a line that tells spreadsheets the separator, and without comments before the table."""
    most = memory_size() // 8  # a value takes two characters or more, and eight bytes twice over
    content = stream.read(most + 1)
    if len(content) > most:
        raise DataError(f"{path}: is too large for this machine's memory")
    if encoding is None:
        encoding = "UTF-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "UTF-8"
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        line = content[: getattr(error, "start", 0)].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: is not text in {encoding}; --encoding says in what, such as cp1252") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(
            f"{path}, line {line}: holds a null character; expected a table of text (or --encoding, such as utf-16-le)"
        )
    return _without_comments(re.sub(r"\Asep=.(?=\r?\n)", "", text))


def _without_comments(text: str) -> str:
    """The text, whose first lines are blank where they began with #; of the last of these the mark alone goes if it has names: as
    many fields as the line of numbers that follows."""
    head = []
    for line in io.StringIO(text, newline=""):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        head.append(line)
    else:
        return text
    after, blank = text[sum(map(len, head)) :], [re.sub(r"[^\r\n]", "", one) for one in head]
    marked = [i for i, one in enumerate(head) if one.strip()]
    if marked:
        names = head[marked[-1]].lstrip(" \t#")
        for sep in _SEPARATORS:
            fields = _cut(line, sep)
            if len(_cut(names, sep)) == len(fields) > 1 and any(_number(field, ".") is not None for field in fields):
                blank[marked[-1]] = names
    return "".join(blank) + after


def _cut(line: str, sep: str) -> list[str]:
    """The fields of a line, quoted ones empty."""
    return re.sub(r'"[^"]*"', "", line).strip(" \r\n").split(None if sep == " " else sep)


def _one_more(names: list[str], records: list[_Record]) -> bool:
    """Whether each record has one field more than there are names."""
    return bool(records) and all(len(record.fields) == len(names) + 1 for record in records)


def _counts_rows(records: list[_Record]) -> bool:
    """Whether the first column is 0, 1, 2, ... or 1, 2, 3, ..., of three rows or more."""
    numbers = [record.fields[0] for record in records]
    return len(numbers) > 2 and any(numbers == [str(start + i) for i in range(len(numbers))] for start in (0, 1))


def _separator(text: str) -> str:
    """The character that cuts the first lines into as many fields each, two or more, but for the line of names, which may have one
    less; or else the one that does so with most of them."""
    lines = [line for line in islice(io.StringIO(text), _LOOKED_AT) if line.strip()]
    best, most = ",", 0
    for sep in _SEPARATORS:
        counts = [len(_cut(line, sep)) for line in lines]
        usual = max(counts, key=counts.count, default=1)
        if usual > 1 and counts[1:] == [usual] * (len(counts) - 1) and counts[0] in (usual, usual - 1):
            return sep
        if usual > 1 and counts.count(usual) > most:
            best, most = sep, counts.count(usual)
    return best


class _Record(NamedTuple):
    line: int  # that it begins in, from 1
    end: int  # where the next one begins in the text
    fields: list[str]


def _records(path: Path, text: str, sep: str) -> Iterator[_Record]:
    """The rows that are not blank."""
    stream = io.StringIO(text, newline="")
    lines = iter(stream.readline, "")
    if sep == " ":
        lines = (line.strip().replace("\t", " ") for line in lines)
    reader, line = csv.reader(lines, delimiter=sep, skipinitialspace=True), 1
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            if fields not in ([], [""]):
                yield _Record(line, stream.tell(), fields)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: cannot be read: {error}") from error


def _decimal(records: list[_Record], sep: str) -> str:
    """The decimal mark: a comma where numbers are written with one, and it does not separate."""
    fields = [field for record in records for field in record.fields]
    return "," if sep != "," and any(re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", field, re.I) for field in fields) else "."


def _number(field: str, decimal: str) -> float | None:
    try:
        return None if "_" in field or (decimal == "," and "." in field) else float(field.replace(decimal, "."))
    except ValueError:
        return None


def _is_header(records: list[_Record], decimal: str, label: str | None) -> bool:
    """Whether the first row has names: text above a number, no number at all, 0, 1, 2, ... as pandas numbers columns,
    or the name of the column of labels."""
    first, rows = records[0].fields, [record.fields for record in records[1:]]
    for j, field in enumerate(first):
        named = field.lower() in _LABELS or (field == label and _number(field, decimal) is None)
        if named and not any(row[j : j + 1] == [field] for row in rows):
            return True
    numbered = first[1:] if first[0] == "" else first
    if numbered == [str(i) for i in range(len(numbered))] and len(numbered) > 1:
        return True
    words = [j for j, field in enumerate(first) if field.lower() not in _MISSING and _number(field, decimal) is None]
    if len(words) == len([field for field in first if field]):
        return True
    return any(_number(row[j], decimal) is not None for row in rows for j in words if j < len(row))


def _labels_of(values: list[str]) -> np.ndarray | None:
    """Labels as whole numbers where all are, else as text; None where one is missing or no class."""
    distinct = set(values)
    known = {value: _number(value, ".") for value in distinct}
    numbers = [number for number in known.values() if number is not None]
    if all(number is not None or value.lower() in _MISSING for value, number in known.items()) and numbers:
        if not all(_is_class(number) for number in known.values()):
            return None
        whole = {value: int(value) if re.fullmatch(r"[+-]?\d+", value) else int(number) for value, number in known.items()}
        return np.array([whole[value] for value in values], np.int64)
    return None if "" in distinct else np.array(values)


def _is_class(number: float | None) -> bool:
    return number is not None and abs(number) < 2**62 and number == int(number)


def _complain(path: Path, text: str, sep: str, decimal: str, names, width: int, layout: _Layout, hint: str) -> None:
    """DataError for the first field in the text that is no finite number, or no label; nothing where there is none.

    hint : which column was taken for that of labels, where nobody said which."""
    texts, flags = False, set(layout.features)  # whether labels are text; the columns that hold nothing but true and false
    for record in islice(_records(path, text, sep), names is not None, None):
        flags = {j for j in flags if j >= len(record.fields) or record.fields[j].lower() in (*_FLAGS, *_MISSING)}
        if layout.label is not None and len(record.fields) > layout.label:
            value = record.fields[layout.label]
            texts = texts or (_number(value, ".") is None and value.lower() not in _MISSING)
    label = [] if layout.label is None else [layout.label]
    used = sorted({*layout.features, *label})
    for record in islice(_records(path, text, sep), names is not None, None):
        _check_width(path, record, width)
        for j in label if _are_fine([record.fields[j] for j in layout.features], decimal) else used:
            field = record.fields[j]
            fault = _label_fault(field, texts) if j == layout.label else _number_fault(field, decimal, j in flags)
            if fault:
                told = "" if texts or "missing" in fault else hint
                raise DataError(f"{path}, line {record.line}, column {_column(j, names)}: {fault}{told}")


def _are_fine(fields: list[str], decimal: str) -> bool:
    """Whether these features are finite numbers; False also where that takes a closer look."""
    try:
        return decimal == "." and "_" not in "".join(fields) and math.isfinite(sum(map(float, fields)))
    except ValueError:
        return False


def _number_fault(field: str, decimal: str, flag: bool) -> str | None:
    """What is wrong with a field of features; flag: it may be true or false."""
    number = _number(field, decimal)
    if number is not None and math.isfinite(number):
        return None
    if field.lower() in _MISSING:
        return _missing(field)
    if number is None:
        return None if flag else f"holds {_shown(field)!r}; expected {_of_numbers(field, decimal)}"
    return f"holds {_shown(field)}, {number} as a number; expected finite ones"


def _label_fault(field: str, texts: bool) -> str | None:
    """What is wrong with a label; texts: whether labels are text."""
    if field == "" or (not texts and field.lower() in _MISSING):
        return _missing(field)
    if texts or _is_class(_number(field, ".")):
        return None
    return f"holds the label {_shown(field)}; expected a class: a whole number or text"


def _missing(field: str) -> str:
    return f"a value is missing{f' ({field})' if field else ''}"


def _shown(field: str) -> str:
    return field if len(field) <= 30 else f"{field[:30]}..."


def _check_width(path: Path, record: _Record, width: int) -> None:
    count = len(record.fields)
    if count != width:
        raise DataError(f"{path}, line {record.line}: has {count} column{'s' * (count != 1)}; expected {width}")


def _of_numbers(field: str, decimal: str) -> str:
    """What is expected instead of this field."""
    if re.fullmatch(r"[+-]?\d{1,3}([.,' \u00a0\u202f]\d{3})+([.,]\d+)?", field):
        return f"a number without marks of thousands{', and with a decimal comma' * (decimal == ',')}"
    return f"a number{' with a decimal comma' * (decimal == ',' and _number(field, '.') is not None)}"


def _pandas():
    try:
        import pandas
    except ImportError as error:
        raise ImportError("tables of text (.csv) need pandas: pip install 'fastlec[table]'") from error
    return pandas
