"""The site fetches nothing from elsewhere: scripts, styles, fonts and pictures are its own."""

from html.parser import HTMLParser
from typing import Any

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
# What a `link` only names, and no browser fetches.
NAMED = {"canonical", "next", "prev", "alternate"}


class _Fetched(HTMLParser):
    """Addresses that a browser fetches along with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get(FETCHED.get(tag, ""))
        if address and not (tag == "link" and set((given.get("rel") or "").split()) <= NAMED):
            self.addresses.append(address)


def foreign(page: str) -> list[str]:
    """Addresses of another host that a browser fetches along with a page of HTML."""
    parser = _Fetched()
    parser.feed(page)
    return [one for one in parser.addresses if one.startswith(("http:", "https:", "//"))]


def on_post_page(output: str, /, **context: Any) -> str:
    """What the generator calls with each whole page.

    Raises:
        ValueError: The page fetches something from elsewhere.
    """
    if found := foreign(output):
        raise ValueError(f"{context['page'].file.src_uri} fetches {', '.join(found)}; give the site a copy of its own.")
    return output
