"""The page's charts as Vega-Lite specifications; their data come from the page's script, by name.

    overview    preference and utility of every run of a model and dataset over r (or m), the chosen run in bold
    detail      one run over m: measured points, fitted curve, regions, chosen m, and a line at the slider's m

The texts of axes, legends and tooltips are drawn, never read as markup.
"""

from __future__ import annotations

from typing import Any

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""A name, not an address that is loaded."""
VEGA_LITE = "6.4"
BLUE, ORANGE, GREY = "#2b6cb0", "#c05621", "#718096"
KINDS = (("preference", "preference (nats)", BLUE), ("utility", "utility (nats)", ORANGE))
HEIGHT = 230
FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"


def overview() -> dict[str, Any]:
    """Both measures of all runs, side by side; the script sets the title of x.

    Data: ``curves`` (``cell, run, seed, x, preference, utility, chosen``).
    """
    return _page([_all_runs(name, title) for name, title, _ in KINDS], data="curves", legend=True)


def detail() -> dict[str, Any]:
    """Both measures of one run, side by side.

    Data: ``points`` (``m, r, preference, utility``), ``fitted`` (``m, preference, utility``), ``bands`` (``kind, from,
    to, region``), ``marks`` (``m, name``), ``now`` (``m, preference, utility``).
    """
    return _page([_one_run(name, title, colour) for name, title, colour in KINDS])


def _page(parts: list[dict[str, Any]], data: str = "", legend: bool = False) -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        **({"data": {"name": data}} if data else {}),
        "hconcat": parts,
        "spacing": 24,
        "resolve": {"legend": {"color": "shared"}},
        "config": {
            "font": FONT,
            "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "gridColor": "#e2e8f0"},
            "legend": {
                "labelFontSize": 12,
                "title": None,
                "labelLimit": 240,
                "orient": "bottom",
                "columns": 5,
                "symbolStrokeWidth": 3,
                "symbolOpacity": 1,
                "disable": not legend,
            },
            "view": {"stroke": "#cbd5e0"},
            "range": {"category": {"scheme": "tableau10"}},
        },
    }


def _all_runs(name: str, title: str) -> dict[str, Any]:
    chosen = {"test": "datum.chosen", "value": 1}
    return {
        "width": 450,
        "height": HEIGHT,
        "mark": {"type": "line", "clip": True},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": "m"},
            "y": {"field": name, "type": "quantitative", "title": title},
            "color": {"field": "cell", "type": "nominal", "title": None, "sort": None},
            "detail": {"field": "run", "type": "nominal"},
            "opacity": {"condition": chosen, "value": 0.35},
            "strokeWidth": {"condition": {**chosen, "value": 3}, "value": 1.5},
            "tooltip": [
                {"field": "cell", "type": "nominal"},
                {"field": "seed", "type": "nominal"},
                {"field": "x", "type": "quantitative", "format": ".4~g"},
                {"field": name, "type": "quantitative", "format": "+.3f"},
            ],
        },
    }


def _one_run(name: str, title: str, colour: str) -> dict[str, Any]:
    x = {"field": "m", "type": "quantitative", "title": "m", "scale": {"nice": False}}
    y = {"field": name, "type": "quantitative", "title": title}
    return {"width": 450, "height": HEIGHT, "layer": [_bands(name), *_curve(x, y, colour), *_chosen(x), *_now(x, y)]}


def _bands(name: str) -> dict[str, Any]:
    """Regions of the fitted curve, as shades behind it."""
    return {
        "data": {"name": "bands"},
        "transform": [{"filter": {"field": "kind", "equal": name}}],
        "mark": {"type": "rect", "opacity": 0.5},
        "encoding": {
            "x": {"field": "from", "type": "quantitative"},
            "x2": {"field": "to"},
            "color": {
                "field": "region",
                "type": "nominal",
                "scale": {
                    "domain": ["linear", "transitional", "convergence"],
                    "range": ["#e6fffa", "#fffbea", "#fdecec"],
                },
            },
            "tooltip": [{"field": "region", "type": "nominal"}],
        },
    }


def _curve(x: dict[str, Any], y: dict[str, Any], colour: str) -> list[dict[str, Any]]:
    told = [
        {"field": "m", "type": "quantitative", "format": ".4~g"},
        {"field": "r", "type": "quantitative", "format": ".3~g"},
        {"field": y["field"], "type": "quantitative", "format": "+.3f"},
    ]
    return [
        {
            "data": {"name": "fitted"},
            "mark": {"type": "line", "color": colour, "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"name": "points"},
            "mark": {"type": "point", "filled": True, "color": colour, "size": 28, "opacity": 0.9},
            "encoding": {"x": x, "y": y, "tooltip": told},
        },
    ]


def _chosen(x: dict[str, Any]) -> list[dict[str, Any]]:
    """Chosen m as dashed lines with their names."""
    data = {"data": {"name": "marks"}}
    return [
        {**data, "mark": {"type": "rule", "color": GREY, "strokeDash": [4, 3]}, "encoding": {"x": x}},
        {
            **data,
            "mark": {"type": "text", "align": "left", "baseline": "top", "dx": 3, "color": "#4a5568", "fontSize": 11},
            "encoding": {
                "x": x,
                "y": {"field": "place", "type": "quantitative", "scale": None},
                "text": {"field": "name", "type": "nominal"},
            },
        },
    ]


def _now(x: dict[str, Any], y: dict[str, Any]) -> list[dict[str, Any]]:
    """The slider's m: a line, and a point on the curve."""
    data = {"data": {"name": "now"}}
    return [
        {**data, "mark": {"type": "rule", "color": "#1a202c", "strokeWidth": 1.5}, "encoding": {"x": x}},
        {
            **data,
            "mark": {"type": "point", "filled": True, "color": "#1a202c", "size": 70},
            "encoding": {"x": x, "y": y},
        },
    ]
