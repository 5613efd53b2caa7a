"""The ruler of the landing page: every model has a dot, both ends are named, and names stay text."""

import re

from tokenhub.price_scale import Priced, price_scale

USD = 1_000_000_000


def test_every_model_has_a_dot_and_the_ends_are_named() -> None:
    models = [Priced(f"m{n}", n * USD) for n in (50, 1, 2, 2, 2, 7)]
    wide, narrow = price_scale(models).split("</svg>")[:2]
    for svg in (wide, narrow):
        assert svg.count("<circle") == len(models)
        assert {"m1", "m50"} <= set(re.findall(r'class="name"[^>]*>([^<]+)<', svg))
    assert "6 models on a logarithmic scale, from $1.00 for m1 to $50.00 for m50." in wide


def test_dots_of_one_price_stand_on_each_other() -> None:
    svg = price_scale([Priced("a", USD), Priced("b", USD), Priced("c", USD), Priced("d", 9 * USD)]).split("</svg>")[0]
    places = re.findall(r'cx="([\d.]+)%" cy="(\d+)"', svg)
    assert len(set(places)) == 4
    assert len({x for x, _y in places}) == 2


def test_names_are_text_and_places_are_inside() -> None:
    svg = price_scale([Priced("<script>", 1), Priced("b", 10**18)])
    assert "<script>" not in svg and "&lt;script&gt;" in svg
    assert all(0 <= float(x) <= 100 for x in re.findall(r'(?:cx|x1|x)="([\d.]+)%"', svg))


def test_one_price_alone_has_no_scale() -> None:
    assert price_scale([]) == "" and price_scale([Priced("a", USD), Priced("b", USD)]) == ""
