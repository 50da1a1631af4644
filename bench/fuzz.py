"""What the server makes of requests that nobody means: by its OpenAPI document, and against HTTP.

    python bench/fuzz.py [--cases 2500] [--raw 4000] [--seed 1]

Starts `flywheel serve` on the example as a process of its own, and sends it two kinds of requests:
by the document in every role (explored.py), and raw through sockets (raw.py). Each must be answered
as the document says, or hung up on; nothing may be the server's own error, nor take long.

Memory is the server's resident size: after a tenth of the cases, after half, and at the end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import schemathesis

from explored import CONFIG, Sender, explore
from flywheel.records import Role
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace
from raw import Requests, Tally, bombard, routes_of
from soak import ServerProcess, example
from table import print_table

SETTINGS = (
    "[exam]\nnum_synthetic = 60\n\n"
    "[serve]\nrequests_per_minute = 10000000\nconcurrent = 10000\nqueue = 10000\n"
)


class Memory:
    """A process's size after a tenth of the cases, after half of them, and at the end."""

    def __init__(self, server: ServerProcess, num: int) -> None:
        self._server, self._at = server, {num // 10, num // 2}
        self.seen: list[int] = []

    def look(self, num: int) -> None:
        """After so many cases."""
        if num in self._at:
            self._at.remove(num)
            self.end()

    def end(self) -> None:
        """After the last one."""
        self.seen.append(self._server.rss_bytes())


def row(name: str, tally: Tally, memory: Memory) -> list[str]:
    """One line of the table."""
    by_status = " ".join(f"{status}:{num:,}" for status, num in sorted(tally.by_status.items()))
    seconds, what = tally.slowest
    sizes = "/".join(f"{size / 2**20:.0f}" for size in memory.seen)
    return [
        name,
        f"{tally.num:,}",
        str(len(tally.failures)),
        f"{seconds:.1f} {what}",
        sizes,
        by_status,
    ]


def main() -> None:
    """Starts a server, sends both kinds, and prints a table; ends with 1 where anything failed."""
    parser = argparse.ArgumentParser(description="requests that nobody means")
    parser.add_argument("--cases", type=int, default=2500)
    parser.add_argument("--raw", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    roles: tuple[Role, ...] = ("asker", "curator", "owner")
    with tempfile.TemporaryDirectory() as folder:
        root, _ = example(Path(folder))
        (root / "flywheel.toml").write_text(SETTINGS, encoding="utf-8")
        with Workspace.open(root) as workspace:
            secrets = {role: keys.add(workspace.database, role, role).secret for role in roles}
        server = ServerProcess(root)
        server.start()
        try:
            schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=CONFIG)
            by_document, by_sockets = Memory(server, options.cases), Memory(server, options.raw)
            sender = Sender(
                secrets=secrets, base_url=server.url, seed=options.seed, at=by_document.look
            )
            explored = explore(schema, sender, options.cases)
            by_document.end()
            routes = routes_of(schema.raw_schema)
            made = Requests(options.seed, secrets, routes).attempts()
            attempts = [next(made) for _ in range(options.raw)]
            bombarded = bombard(server.port, attempts, at=by_sockets.look)
            by_sockets.end()
        finally:
            server.kill()
        said = server.log.read_text(encoding="utf-8", errors="replace")
    print_table(
        "requests that nobody means",
        ("", "cases", "failures", "slowest, s", "MiB at 10 %/50 %/end", "by status"),
        [row("by the document", explored, by_document), row("raw", bombarded, by_sockets)],
        f"0: the connection was closed without a word. "
        f"{said.count('Traceback')} tracebacks in the server's log.",
    )
    for each in (*explored.failures, *bombarded.failures):
        print(each)
    sys.exit(bool(explored.failures or bombarded.failures or "Traceback" in said))


if __name__ == "__main__":
    main()
