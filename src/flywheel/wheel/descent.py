"""The versions as a line of descent: who came from whom, what served, and where it goes on.

Rows from the newest to the oldest, each with its lane and the lines that pass it, as histories of
branches are drawn: what serves and its ancestors stand in the first lane, whatever was kept back
or gone back from in lanes beside it. Not here: how it is drawn (serve/console).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from flywheel.records import Score
from flywheel.store import versions as version_store
from flywheel.store.versions import Promotion, Version

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

Standing = Literal["serves", "served", "kept", "erased"]
"""`served`: it did once, and another does now."""

Part = Literal["whole", "upper", "lower"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line in one row. It begins in a lane at the row's top or at the version, and ends in a
    lane at the bottom or at the version: `upper` and `lower` are the halves of a row."""

    part: Part
    lane: int
    to: int
    """The lane that it ends in; another one where a branch meets what it came from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One version, and what is drawn beside it."""

    version: Version
    standing: Standing
    promotions: tuple[Promotion, ...]
    """How it came to serve, each time."""
    lane: int
    lines: tuple[Line, ...]

    def score(self, metric: str) -> Score | None:
        """What it scored by one metric."""
        return self.version.metrics.get(metric)


@dataclass(frozen=True, kw_only=True, slots=True)
class Descent:
    """Every version, the newest first."""

    rows: tuple[Row, ...]
    champion: int | None
    history: tuple[Promotion, ...]
    num_lanes: int


def descent(workspace: Workspace) -> Descent:
    """The line of descent of a workspace's versions."""
    with workspace.database.read() as conn:
        champion = version_store.champion(conn)
        every = version_store.list_versions(conn)
        history = version_store.history(conn)
    return drawn(every, champion.number if champion else None, history)


def drawn(every: Sequence[Version], champion: int | None, history: Sequence[Promotion]) -> Descent:
    """The line of descent of these versions, the first one first."""
    by_number = {each.number: each for each in every}
    steps: dict[int, list[Promotion]] = {}
    for each in history:
        if each.version is not None:
            steps.setdefault(each.version, []).append(each)
    served = set(steps)
    tree = _Tree.of(by_number, champion, served)
    lines = tree.lines()
    return Descent(
        rows=tuple(
            Row(
                version=version,
                standing=_standing(version, champion, served),
                promotions=tuple(steps.get(version.number, ())),
                lane=tree.lanes[version.number],
                lines=tuple(lines[version.number]),
            )
            for version in reversed(every)
        ),
        champion=champion,
        history=tuple(history),
        num_lanes=max(tree.lanes.values(), default=0) + 1,
    )


def _standing(version: Version, champion: int | None, served: set[int]) -> Standing:
    if version.erased:
        return "erased"
    if version.number == champion:
        return "serves"
    return "served" if version.number in served else "kept"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tree:
    """Versions as chains of heirs: a chain has a lane, and meets its parent's below its last."""

    rows: dict[int, int]
    """The row of each version, from 0 for the newest."""
    parents: dict[int, int | None]
    heirs: dict[int, int]
    """The child that goes on in its parent's lane."""
    meets: dict[int, int]
    """Of each first version of a chain the row at whose bottom it meets its parent's lane."""
    lanes: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, versions: Mapping[int, Version], champion: int | None, served: set[int]) -> _Tree:
        rows = {number: row for row, number in enumerate(sorted(versions, reverse=True))}
        parents = {
            number: each.parent if each.parent in versions else None
            for number, each in versions.items()
        }
        heirs = _heirs(parents, champion, served)
        meets = {
            number: _meets(number, parent, rows, heirs)
            for number, parent in parents.items()
            if parent is not None and heirs.get(parent) != number
        }
        tree = cls(rows=rows, parents=parents, heirs=heirs, meets=meets)
        tree._give_lanes(champion)
        return tree

    def lines(self) -> dict[int, list[Line]]:
        """What is drawn in the row of each version."""
        at = {row: number for number, row in self.rows.items()}
        found: dict[int, list[Line]] = {number: [] for number in self.rows}

        def draw(row: int, part: Part, lane: int, to: int) -> None:
            line = Line(part=part, lane=lane, to=to)
            if line not in found[at[row]]:
                found[at[row]].append(line)

        for number, parent in self.parents.items():
            if parent is None:
                continue
            own, lane, its = self.rows[number], self.lanes[number], self.lanes[parent]
            # Down its own lane, then over to the parent's, and down to the parent.
            turn = self.meets.get(number, own)
            draw(own, "lower", lane, its if turn == own else lane)
            for row in range(own + 1, turn + 1):
                draw(row, "whole", lane, its if row == turn else lane)
            for row in range(turn + 1, self.rows[parent]):
                draw(row, "whole", its, its)
            draw(self.rows[parent], "upper", its, its)
        return found

    def _give_lanes(self, champion: int | None) -> None:
        taken: list[list[tuple[int, int]]] = []
        joining: dict[int | None, list[int]] = {}
        for number, row in self.meets.items():
            joining.setdefault(self.parents[number], []).append(row)
        first = [number for number in self.parents if self._begins(number)]
        first.sort(key=lambda number: (not self._leads_to(number, champion), number))
        for number in first:
            chain = self._chain(number)
            rows = [self.rows[chain[-1]], *(row for each in chain for row in joining.get(each, ()))]
            # Nothing else ever stands in the lane of what serves.
            top = 0 if champion in chain else min(rows)
            span = top, self.meets.get(number, self.rows[number])
            lane = next(
                (
                    lane
                    for lane, spans in enumerate(taken)
                    if all(span[1] < low or high < span[0] for low, high in spans)
                ),
                len(taken),
            )
            if lane == len(taken):
                taken.append([])
            taken[lane].append(span)
            self.lanes.update(dict.fromkeys(chain, lane))

    def _begins(self, number: int) -> bool:
        parent = self.parents[number]
        return parent is None or self.heirs.get(parent) != number

    def _leads_to(self, number: int, champion: int | None) -> bool:
        return champion in self._chain(number)

    def _chain(self, number: int) -> list[int]:
        chain = [number]
        while chain[-1] in self.heirs:
            chain.append(self.heirs[chain[-1]])
        return chain


def _heirs(
    parents: Mapping[int, int | None], champion: int | None, served: set[int]
) -> dict[int, int]:
    """The child that goes on in its parent's lane: the one that leads to what serves, else the
    newest that served."""
    heirs = {
        parent: number
        for number, parent in sorted(parents.items())
        if parent is not None and number in served
    }
    heirs.pop(champion, None) if champion is not None else None
    number = champion
    while number is not None:
        parent = parents.get(number)
        if parent is not None:
            heirs[parent] = number
        number = parent
    return heirs


def _meets(number: int, parent: int, rows: Mapping[int, int], heirs: Mapping[int, int]) -> int:
    """Where a branch meets its parent's lane: not above the heir, whose children it would seem."""
    heir = heirs.get(parent)
    return max(rows[number], rows[heir]) if heir is not None else rows[number]
