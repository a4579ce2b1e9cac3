"""State that grows with a stage's trials, pickled so that the time and size of a snapshot do not.

Whatever is known of a trial that has ended never changes again. Such objects are pickled once, in pages that
are stored beside the snapshots and never written again; a snapshot holds their numbers, and whole only the
few that do not fill a page yet.
"""

import hashlib
import io
import pickle
from collections.abc import Callable
from typing import Any

from datasets.errors import UserError

PAGE = 64
"""Objects of a page, such as trials: half a megabyte."""


class PagedPickle:
    """The final objects of one part of a stage's state, by number, and the pages that hold them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: list[Any] = []
        self.digests: list[str] = []
        """SHA-256 of each page that was written."""
        self.numbers: dict[int, int] = {}
        """id of a final object -> its number; `objects` keeps it alive, so the id stays its own."""

    def add(self, final: Any) -> None:
        """Note that an object has its last value; the state must go on to hold the object itself, no copy."""
        self.numbers[id(final)] = len(self.objects)
        self.objects.append(final)

    def dumps(self, state: Any, write: Callable[[str, bytes], Any] | None) -> bytes:
        """Return `state` pickled, after `write(name, content)` has stored each page that has become full.

        Without `write` there are no new pages, and the objects that would be in them are in the pickle.
        """
        while write is not None and len(self.objects) >= (len(self.digests) + 1) * PAGE:
            first = len(self.digests) * PAGE
            page = pickle.dumps(self.objects[first : first + PAGE])
            write(self._page(len(self.digests)), page)
            self.digests.append(hashlib.sha256(page).hexdigest())
        out, paged = io.BytesIO(), len(self.digests) * PAGE
        pickle.dump(self.digests, out)
        _Pickler(out, self.numbers, paged).dump((self.objects[paged:], state))
        return out.getvalue()

    def loads(self, content: bytes, read: Callable[[str], bytes] | None) -> Any:
        """Return the state of `dumps`, and make its final objects this object's own.

        Raises:
            UserError: a page is missing or damaged.
        """
        file = io.BytesIO(content)
        digests, paged = pickle.load(file), []
        for number, digest in enumerate(digests):
            name = self._page(number)
            try:
                page = read(name) if read else b""
            except FileNotFoundError:
                page = b""
            if hashlib.sha256(page).hexdigest() != digest:
                raise UserError(f"page {name} of a snapshot is missing or damaged; restore it from a copy")
            paged += pickle.loads(page)
        last, state = _Unpickler(file, paged).load()
        self.objects, self.digests = [*paged, *last], digests
        self.numbers = {id(final): number for number, final in enumerate(self.objects)}
        return state

    def _page(self, number: int) -> str:
        return f"{self.name}-{number:06d}"

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"numbers": {}}  # ids mean nothing in another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.numbers = {id(final): number for number, final in enumerate(self.objects)}


class _Pickler(pickle.Pickler):
    """A pickler that writes the number of a final object in a page in place of the object."""

    def __init__(self, file: io.BytesIO, numbers: dict[int, int], paged: int) -> None:
        super().__init__(file)
        self.numbers, self.paged = numbers, paged

    def persistent_id(self, obj: Any) -> int | None:
        number = self.numbers.get(id(obj))
        return number if number is not None and number < self.paged else None


class _Unpickler(pickle.Unpickler):
    """The inverse of `_Pickler`, with the objects of the pages."""

    def __init__(self, file: io.BytesIO, paged: list[Any]) -> None:
        super().__init__(file)
        self.paged = paged

    def persistent_load(self, number: int) -> Any:
        return self.paged[number]
