"""Compiled prompts of several requests as rows of one batch: other voices, other lengths, other kinds.

Shapes: B batch, P sets, L layers, D width, R vectors in a bank.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from softspoken.errors import ConfigError
from softspoken.prompts.compiled import CompiledRows, CompiledStack
from softspoken.prompts.frames import Bank, FrameRows


def join(sets: Sequence[CompiledRows]) -> CompiledRows:
    """Sets of any lengths and kinds, of one backbone, one behind the other as rows of one batch.

    Raises ConfigError where the audio would stand at different positions, or be muted differently.
    """
    if len(sets) == 1:
        return sets[0]
    if len({one.shift for one in sets}) > 1:
        raise ConfigError("prompts of different 'shifted' lengths in one batch; run them one after the other")
    sets = [one.spread() for one in sets]
    return CompiledRows(
        _join_stacks([one.encoder for one in sets]),
        _join_stacks([one.decoder for one in sets]),
        _join_frames(sets),
        sets[0].shift,
    )


def _join_stacks(parts: Sequence[CompiledStack]) -> CompiledStack:
    count = max(part.shallow.shape[1] for part in parts)
    rows = max(part.last.shape[1] for part in parts)

    def joined(name: str, size: int, axis: int) -> Tensor:
        found = [_padded(getattr(part, name), size, axis + 1) for part in parts]
        return torch.cat(found, dim=axis)

    return CompiledStack(
        shallow=joined("shallow", count, 0),
        shallow_valid=joined("shallow_valid", count, 0),
        keys=joined("keys", rows, 1),
        values=joined("values", rows, 1),
        valid=joined("valid", rows, 0),
        last=joined("last", rows, 0),
        unattended=joined("unattended", rows, 0),
        positions=torch.cat([part.positions for part in parts]),
    )


def _padded(part: Tensor, size: int, axis: int) -> Tensor:
    """Zeros (false) up to `size` along `axis`."""
    behind = [0, 0] * (part.dim() - 1 - axis) + [0, size - part.shape[axis]]
    return F.pad(part, behind)


def _join_frames(sets: Sequence[CompiledRows]) -> FrameRows | None:
    parts = [one.frames for one in sets]
    first = next((part for part in parts if part is not None), None)
    if first is None:
        return None
    if any((part.mute_db if part is not None else 0.0) != first.mute_db for part in parts):
        raise ConfigError("prompts that mute differently in one batch; run them one after the other")
    layers, width = first.rest.shape[0], first.rest.shape[-1]
    rank = max((part.bank.keys.shape[-1] for part in parts if part is not None and part.bank is not None), default=0)
    reads = any(part is not None and part.bank is not None and part.bank.readout is not None for part in parts)
    filled = []
    for one, part in zip(sets, parts, strict=True):
        # Vectors of zero add nothing, whatever chooses them.
        none = first.rest.new_zeros(layers, 1, width)
        rows = FrameRows(none, none, None) if part is None else part
        filled.append(_filled(rows, rank, reads, one.sets) if rank else _filled(rows, 0, False, one.sets))
    banks = [part.bank for part in filled if part.bank is not None]
    return FrameRows(
        torch.cat([part.rest for part in filled], dim=1),
        torch.cat([part.active for part in filled], dim=1),
        _join_banks(banks) if rank else None,
        first.mute_db,
    )


def _filled(part: FrameRows, rank: int, reads: bool, sets: int) -> FrameRows:
    """The same vectors with a bank of `rank` for each of `sets` rows."""
    layers, _, width = part.rest.shape
    none = part.rest.new_zeros(layers, 1, 0)

    def spread(rows: Tensor) -> Tensor:
        return rows.expand(layers, sets, *rows.shape[2:])

    def wide(rows: Tensor, axis: int) -> Tensor:
        return spread(_padded(rows, rank, axis))

    changed = replace(part, rest=spread(part.rest), active=spread(part.active))
    if not rank:
        return changed
    bank = part.bank
    if bank is None:
        bank = Bank(
            part.rest.new_zeros(layers, 1, width, 0), part.rest.new_zeros(layers, 1, 0, width), none, none, none
        )
    made = Bank(
        keys=wide(bank.keys, 3),
        values=wide(bank.values, 2),
        gate=wide(bank.gate, 2),
        bias=wide(bank.bias, 2),
        by_activity=wide(bank.by_activity, 2),
        readout=wide(none if bank.readout is None else bank.readout, 2) if reads else None,
    )
    return replace(changed, bank=made)


def _join_banks(banks: Sequence[Bank]) -> Bank:
    def joined(name: str) -> Tensor:
        return torch.cat([getattr(bank, name) for bank in banks], dim=1)

    names = ("keys", "values", "gate", "bias", "by_activity")
    return Bank(
        **{name: joined(name) for name in names}, readout=joined("readout") if banks[0].readout is not None else None
    )
