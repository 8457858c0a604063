"""From the facts of a batch to one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import base64

import jinja2
from markupsafe import Markup

from fleetsift.heat.colours import INFERNO
from fleetsift.report import wording
from fleetsift.report.charts import HEIGHT, MAP_WIDTH, WIDTH, dots, plot
from fleetsift.report.facts import ReportFacts


def render_page(facts: ReportFacts) -> str:
    """The page as HTML; whatever a fleet writes into names and metadata is text in it, never markup."""
    return _ENVIRONMENT.get_template("page.html.j2").render(facts=facts)


def _image(webp: bytes) -> Markup:
    """Encoded pixels as an address that holds them; base64 has no character that means anything to HTML."""
    return Markup("data:image/webp;base64," + base64.b64encode(webp).decode())  # noqa: S704


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("fleetsift.report", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "image": _image,
    "plot": plot,
    "dots": dots,
    "name": wording.name,
    "group": wording.group,
    "number": wording.number,
    "percent": wording.percent,
    "portion": wording.portion,
    "times": wording.times,
    "day": wording.day,
    "moment": wording.moment,
}
_ENVIRONMENT.globals |= {
    "period": wording.period,
    "inferno": INFERNO,
    "plot_width": WIDTH,
    "plot_height": HEIGHT,
    "map_width": MAP_WIDTH,
}
