"""Takes the pictures in docs/pictures: every page of the console, in the machine's own Chromium.

    python docs/take_pictures.py [WORKSPACE]

The workspace is the example's manual after two turns, some days of use by four people and what
waits for a curator. It is made where none is given or the folder is not there, in about a minute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from flywheel.records import Role
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "owners-manual"
PICTURES = Path(__file__).with_name("pictures")
COMMAND = str(Path(sysconfig.get_path("scripts")) / "flywheel")

DESK, PHONE = (1440, 900), (360, 740)
PEOPLE: dict[str, Role] = {"Ines": "owner", "Wei": "curator", "Tom": "asker", "小李": "asker"}

Language = Literal["en", "zh"]
Look = Callable[[Page], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One picture."""

    name: str
    path: str
    who: str = "Ines"
    language: Language = "en"
    theme: Literal["light", "dark"] = "light"
    size: tuple[int, int] = DESK
    before: Look = lambda page: None
    """What somebody does before it is taken."""


def asks(question: str, num: int = 1) -> Look:
    """Asks, and waits for the answer; for several side by side where `num` says so."""

    def look(page: Page) -> None:
        if num > 1:
            page.locator(".compare summary").click()
            page.locator(f".compare-body input[value='{num}']").first.check()
            page.locator(".compare summary").click()
        page.fill("#question", question)
        page.press("#question", "Enter")
        page.locator(".exchange[data-interaction] .candidate").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.locator("#question").blur()

    return look


def opens_a_citation(page: Page) -> None:
    """Asks, and opens the first citation's passage."""
    asks(IN_CHINESE)(page)
    page.locator(".note a").first.click()
    page.locator("dialog[open] mark").first.wait_for()


def opens_what_differs(page: Page) -> None:
    """From an older edition to what has changed since."""
    page.locator("table a").first.click()
    page.locator("a[href$='/difference']").first.click()
    page.locator(".difference").wait_for()


def waits_for_the_suggestion(page: Page) -> None:
    """A queue's first item is filled in by the version that serves."""
    page.locator("#item .piece").first.wait_for()


IN_ENGLISH, IN_CHINESE = "Does the dash camera record sound?", "空调没有冷风怎么办"

# What shows the source's own path is left out: it is of the machine that took the pictures.
SHOTS = (
    Shot(name="ask", path="/ask", who="Tom", before=asks(IN_ENGLISH)),
    Shot(name="ask-zh-phone", path="/ask", who="小李", language="zh", size=PHONE,
         before=asks(IN_CHINESE)),
    Shot(name="compare-dark", path="/ask", who="Wei", theme="dark",
         before=asks("How do I change the key fob's battery?", 3)),
    Shot(name="citation-zh", path="/ask", who="小李", language="zh", before=opens_a_citation),
    Shot(name="review", path="/review?only=flagged", who="Wei", before=waits_for_the_suggestion),
    Shot(name="review-zh-phone", path="/review?only=suggested", who="Wei", language="zh",
         size=PHONE),
    Shot(name="documents", path="/documents"),
    Shot(name="report", path="/documents/report", size=(1440, 760)),
    Shot(name="difference", path="/documents?fate=superseded", before=opens_what_differs),
    Shot(name="documents-zh-phone", path="/documents", language="zh", size=PHONE),
    Shot(name="exam", path="/exam"),
    Shot(name="exam-zh-phone", path="/exam", language="zh", theme="dark", size=PHONE),
    Shot(name="wheel", path="/wheel"),
    Shot(name="versions-zh-dark", path="/wheel/compare", language="zh", theme="dark"),
    Shot(name="wheel-zh-phone", path="/wheel", language="zh", size=PHONE),
    Shot(name="settings", path="/settings"),
    Shot(name="settings-zh-phone", path="/settings", language="zh", size=PHONE),
)  # fmt: skip


def main() -> None:
    """Makes the workspace where there is none, serves it, and takes the pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(temporary) / "workspace").absolute()
        secrets = make(root) if not Workspace.is_at(root) else people(root)
        PICTURES.mkdir(exist_ok=True)
        with served(root) as url:
            live(url, secrets)
            with sync_playwright() as playwright:
                path = shutil.which("chromium") or shutil.which("chromium-browser")
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
                for shot in SHOTS:
                    take(browser, url, secrets[shot.who], shot)
                    print(shot.name, flush=True)
                browser.close()


def make(root: Path) -> dict[str, str]:
    """The example after two turns."""
    run(root, "init", str(root))
    run(root, "add", str(EXAMPLE / "documents"))
    shutil.copy(EXAMPLE / "exam.jsonl", root / "exam.jsonl")
    run(root, "turn")
    run(root, "feedback", "import", str(EXAMPLE / "feedback.jsonl"))
    run(root, "turn")
    return people(root)


def people(root: Path) -> dict[str, str]:
    """A new key's secret for each of them."""
    with Workspace.open(root) as workspace:
        return {
            name: keys.add(workspace.database, name, role).secret for name, role in PEOPLE.items()
        }


def live(url: str, secrets: dict[str, str]) -> None:
    """What four people ask and say, so that the pages have something to show."""
    clients = {
        name: httpx.Client(
            base_url=f"{url}/v1",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=60,
            trust_env=False,
        )
        for name, secret in secrets.items()
    }
    asked = {
        "Tom": [
            "Where is the child lock?",
            "How do I change the key fob's battery?",
            "Which colour can I order the seats in?",
            "How much does the first service cost?",
            "What does the blue lamp with the thermometer mean?",
        ],
        "小李": [
            "儿童锁在哪里？",
            "空调没有冷风怎么办",
            "可以用洗车机洗车吗",
            "第一次保养多少钱",
            "拖车最快能开多少",
        ],
        "Wei": ["How much does the first service cost?", "第一次保养多少钱"],
    }  # fmt: skip
    for name, questions in asked.items():
        for number, question in enumerate(questions):
            body = {"model": "flywheel", "messages": [{"role": "user", "content": question}]}
            reply = clients[name].post("/chat/completions", json=body).json()
            act = {"interaction": reply["flywheel"]["interaction"], "candidate": 0}
            kind = ("up", "up", "flag", "down", "bookmark")[number % 5]
            reason = {"reason": "This is of the older edition."} if kind == "flag" else {}
            clients[name].post("/feedback", json=act | {"kind": kind} | reason)
    clients["Tom"].post("/feedback", json={
        "kind": "edit", "question": "Can I wash the car in a car wash?",
        "answer": "Yes. Fold the mirrors in and switch the wipers off first.",
        "evidence": [],
    })  # fmt: skip
    clients["小李"].post("/feedback", json={
        "kind": "edit", "question": "后备箱打不开怎么办",
        "answer": "用机械钥匙从车内拉手处打开。",
        "evidence": [],
    })  # fmt: skip
    for client in clients.values():
        client.close()


def take(browser: Browser, url: str, secret: str, shot: Shot) -> None:
    """One picture of what a window shows."""
    width, height = shot.size
    context = browser.new_context(
        locale={"en": "en-US", "zh": "zh-CN"}[shot.language],
        color_scheme=shot.theme,
        viewport={"width": width, "height": height},
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{url}/signin")
    page.fill("#key", secret)
    page.press("#key", "Enter")
    page.wait_for_url(f"{url}/ask")
    page.goto(url + shot.path)
    page.wait_for_load_state("networkidle")
    shot.before(page)
    page.wait_for_function("!document.querySelector('time:not([data-shown]), .htmx-request')")
    page.screenshot(path=PICTURES / f"{shot.name}.png")
    context.close()


def run(root: Path, *arguments: str) -> None:
    """A command in the workspace."""
    environment = os.environ | {"FLYWHEEL_WORKSPACE": str(root)}
    subprocess.run([COMMAND, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """`flywheel serve` on a free port; gives its address."""
    environment = os.environ | {"FLYWHEEL_WORKSPACE": str(root)}
    with subprocess.Popen(
        [COMMAND, "serve", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
