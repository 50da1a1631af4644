"""A web page's main text as Markdown, with its title and date.

The body without its navigation is taken where it is mostly prose, as handbooks are: trafilatura
loses the headings of DocBook and Sphinx pages (0 of 8 kept on the Debian FAQ). Pages that are
mostly links go through trafilatura.
"""

from __future__ import annotations

import logging
import re

from lxml import etree, html

from flywheel.collect.formats.content import Content
from flywheel.collect.formats.decode import decode
from flywheel.collect.formats.html_markdown import html_markdown, inline_text, tag
from flywheel.errors import ExtractError

_FURNITURE = re.compile(
    r"nav|navbar|navigation|navheader|navfooter|menu|breadcrumbs?|sidebar|footer|cookies?|consent"
    r"|skip|skiplink|toc|pagination|pager|share|sharing|social|related|comments|advert|ads|banner"
    r"|editsection|headerlink|noprint|catlinks|printfooter|newsletter|subscribe|login|dialog|modal"
    r"|popup|tooltip"
)
"""What the words in the class and the id of such elements are."""
_ROLES = re.compile(r"navigation|banner|contentinfo|search|complementary|dialog|alert")
_MAX_LINK_SHARE = 0.4
_DATES = (
    "article:modified_time",
    "article:published_time",
    "dcterms.modified",
    "dcterms.date",
    "dcterms.issued",
    "dc.date",
    "dc.date.issued",
    "date",
    "last-modified",
    "datepublished",
    "datemodified",
    "pubdate",
)
_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")


def extract_html(data: bytes, hint: str = "") -> Content:
    """The main text of a page.

    Raises:
        ExtractError: there is no text in it.
    """
    source = decode(data, hint)
    root = parse_html(source)
    body = next((item for item in root.iter() if tag(item) == "body"), root)
    title, date = _title(root), _date(root)
    _prune(body)
    main = _main(body)
    text = html_markdown(main)
    if _link_share(main) > _MAX_LINK_SHARE:
        text = _by_trafilatura(source, text)
    headings = [inline_text(item) for item in main.iter() if tag(item) == "h1"]
    title = headings[0] if len(headings) == 1 and headings[0] else title
    return Content(title=title, text=text, date=date)


def parse_html(source: str) -> etree._Element:
    """The tree of an HTML or XHTML text, however broken.

    Raises:
        ExtractError: there is nothing in it.
    """
    source = re.sub(r"^\s*<\?xml[^>]*\?>", "", source.replace("\x00", ""))
    try:
        return html.document_fromstring(
            source, parser=html.HTMLParser(remove_comments=True, huge_tree=True)
        )
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise ExtractError("empty") from error


def _title(root: etree._Element) -> str:
    found = next((item for item in root.iter() if tag(item) == "title"), None)
    return inline_text(found).replace("\n", " ") if found is not None else ""


def _date(root: etree._Element) -> str:
    """The page's edition: when it was changed, or else published."""
    found: dict[str, str] = {}
    for item in root.iter():
        if tag(item) == "meta":
            name = item.get("property") or item.get("name") or item.get("itemprop") or ""
            if match := _DATE.match((item.get("content") or "").strip()):
                found.setdefault(name.lower(), match.group())
    return next((found[name] for name in _DATES if name in found), "")


def _prune(body: etree._Element) -> None:
    """Takes out what surrounds the text, unless that would take most of the page."""
    limit = 0.5 * _length(body)
    for item in [item for item in body.iterdescendants() if _is_furniture(item)]:
        parent = item.getparent()
        if parent is not None and _length(item) <= limit:
            item.drop_tree()


def _is_furniture(item: etree._Element) -> bool:
    name = tag(item)
    if name in ("nav", "footer"):
        return True
    if name in ("", "body", "main", "article", "h1", "h2", "h3", "p"):
        return False
    if name == "header":
        return not any(tag(inner) == "h1" for inner in item.iter())
    if _ROLES.fullmatch(item.get("role", "")) or item.get("hidden") is not None:
        return True
    if item.get("aria-hidden") == "true" or "display:none" in item.get("style", "").replace(
        " ", ""
    ):
        return True
    words = re.split(r"[\s_-]+", f"{item.get('class') or ''} {item.get('id') or ''}".lower())
    return any(_FURNITURE.fullmatch(word) for word in words)


def _main(body: etree._Element) -> etree._Element:
    """The one element that says that it is the main text, if it holds most of it."""
    marked = [i for i in body.iterdescendants() if tag(i) == "main" or i.get("role") == "main"]
    marked = marked or [i for i in body.iterdescendants() if tag(i) == "article"]
    if len(marked) == 1 and _length(marked[0]) > 0.5 * _length(body):
        return marked[0]
    return body


def _length(element: etree._Element) -> int:
    return sum(len(part.strip()) for part in element.itertext() if isinstance(part, str))


def _link_share(element: etree._Element) -> float:
    links = sum(_length(item) for item in element.iterdescendants() if tag(item) == "a")
    return links / max(_length(element), 1)


def _by_trafilatura(source: str, otherwise: str) -> str:
    """What trafilatura takes for the main text, unless it found next to nothing."""
    from trafilatura import extract

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    found = extract(source, output_format="html", favor_recall=True, include_comments=False)
    if not found:
        return otherwise
    text = html_markdown(parse_html(found))
    return text if len(text) > max(200, 0.1 * len(otherwise)) else otherwise
