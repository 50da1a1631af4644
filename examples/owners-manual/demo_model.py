"""A small language model of the example's own, and what it is worth: `make demo-model`.

Trains for at most 90 s from scratch, on a workspace of its own in `.demo-model/`. A model of so
little text and time is no answerer, and nothing here pretends that it were one: its figures stand
beside those of plain compressors and of quoting, and the gate decides.
"""

from __future__ import annotations

import shutil
import time

import demo

SETTINGS = """\
[build]
base = "new"
max_minutes = 1.5
"""


def main() -> None:
    """Documents → version 1, which quotes → a model of its own → the exam decides."""
    demo.WORKSPACE = demo.WORKSPACE.with_name(".demo-model")
    started = time.monotonic()
    shutil.rmtree(demo.WORKSPACE, ignore_errors=True)
    demo.say("An owner's manual in English and Chinese gets a language model of its own.")
    demo.flywheel("init", demo.shown(demo.WORKSPACE))
    demo.flywheel("add", demo.shown(demo.EXAMPLE / "documents"))
    shutil.copy(demo.EXAMPLE / "exam.jsonl", demo.WORKSPACE / "exam.jsonl")
    demo.say("Version 1 quotes the documents.")
    demo.flywheel("turn")
    demo.say("What fits this machine and these documents, if training may take 90 s?")
    print(f"$ cat >> {demo.shown(demo.WORKSPACE)}/flywheel.toml\n{SETTINGS}")
    (demo.WORKSPACE / "flywheel.toml").write_text(SETTINGS, encoding="utf-8")
    demo.flywheel("plan")
    demo.say("Build it, compare the served file with it, and let it sit the exam beside quoting.")
    demo.flywheel("turn", "--model")
    demo.say("The model's words beside the documents' own, question by question.")
    demo.flywheel("versions", "compare", "1", "2")
    demo.say("The gate keeps quoting until a model answers better:")
    demo.flywheel("ask", "Does the dash camera record sound?")
    demo.say(f"Done in {time.monotonic() - started:.0f} s. With a base that others trained:")
    print('[build]\nbase = "Qwen/Qwen3-0.6B"  # a folder, or a name in the local hub cache')


if __name__ == "__main__":
    main()
