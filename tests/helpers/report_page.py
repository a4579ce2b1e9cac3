"""A report as a browser would see it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The tags, text, ids and addresses of an HTML file; an event handler in a tag is an error."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.addresses, self.ids = [], [], [], []
        self.size = path.stat().st_size
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action", "data") and value:
                self.addresses.append(value)
            assert not name.startswith("on"), f"{tag} carries {name}"
            if name == "id":
                self.ids.append(value)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)
