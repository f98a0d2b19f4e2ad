"""One workbook a session, in three forms."""

import shutil
from pathlib import Path

import pytest

from tests.uploads.computing import workbooks
from uploads.document import Source


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workbooks")
    workbooks.write_sales(folder / "sales.xlsx")
    return folder


@pytest.fixture(scope="session")
def sales(folder: Path) -> Source:
    return workbooks.source_of(folder / "sales.xlsx")


@pytest.fixture(scope="session", params=["xlsx", "xls", "ods"])
def sales_in_every_form(request: pytest.FixtureRequest, folder: Path) -> Source:
    form: str = request.param
    if form == "xlsx":
        return workbooks.source_of(folder / "sales.xlsx")
    if shutil.which(workbooks.PROGRAM) is None:
        pytest.skip("no soffice: apt install libreoffice-calc-nogui")
    return workbooks.source_of(workbooks.convert(folder / "sales.xlsx", form))
