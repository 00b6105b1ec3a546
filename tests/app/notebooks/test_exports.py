"""What is left of a notebook without a kernel: docs/exports.md says it, and it is so."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter, SlidesExporter
from nbconvert.utils.exceptions import ConversionException
from nbconvert.utils.pandoc import PandocMissing

from h5diag.evidence.samples import notebook_folder
from h5diag.show.sheet import Block, bullets, properties, markdown, section, sheet, table

EVIL = r"""\end{verbatim} \input{/etc/passwd} \(x\) \\(y\\) \[z\] $q$ $$w$$ % c & d # e_f ^g^ ~h~ {i} `j` ```k``` \write18{ls}
<cite data-cite="l">m</cite> <script>n</script> [p](q) --r"""
PAGE = Path(__file__).resolve().parents[3] / "docs" / "exports.md"
FORMATS = {"HTML": HTMLExporter, "Markdown": MarkdownExporter, "LaTeX": LatexExporter, "slides": SlidesExporter}
ANSWERS = {"01": "Nothing here points to a faulty chip", "03": "0xA6000"}
PICTURE = re.compile(r'<img[^>]+src="data:image/(?:svg\+xml|png);base64,[\w+/=]{2000,}|!\[[^]]*\]\([^)]+\.png\)')


@pytest.fixture(scope="module", params=["01_is_this_chip_faulty", "03_where_did_my_image_land"])
def book(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, nbformat.NotebookNode]:
    made = nbformat.read(notebook_folder() / f"{request.param}.ipynb", 4)
    place = {"metadata": {"path": str(tmp_path_factory.mktemp("book"))}}
    # As JupyterLab saves it: the state of controls is not kept unless somebody asks for it.
    NotebookClient(made, timeout=300, resources=place, store_widget_state=False).execute()
    return request.param[:2], made


def promised() -> dict[str, list[list[int]]]:
    """Return the page's table: notebook to the numbers of pictures and of tables in each format."""
    rows = re.findall(r"^\| (0\d) \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {number: [[int(n) for n in cell.split(",")] for cell in cells.split("|")] for number, cells in rows}


def test_the_page_has_a_column_for_every_format() -> None:
    head = re.search(r"^\| notebook \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert head is not None
    assert [c.strip() for c in head[1].split("|")] == list(FORMATS)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_carries_the_answer_the_pictures_and_the_tables(
    book: tuple[str, nbformat.NotebookNode], kind: str
) -> None:
    number, made = book
    try:
        text, resources = FORMATS[kind]().from_notebook_node(made)
    except (PandocMissing, ConversionException) as error:
        pytest.skip(f"LaTeX needs pandoc: {error}")
    assert ANSWERS[number] in (text.replace("\\", "") if kind == "LaTeX" else text)
    if kind == "LaTeX":
        named = re.findall(r"\{([^{}]+\.png)\}", text)
        assert all(resources["outputs"][name].startswith(b"\x89PNG") for name in named)
        found = [len(named), text.count(r"\begin{longtable}")]
    else:
        found = [len(PICTURE.findall(text)), text.count("<table")]
    assert found == promised()[number][list(FORMATS).index(kind)]


@pytest.mark.filterwarnings("default")
def test_what_a_stranger_wrote_is_no_latex() -> None:
    parts = (EVIL, bullets([EVIL]), Block(EVIL), properties([(EVIL, EVIL)]), table("a|b", [(EVIL, EVIL)]))
    text = markdown(sheet(EVIL, section(EVIL, *parts), name=EVIL, badge=EVIL), level=4)
    data = {"text/plain": "x", "text/markdown": text}
    output = nbformat.v4.new_output("display_data", data=data)
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    try:
        latex = LatexExporter().from_notebook_node(made)[0].split(r"\maketitle")[1]
    except (PandocMissing, ConversionException) as error:
        pytest.skip(f"LaTeX needs pandoc: {error}")
    for command in (
        r"\end{verbatim}",
        r"\input",
        r"\write",
        r"\cite",
        r"\(",
        r"\[z",
        r"\textsuperscript",
        r"\emph",
        r"\href",
    ):
        assert command not in latex, command
    code = latex.index(r"\begin{Highlighting}"), latex.index(r"\end{Highlighting}")
    assert r"\NormalTok{\textbackslash{}end\{verbatim\}" in latex[slice(*code)], "in a block only its own signs count"
    assert not re.search(r"(?<!\\)\$|(?<![\\{])%", latex[: code[0]] + latex[code[1] :].split("% Add a bibliography")[0])
    assert r"\{i\}" in latex and "-\\/-r" in latex, "nothing is lost, and an option keeps its two hyphens"
