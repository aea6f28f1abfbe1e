"""The notebook under examples/ runs from top to bottom."""

from pathlib import Path

import pytest

from wordsight.errors import DownloadError

pytestmark = [pytest.mark.starter, pytest.mark.slow]


def test_the_notebook_runs(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    try:
        from wordsight import Explainer

        Explainer()
    except DownloadError as error:
        pytest.skip(f"the starter's weights are neither in the cache nor reachable: {error}")
    notebook = nbformat.read(Path(__file__).parents[1] / "examples" / "quick_start.ipynb", as_version=4)
    done = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = [str(output["data"]["text/html"]) for output in outputs if "text/html" in output.get("data", {})]
    assert any("95% interval" in page for page in pages)
    assert any("findings" in page for page in pages)
    assert not [output for output in outputs if output.output_type == "error"]
