"""Short labels of sweeps for tables."""

from __future__ import annotations

from ..sweep_curves import SweepCurve


def short_label(curve: SweepCurve) -> str:
    """A sweep's label in a table: form x objective, data, model, and the placement where it is not the default.

    Args:
        curve: the sweep's curves.
    """
    key = curve.key
    method = " x ".join(part for part in (key.form, key.objective) if part)
    data = " ".join(part for part in (key.dataset.removeprefix("testbed:"), key.split) if part)
    where = f"at {key.site}" if key.site else ""
    place = "(site)" if key.placement == "site" else ""
    return ", ".join(p for p in (method, data, key.model, f"{where} {place}".strip()) if p) or curve.name
