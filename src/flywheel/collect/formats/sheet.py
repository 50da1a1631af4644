"""Workbooks as Markdown: a heading a sheet, its rows as tables; of formulas the last value."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time

from flywheel.collect.formats.content import Content, no_headings
from flywheel.collect.formats.package import Package
from flywheel.collect.formats.table import markdown_table
from flywheel.errors import ExtractError

_MAX_COLUMNS = 256
_MAX_ROWS = 200_000
_MAX_EMPTY_ROWS = 1000
"""A sheet that was formatted to its end claims a million empty rows."""


def extract_xlsx(data: bytes) -> Content:
    """The text of an Excel workbook.

    Raises:
        ExtractError: corrupt.
    """
    with Package(data, "XLSX") as package:  # the limits on unpacked sizes are checked here
        title = package.title()
    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl tells of extensions that it does not read
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            sheets = [
                _sheet(sheet.title, sheet.iter_rows(values_only=True, max_col=_MAX_COLUMNS))
                for sheet in book.worksheets
                if sheet.sheet_state == "visible"
            ]
            book.close()
    except Exception as error:  # openpyxl meets damage with errors of every kind
        raise ExtractError("corrupt XLSX") from error
    return Content(title=title, text="\n\n".join(filter(None, sheets)))


def extract_xls(data: bytes) -> Content:
    """The text of an Excel workbook of before 2007.

    Raises:
        ExtractError: encrypted or corrupt.
    """
    import xlrd

    try:
        book = xlrd.open_workbook(file_contents=data, logfile=io.StringIO(), on_demand=True)
        sheets = [
            _sheet(sheet.name, _xls_rows(sheet, book.datemode))
            for sheet in book.sheets()
            if sheet.visibility == 0
        ]
    except Exception as error:  # xlrd meets damage with errors of every kind
        reason = "encrypted" if "encrypted" in str(error) else "corrupt XLS"
        raise ExtractError(reason) from error
    return Content(title="", text="\n\n".join(filter(None, sheets)))


def _xls_rows(sheet: object, datemode: int) -> Iterator[list[object]]:
    from xlrd import XL_CELL_BOOLEAN, XL_CELL_DATE, XL_CELL_ERROR, xldate_as_datetime

    for row in sheet.get_rows():  # type: ignore[attr-defined]
        values: list[object] = []
        for cell in row[:_MAX_COLUMNS]:
            if cell.ctype == XL_CELL_DATE:
                values.append(xldate_as_datetime(cell.value, datemode))
            elif cell.ctype == XL_CELL_BOOLEAN:
                values.append(bool(cell.value))
            else:
                values.append(None if cell.ctype == XL_CELL_ERROR else cell.value)
        yield values


def _sheet(name: str, rows: Iterable[Iterable[object]]) -> str:
    """Rows that an empty one parts are tables of their own."""
    tables: list[str] = []
    group: list[list[str]] = []
    num_empty = 0
    for index, row in enumerate(rows):
        cells = [shown(value) for value in row]
        if any(cells):
            group.append(cells)
            num_empty = 0
            continue
        num_empty += 1
        if num_empty > _MAX_EMPTY_ROWS or index > _MAX_ROWS:
            break
        tables.append(_part(group))
        group = []
    tables.append(_part(group))
    text = "\n\n".join(filter(None, tables))
    return f"## {name}\n\n{text}" if text else ""


def _part(rows: list[list[str]]) -> str:
    """Cells alone in the first rows are captions of the table below them."""
    start = next((i for i, row in enumerate(rows) if sum(map(bool, row)) > 1), len(rows))
    captions = ["".join(row) for row in rows[:start]]
    return "\n\n".join(
        filter(None, [no_headings("\n".join(captions)), markdown_table(rows[start:])])
    )


def shown(value: object) -> str:
    """A cell's value as people write it: whole numbers without `.0`, dates in ISO form."""
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.10g}"
    if isinstance(value, datetime):
        is_day = value.time() == time(0)
        return value.date().isoformat() if is_day else value.isoformat(" ", "minutes")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value).strip()
