"""Token sequences → rows → batches on a device, in an order that a seed and an epoch decide.

Short texts share a row of `context` tokens, packed by best fit, and do not see each other; the two
replies of a preference share their prompt. A batch is several rows laid end to end, without
padding: every token in it is worth its time.

Legend: n tokens of a batch, m targets, r replies (a sequence counts as one, a preference as two).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flywheel.build.attention import Layout, Segment
from flywheel.build.sequences import Ids, TokenPair, TokenSequence

Notes = Mapping[str, npt.NDArray[np.float64]]
"""What an objective noted before training: name → a value or several for each item, (items, …)."""

Items = tuple[TokenSequence, ...] | tuple[TokenPair, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rows:
    """What is trained on or evaluated: items, and which of them share a row."""

    items: Items
    rows: tuple[tuple[int, ...], ...]
    notes: Notes = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.items))

    def with_notes(self, notes: Notes) -> Rows:
        return replace(self, notes=notes)

    def digest(self) -> str:
        """A hash of all that is learned from, and of how it is packed."""
        hashed = hashlib.sha256(repr(self.rows).encode())
        for item in self.items:
            parts: tuple[npt.NDArray[np.generic], ...]
            if isinstance(item, TokenPair):
                parts = (item.prompt, item.chosen, item.rejected)
            else:
                parts = (item.ids, item.is_target)
            hashed.update(repr(([len(part) for part in parts], item.weight)).encode())
            for part in parts:
                hashed.update(np.ascontiguousarray(part).tobytes())
        return hashed.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Rows laid end to end, on the device. Integers are int64, weights float32."""

    ids: Tensor
    """(n,)"""
    positions: Tensor
    """(n,): from 0 in each text; both replies go on from their prompt."""
    segments: tuple[Segment, ...]
    layout: Layout
    """Of the segments."""
    sources: Tensor
    """(m,): the place in the row whose output predicts the target."""
    labels: Tensor
    """(m,): the target."""
    weights: Tensor
    """(m,): of the item that it stands in."""
    replies: Tensor
    """(m,): the number of the reply that it stands in; a preference's chosen one comes first."""
    item_weights: Tensor
    """(items,)"""
    notes: Mapping[str, Tensor]
    """(items, …) each."""
    num_replies: int
    num_tokens: int
    total_weight: float
    """Of all targets."""
    total_item_weight: float


def pack(sequences: Sequence[TokenSequence], context: int, seed: int) -> Rows:
    """Sequences that share rows of at most `context` tokens.

    Best fit, the longest first: each goes where the least room is left over. Which of equally
    long ones meet is drawn by the seed. It takes O(s log s) for s sequences.
    """
    order = np.random.default_rng(seed).permutation(len(sequences))
    longest_first = sorted(order.tolist(), key=lambda place: -len(sequences[place]))
    rows: list[list[int]] = []
    open_rows: list[tuple[int, int]] = []
    """(room left, row), sorted."""
    for place in longest_first:
        length = len(sequences[place])
        assert length <= context
        best = bisect_left(open_rows, (length, -1))
        if best < len(open_rows):
            room, row = open_rows.pop(best)
        else:
            room, row = context, len(rows)
            rows.append([])
        rows[row].append(place)
        # A text of one token teaches nothing, so less room than two is none.
        if room - length >= 2:
            insort(open_rows, (room - length, row))
    return Rows(items=tuple(sequences), rows=tuple(map(tuple, rows)))


def pairs_as_rows(pairs: Sequence[TokenPair]) -> Rows:
    """Preferences, each of which is a row: a prompt and the two replies to it."""
    return Rows(items=tuple(pairs), rows=tuple((place,) for place in range(len(pairs))))


def row_numbers(rows: Rows, first: int, count: int, seed: int) -> list[int]:
    """The rows at the places `first` … of an endless stream, which is shuffled anew each epoch."""
    places = (divmod(place, len(rows)) for place in range(first, first + count))
    return [_order(len(rows), seed, epoch)[place] for epoch, place in places]


@lru_cache(maxsize=4)
def _order(num_rows: int, seed: int, epoch: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng((seed, epoch)).permutation(num_rows).tolist())


def collate(rows: Rows, numbers: Sequence[int], device: torch.device) -> Batch:
    """The batch of the rows of these numbers."""
    places = [place for number in numbers for place in rows.rows[number]]
    row = _Row()
    for place in places:
        item = rows.items[place]
        if isinstance(item, TokenPair):
            row.add_pair(item)
        else:
            row.add_sequence(item)
    item_weights = [rows.items[place].weight for place in places]
    return row.batch(
        device,
        np.array(item_weights, dtype=np.float32),
        {name: values[places] for name, values in rows.notes.items()},
    )


class _Row:
    """The row that grows as items are laid into it."""

    def __init__(self) -> None:
        self.ids: list[Ids] = []
        self.positions: list[Ids] = []
        self.segments: list[Segment] = []
        self.sources: list[npt.NDArray[np.int64]] = []
        self.labels: list[Ids] = []
        self.weights: list[float] = []
        self.length = 0

    def add_sequence(self, item: TokenSequence) -> None:
        targets = np.flatnonzero(item.is_target)
        self._learn(targets - 1, item.ids[targets], item.weight)
        self._see(item.ids, 0)

    def add_pair(self, item: TokenPair) -> None:
        before, num_chosen = len(item.prompt), len(item.chosen)
        # The output of the prompt's last token predicts the first of either reply.
        self._learn(np.arange(num_chosen) + before - 1, item.chosen, item.weight)
        rejected = np.arange(len(item.rejected)) + before + num_chosen - 1
        rejected[:1] = before - 1
        self._learn(rejected, item.rejected, item.weight)
        self._see(np.concatenate((item.prompt, item.chosen)), 0)
        self._see(item.rejected, before)

    def _learn(self, sources: npt.NDArray[np.int64], labels: Ids, weight: float) -> None:
        self.sources.append(sources + self.length)
        self.labels.append(labels)
        self.weights.append(weight)

    def _see(self, ids: Ids, num_prefix: int) -> None:
        self.ids.append(ids)
        self.positions.append(np.arange(num_prefix, num_prefix + len(ids), dtype=np.int32))
        self.segments.append(Segment(length=len(ids), num_prefix=num_prefix))
        self.length += len(ids)

    def batch(
        self, device: torch.device, item_weights: npt.NDArray[np.float32], notes: Notes
    ) -> Batch:
        counts = [len(each) for each in self.labels]
        weights = np.repeat(np.array(self.weights, dtype=np.float32), counts)
        return Batch(
            ids=_joined(self.ids, device),
            positions=_joined(self.positions, device),
            segments=tuple(self.segments),
            layout=Layout.of(self.segments, device),
            sources=_joined(self.sources, device),
            labels=_joined(self.labels, device),
            weights=torch.from_numpy(weights).to(device),
            replies=torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(device),
            item_weights=torch.from_numpy(item_weights).to(device),
            notes={name: torch.from_numpy(each).to(device) for name, each in notes.items()},
            num_replies=len(counts),
            num_tokens=self.length,
            total_weight=float(weights.sum(dtype=np.float64)),
            total_item_weight=float(item_weights.sum(dtype=np.float64)),
        )


def _joined(parts: Sequence[npt.NDArray[np.integer]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64)).to(device)
