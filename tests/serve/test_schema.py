"""What the OpenAPI document says is how the server answers: bench/explored.py, in process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from schemathesis.python import asgi

from explored import CONFIG, Sender, explore
from flywheel.records import Role
from flywheel.serve.app import create_app
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace

SETTINGS = "[serve]\nrequests_per_minute = 1000000\n"


@pytest.mark.parametrize("role", ["asker", "curator", "owner"])
def test_every_answer_keeps_to_the_document(root: Path, role: Role) -> None:
    (root / "flywheel.toml").write_text(SETTINGS, encoding="utf-8")
    with Workspace.open(root) as workspace:
        app = create_app(workspace)
        secret = keys.add(workspace.database, f"the {role}", role).secret
        schema = schemathesis.openapi.from_asgi(
            "/openapi.json", app, config=CONFIG, headers={"Host": "localhost"}
        )
        with asgi.get_client(cast(Any, app)) as session:
            tally = explore(schema, Sender(secrets={role: secret}, session=session), 120)
        app.state.service.close()
    assert not tally.failures
    assert tally.num >= 100
    assert max(tally.by_status) < 500
