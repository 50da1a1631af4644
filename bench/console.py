"""How quickly the console's pages come on a large workspace, how much they weigh, when they show.

    python bench/console.py [--folder FOLDER] [--requests 40] [--documents 10000]

Makes a workspace of 10,000 documents, 50,000 interactions and 10,000 acts of feedback (filled.py;
once, where a folder is named), starts `flywheel serve` on it, and signs in as an owner. Then it
follows the links of the console's pages, and what they load later, and asks each kind of address
so many times, one request at a time. Before each of them somebody else's interaction and act are
kept, as on a server that is in use: what a page remembers until something changes is not measured.
The first contentful paint is Chromium's, where there is one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from sqlalchemy import Connection, delete

import measure
from filled import LATE, OWNER, Numbers, make, one_more
from flywheel.store import feedback as feedback_store
from flywheel.store import interactions
from flywheel.store.tables import feedback as feedback_table
from flywheel.store.tables import interactions as interactions_table
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace
from load import percentile
from serving import cpu_seconds, free_port, running, since
from table import print_table

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

PAGES = ("/ask", "/review", "/documents", "/exam", "/wheel", "/settings")
SEARCH = "heron"
"""What is looked for where a page lets one look for something: a ninth of all is about it."""
WARM_UPS = 2
MAX_KINDS = 120
MAX_MS, MAX_BYTES = 100.0, 150_000
PAINTS = 3
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

_NAME = re.compile(r"[0-9a-f]{8,}|.*[^a-z._-].*")
"""A part of a path that names one of many things."""
_LATER = ("hx-get", "data-src")
_LINKS = {"a": ("href",), "link": ("href",), "script": ("src",), "img": ("src",), "use": ("href",)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One address of a kind, and how it is reached."""

    kind: str
    """Its path with a star for each name, and the names of its parameters."""
    place: str
    is_part: bool
    """Loaded into a page that is there."""
    first_ms: float = 0
    """What it took as the first of its kind, from a server that had just started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What the server sent."""

    status: int
    body: bytes
    seconds: float
    type: str

    @property
    def text(self) -> str:
        """The body of a page."""
        return self.body.decode("utf-8", "replace")


@dataclass(kw_only=True, slots=True)
class Measured:
    """What an address took."""

    address: Address
    ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0
    """Of the server's process, for each request: what others on the machine do counts less."""
    status: int = 0
    num_bytes: int = 0
    whole: int = 0
    """With the scripts and styles that it links; 0 where it is no page of its own."""

    @property
    def is_over(self) -> bool:
        """Whether a page comes too slowly, or weighs too much."""
        return percentile(self.ms, 95) > MAX_MS or self.whole > MAX_BYTES


class Client:
    """A browser's session, without a browser: one connection, and the cookie of an owner."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.cookie = ""

    def sign_in(self, secret: str) -> None:
        """By a key, as its holder does at /signin."""
        form = urlencode({"key": secret, "next": "/ask"})
        self._connection.request(
            "POST", "/signin", form, {"Content-Type": "application/x-www-form-urlencoded"}
        )
        reply = self._connection.getresponse()
        reply.read()
        self.cookie = (reply.headers.get("Set-Cookie") or "").split(";")[0]
        if not self.cookie:
            raise SystemExit(f"Signing in was answered with {reply.status}.")

    def get(self, place: str, is_part: bool = False) -> Reply:
        """What stands there, and how long it took to come."""
        headers = {"Cookie": self.cookie, "Accept-Language": "en"}
        if is_part:
            headers["HX-Request"] = "true"
        started = time.perf_counter()
        try:
            reply, body = self._sent(place, headers)
        except (OSError, http.client.HTTPException):  # after a failure the server hangs up
            started = time.perf_counter()
            reply, body = self._sent(place, headers)
        seconds = time.perf_counter() - started
        kind = reply.headers.get("Content-Type") or ""
        return Reply(status=reply.status, body=body, seconds=seconds, type=kind)

    def _sent(
        self, place: str, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            self._connection.request("GET", place, headers=headers)
            reply = self._connection.getresponse()
            return reply, reply.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


class _Reader(HTMLParser):
    """The addresses in a page: what it leads to, what it loads at once, and later."""

    def __init__(self) -> None:
        super().__init__()
        self.leads: list[str] = []
        self.later: list[str] = []
        self.loads: list[str] = []
        self._looks_in = ""
        """Where the form that stands open looks something up."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the addresses of an element."""
        values = {name: value for name, value in attrs if value}
        self.later += [values[name] for name in _LATER if name in values]
        for name in _LINKS.get(tag, ()):
            if name in values:
                is_own = tag in ("script", "img") or values.get("rel") == "stylesheet"
                (self.loads if is_own else self.leads).append(values[name])
        if tag == "form":
            self._looks_in = (
                values.get("action", "") if values.get("method", "get") == "get" else ""
            )
            self.leads.append(self._looks_in)
        if tag == "input" and values.get("type", "text") in ("text", "search"):
            asked = urlencode({values.get("name", "q"): SEARCH})
            self.leads += [f"{self._looks_in}?{asked}"] if self._looks_in else []
            self.later += [f"{values['hx-get']}?{asked}"] if "hx-get" in values else []


def read(page: str) -> _Reader:
    """What a page leads to."""
    reader = _Reader()
    reader.feed(page)
    return reader


def kind_of(place: str) -> str:
    """What kind of address it is, whichever of many things it names."""
    parts = urlsplit(place)
    path = "/".join("*" if _NAME.fullmatch(each) else each for each in parts.path.split("/"))
    names = sorted({name for name, value in parse_qsl(parts.query) if value})
    return f"{path}?{'&'.join(names)}" if names else path


def found(client: Client) -> list[Address]:
    """One address of each kind, by following links from the six pages."""
    waiting = [Address(kind=page, place=page, is_part=False) for page in PAGES]
    known = {each.kind: each for each in waiting}
    while waiting:
        address = waiting.pop(0)
        reply = client.get(address.place, address.is_part)
        known[address.kind] = replace(address, first_ms=1000 * reply.seconds)
        if reply.status != 200 or "html" not in reply.type:
            continue
        page = read(reply.text)
        for links, is_part in ((page.leads, False), (page.later, True), (page.loads, False)):
            for place in _own(address.place, links):
                each = Address(kind=kind_of(place), place=place, is_part=is_part)
                if each.kind not in known and len(known) < MAX_KINDS:
                    known[each.kind] = each
                    waiting.append(each)
    return sorted(known.values(), key=lambda each: (PAGES.index(_page_of(each.place)), each.kind))


def _own(base: str, links: Iterable[str]) -> Iterator[str]:
    """Those of the links that lead to the console's pages."""
    for link in links:
        place = urljoin(base, link).split("#")[0]
        if _page_of(place):
            yield place


def _page_of(place: str) -> str:
    path = urlsplit(place).path
    return next((page for page in PAGES if path == page or path.startswith(f"{page}/")), "")


def measured(
    client: Client, workspace: Workspace, address: Address, num: int, number: int, pid: int
) -> Measured:
    """What an address takes and weighs.

    Args:
        pid: of the server.
    """
    with workspace.database.read() as conn:
        [line] = interactions.list_page(conn, OWNER, limit=1)
        like = interactions.get(conn, line.id)
    assert like is not None
    told = Measured(address=address)
    before = cpu_seconds(pid)
    for time_ in range(WARM_UPS + num):
        asked, act = one_more(number * 1000 + time_, like)
        put = partial(interactions.put, interaction=asked, key=f"late {time_}")
        workspace.database.write(put)
        rate = partial(feedback_store.put_all, acts=[act], contents={act.id: "0"})
        workspace.database.write(rate)
        reply = client.get(address.place, address.is_part)
        if time_ >= WARM_UPS:
            told.ms.append(1000 * reply.seconds)
            told.cpu_ms = 1000 * sum(since(pid, before).values()) / len(told.ms)
            continue
        before = cpu_seconds(pid)
        told.status, told.num_bytes = reply.status, len(reply.body)
        if reply.status != 200:
            break
        if "html" in reply.type and not address.is_part:
            told.whole = told.num_bytes + _linked_bytes(client, address, reply)
    return told


def _linked_bytes(client: Client, address: Address, reply: Reply) -> int:
    """Of scripts, styles and signs that a page links, each once."""
    page = read(reply.text)
    links = {urljoin(address.place, each).split("#")[0] for each in [*page.loads, *page.leads]}
    static = [each for each in sorted(links) if "/static/" in each]
    return sum(len(client.get(each).body) for each in static)


def paints(port: int, cookie: str) -> dict[str, tuple[str, str]]:
    """When the six pages show something, and how long their longest task holds the browser up."""
    if CHROMIUM is None:
        return {}
    from playwright.sync_api import sync_playwright

    name, _, value = cookie.partition("=")
    told: dict[str, tuple[str, str]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for page in PAGES:
            first, longest = [], []
            for _ in range(PAINTS):
                context = browser.new_context()  # nothing is cached
                context.add_cookies(
                    [{"name": name, "value": value, "url": f"http://127.0.0.1:{port}"}]
                )
                paint, task = _paint(context, f"http://127.0.0.1:{port}{page}")
                first.append(paint)
                longest.append(task)
                context.close()
            told[page] = (f"{median(first):.0f}", f"{max(longest):.0f}")
        browser.close()
    return told


_OBSERVE = """
() => new Promise(done => {
  const told = {paint: 0, task: 0};
  new PerformanceObserver(list => list.getEntries().forEach(each => {
    if (each.name === "first-contentful-paint") told.paint = each.startTime;
  })).observe({type: "paint", buffered: true});
  new PerformanceObserver(list => list.getEntries().forEach(each => {
    told.task = Math.max(told.task, each.duration);
  })).observe({type: "longtask", buffered: true});
  setTimeout(() => done(told), 300);
})
"""


def _paint(context: BrowserContext, url: str) -> tuple[float, float]:
    page = context.new_page()
    page.goto(url, wait_until="load")
    told = page.evaluate(_OBSERVE)
    return told["paint"], told["task"]


def rows(every: Sequence[Measured], shown: Mapping[str, tuple[str, str]]) -> list[list[str]]:
    """The table's."""
    table = []
    for each in every:
        mark = "…" if each.address.is_part else ""
        if each.status != 200:
            missing = "missing" if each.status == 404 else f"status {each.status}"
            table.append([f"{each.address.kind}{mark}", missing, *[""] * 7])
            continue
        paint, task = shown.get(each.address.place, ("", ""))
        over = " !" if each.is_over else ""
        table.append(
            [
                f"{each.address.kind}{mark}{over}",
                f"{each.address.first_ms:.0f}",
                f"{percentile(each.ms, 50):.0f}",
                f"{percentile(each.ms, 95):.0f}",
                f"{each.cpu_ms:.0f}",
                f"{each.num_bytes / 1000:.1f}",
                f"{each.whole / 1000:.0f}" if each.whole else "",
                paint,
                task,
            ]
        )
    return table


def _tidy(conn: Connection) -> None:
    """Takes back what came in meanwhile, so that a workspace that stays does not grow."""
    conn.execute(delete(interactions_table).where(interactions_table.c.user == LATE))
    conn.execute(delete(feedback_table).where(feedback_table.c.user == LATE))


@contextmanager
def folder_of(named: Path | None) -> Iterator[Path]:
    """The one that is named, or one that goes afterwards."""
    if named is not None:
        named.mkdir(parents=True, exist_ok=True)
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="flywheel-console-") as folder:
        yield Path(folder)


def main() -> None:
    """Makes the workspace, serves it, asks its pages and prints the table."""
    parser = argparse.ArgumentParser(description="the console's pages on a large workspace")
    parser.add_argument("--folder", type=Path, help="where the workspace is made, and stays")
    parser.add_argument("--requests", type=int, default=40, help="of each kind of address")
    parser.add_argument("--documents", type=int, default=Numbers().documents)
    parser.add_argument("--interactions", type=int, default=Numbers().interactions)
    parser.add_argument("--only", default="", help="a part of the addresses that are measured")
    parser.add_argument("--json", type=Path, help="where every time is written to, too")
    options = parser.parse_args()
    numbers = Numbers(documents=options.documents, interactions=options.interactions)
    with ExitStack() as stack:
        root = make(stack.enter_context(folder_of(options.folder)), numbers)
        (root / "flywheel.toml").write_text(
            "[serve]\nrequests_per_minute = 1000000\n", encoding="utf-8"
        )
        port = free_port()
        command = [*measure.FLYWHEEL, "-w", str(root), "serve", "--port", str(port)]
        server = stack.enter_context(running("Flywheel", command, port))
        workspace = stack.enter_context(Workspace.open(root))
        client = Client(port)
        client.sign_in(keys.add(workspace.database, OWNER, "owner", days=1).secret)
        every = [each for each in found(client) if options.only in each.place]
        print(f"{len(every)} kinds of addresses", file=sys.stderr, flush=True)
        told = [
            measured(client, workspace, each, options.requests, number, server.pid)
            for number, each in enumerate(every)
        ]
        shown = paints(port, client.cookie)
        workspace.database.write(_tidy)
    print_table(
        f"the console on {numbers.documents:,} documents, {numbers.interactions:,} interactions",
        (
            "",
            "first ms",
            "p50 ms",
            "p95 ms",
            "CPU ms",
            "kB",
            "kB with scripts",
            "paint ms",
            "longest task ms",
        ),
        rows(told, shown),
        f"{options.requests} requests each, after the first ones, between which others ask and "
        "rate. `…`: loaded into a page later;\n`!`: over "
        f"{MAX_MS:.0f} ms or {MAX_BYTES // 1000} kB, neither compressed nor cached. Paint: median "
        f"of {PAINTS} in a browser that has cached nothing.",
    )
    if options.json:
        values = {each.address.place: each.ms for each in told}
        options.json.write_text(json.dumps(values, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
