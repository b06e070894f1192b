"""The table of a network's layers: text that shows itself where it is asked for, in a console and in a notebook."""

from __future__ import annotations

from typing import Self


class Summary(str):
    """A table as text, which consoles show without quotes, and notebooks as a table.

    rows : tuples of text, the first of them the head; of the four columns the third has numbers.
    """

    __slots__ = ("rows",)

    rows: list[tuple[str, ...]]

    def __new__(cls, rows: list[tuple[str, ...]]) -> Self:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
        made = super().__new__(cls, "\n".join(lines))
        made.rows = rows
        return made

    def __getnewargs__(self) -> tuple[list[tuple[str, ...]]]:
        return (self.rows,)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from html import escape

        head, *rows = [[escape(cell) for cell in row] for row in self.rows]
        lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
        lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
        return "<table>\n" + "\n".join(lines) + "\n</table>"
