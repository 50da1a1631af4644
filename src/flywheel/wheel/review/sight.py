"""What a curator may see of many interactions and acts at once, as sight.py says it of one.

Reads of what was shown only what it rests on, since a list has hundreds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flywheel.store import corrections, documents, review_lists
from flywheel.store import feedback as feedback_store
from flywheel.wheel.feedback import is_readable, may_read

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.keys import Caller

_DOCUMENT = re.compile(r'"document": "([0-9a-f]+)"')
_CORRECTION = re.compile(r'"correction": ("(?:[^"\\]|\\.)+")')


def readable(conn: Connection, ids: Sequence[str], caller: Caller) -> set[str]:
    """Those of these interactions that a curator may look at."""
    stood = review_lists.stood_on(conn, sorted(set(ids)))
    held = {id: set(_DOCUMENT.findall(each.candidates)) for id, each in stood.items()}
    given = {
        id: set(map(json.loads, _CORRECTION.findall(each.candidates))) for id, each in stood.items()
    }
    open_documents = {
        id
        for id, each in documents.get_all(conn, set().union(*held.values())).items()
        if not each.deleted_at and may_read(caller.access, each.access)
    }
    open_corrections = {
        id for id in set().union(*given.values()) if _is_open(conn, id, caller.access)
    }
    return {
        id
        for id, each in stood.items()
        if held[id] <= open_documents
        and given[id] <= open_corrections
        and (held[id] or given[id] or each.user == caller.name or caller.access is None)
    }


def _is_open(conn: Connection, id: str, labels: Sequence[str] | None) -> bool:
    """Whether a correction that answered may be read. One that is withdrawn is only for whoever
    reads everything, since nobody follows any more where its evidence stands."""
    entry = corrections.get(conn, id)
    if entry is None:
        return False
    return is_readable(entry.correction, labels) and (not entry.withdrawn or labels is None)


def readable_acts(conn: Connection, ids: Sequence[str], caller: Caller) -> list[str]:
    """Those of these acts that a curator may look at: what they are about, and what they say."""
    if caller.access is None:
        return list(ids)
    acts = [act for id in ids if (act := feedback_store.get(conn, id)) is not None]
    seen = readable(conn, [act.interaction for act in acts if act.interaction], caller)
    return [
        act.id
        for act in acts
        if (act.interaction in seen if act.interaction else act.kind == "edit")
        and (act.kind != "edit" or _is_open(conn, act.id, caller.access))
    ]
