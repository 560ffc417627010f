"""What an HTML page holds, by Python's own parser, and as a browser shows it."""

import json
import shutil
import subprocess
from html.parser import HTMLParser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """Elements of a page with their attributes and texts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in ("meta", "input", "br", "img", "link", "hr"):
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for _, _, texts in self.open:
            texts.append(data)

    def all(self, tag, **attributes):
        """Attributes and text of each element of a tag with these attributes."""
        found = [(given, "".join(texts)) for name, given, texts in self.elements if name == tag]
        return [(given, text) for given, text in found if all(given.get(k) == v for k, v in attributes.items())]

    def texts(self, tag, **attributes):
        return [text.strip() for _, text in self.all(tag, **attributes)]

    def scripts(self):
        """Scripts that a browser would run."""
        return [text for given, text in self.all("script") if given.get("type") != "application/json"]

    def charts(self):
        """Data of each chart by its title."""
        titles = [given["aria-label"].partition(": ")[0] for given, _ in self.all("div", role="img")]
        return dict(zip(titles, map(json.loads, self.texts("script", type="application/json")), strict=True))

    def rows(self):
        """Cells of all tables, row by row."""
        rows = []
        for name, _, texts in self.elements:
            if name == "tr":
                rows.append([])
            elif name == "td":
                rows[-1].append("".join(texts).strip())
        return [row for row in rows if row]


def as_a_browser_shows_it(path, folder, *, width=1280, height=1400):
    """Document after its scripts have run, and what they complained about."""
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
        f"--user-data-dir={folder}", f"--window-size={width},{height}", "--virtual-time-budget=6000", "--dump-dom",
    ]  # fmt: skip
    ended = subprocess.run([CHROMIUM, *options, path.as_uri()], capture_output=True, text=True, timeout=180, check=True)
    return Page(ended.stdout), [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
