"""What a page may weigh, cold and compressed, and how still and quick it must be, by its kind."""

import gzip
from collections import Counter
from dataclasses import dataclass

from playwright.sync_api import Response

KINDS = {"document": "html", "stylesheet": "css", "script": "js", "font": "font"}


@dataclass(frozen=True)
class Budget:
    """Bytes by kind; seconds until the largest content is painted; milliseconds from an interaction to the next frame."""

    html: int
    js: int
    lcp_seconds: float
    inp_ms: int
    css: int = 14_000
    font: int = 53_000
    cls: float = 0.02  # share of the window that moves by itself

    def exceeded_by(self, weights: Counter[str]) -> dict[str, int]:
        """The kinds that are too heavy, with their bytes; ``foreign`` are requests to other hosts, of which none may be."""
        most = {"html": self.html, "css": self.css, "js": self.js, "font": self.font, "foreign": 0}
        return {kind: weights[kind] for kind, bytes_max in most.items() if weights[kind] > bytes_max}


PUBLIC = Budget(html=14_000, js=20_000, lcp_seconds=1.5, inp_ms=100)
SIGNED_IN = Budget(html=18_000, js=22_000, lcp_seconds=1.8, inp_ms=150)
CATALOGUE = Budget(html=24_000, js=22_000, lcp_seconds=2.0, inp_ms=150)  # its list holds every model

#: all layout shifts that no input caused
CLS = """() => new Promise(done => {
  let moved = 0;
  const observer = new PerformanceObserver(add);
  function add(list) { for (const shift of list.getEntries()) if (!shift.hadRecentInput) moved += shift.value; }
  observer.observe({type: 'layout-shift', buffered: true});
  requestAnimationFrame(() => setTimeout(() => { add({getEntries: () => observer.takeRecords()}); done(moved); }));
})"""


def budget_of(path: str, *, signed_in: bool) -> Budget:
    if path.startswith("/models"):
        return CATALOGUE
    return SIGNED_IN if signed_in else PUBLIC


def weigh(answers: list[Response], host: str) -> Counter[str]:
    """Compressed bytes by kind of what one page load brought."""
    weights: Counter[str] = Counter()
    for answer in answers:
        if not answer.url.startswith(host):
            weights["foreign"] += not answer.url.startswith("data:")
        elif (kind := KINDS.get(answer.request.resource_type)) and not 300 <= answer.status < 400:
            body = answer.body()
            weights[kind] += len(body) if kind == "font" else len(gzip.compress(body, 9))
    return weights
