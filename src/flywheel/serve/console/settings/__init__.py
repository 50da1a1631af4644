"""The pages under /settings, for owners: who is let in, what is set, what was done.

    keys.py        who may call, with which key
    workspace.py   every setting in force; what this is and how it is
    moderation.py  rules, and what they would do
    words.py       the word lists
    audit.py       what owners and curators did

They only show and ask: what is checked and written is wheel/'s.
"""

from __future__ import annotations

from fastapi import APIRouter

from flywheel.serve.console.settings import audit, keys, moderation, words, workspace

router = APIRouter(include_in_schema=False)
for each in (keys, workspace, moderation, words, audit):
    router.include_router(each.router)
