"""The HTML pages of a rater. No page holds a name of a model, an image, a study or a file.

Every page works without page.js, which adds keys. URLs are below /r/SESSION/.
"""

from html import escape

WORDS = {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "excellent"}
"""The five grades of ITU-R BT.500 and ITU-T P.800."""


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title>"
        '<link rel="stylesheet" href="/page.css"><script src="/page.js" defer></script></head>'
        f"<body>{body}</body></html>"
    )


def _scale() -> str:
    return "".join(f"<li><b>{score}</b> {word}</li>" for score, word in reversed(WORDS.items()))


def start(total: int, form_token: str, trouble: str = "") -> str:
    """Return the first page: instructions and the form for the name; `trouble` is what was wrong with it."""
    alert = f'<p class="trouble" role="alert">{escape(trouble)}</p>' if trouble else ""
    return _page(
        "Rate pictures",
        "<main><h1>How good does each picture look?</h1>"
        f"<p>You will see {total} pictures, one at a time. Give each a score for how good it looks to you "
        "as a picture; there is no right answer, and some come twice.</p>"
        f'<ul class="scale">{_scale()}</ul>'
        f'{alert}<form method="post" action="/begin">'
        f'<input type="hidden" name="token" value="{form_token}">'
        '<label>Your name <input type="text" name="name" maxlength="40" autocomplete="off" required '
        'autofocus></label> <button class="go">Begin</button></form>'
        '<p class="hint">Every score is saved at once. To continue later, give the same name. '
        '<span class="keys">Keys 1 to 5 score, Backspace goes back.</span></p></main>',
    )


def welcome_back(name: str, done: int, total: int, form_token: str) -> str:
    """Return the page for a name that has scores already: continue, or give another name."""
    shown = escape(name)
    return _page(
        "Rate pictures",
        f"<main><h1>{shown} has scored {done} of {total} pictures.</h1>"
        '<form method="post" action="/begin">'
        f'<input type="hidden" name="token" value="{form_token}"><input type="hidden" name="name" '
        f'value="{shown}"><input type="hidden" name="again" value="yes">'
        f'<button class="go" autofocus>Continue as {shown}</button></form>'
        '<p><a href="/">I am someone else</a></p></main>',
    )


def example(number: int, count: int, low: str, high: str, back: str, forward: str) -> str:
    """Return the page of a calibration image: URLs of its examples of 1 and 5, and of the next pages."""
    figures = "".join(
        f'<figure><img src="{address}" alt="an example of score {score}"><figcaption><b>{score}</b> '
        f"{WORDS[score]}</figcaption></figure>"
        for address, score in ((low, 1), (high, 5))
    )
    last = "Start scoring" if number == count else "Next example"
    return _page(
        f"Example {number} of {count}",
        f'<main class="wide"><h1>Example {number} of {count}</h1>'
        "<p>This is what the two ends of the scale mean. Nothing to score yet.</p>"
        f'<div class="pair">{figures}</div><p class="row">'
        + (f'<a class="back" href="{back}">Back</a>' if back else "")
        + f'<a class="next go" href="{forward}">{last}</a></p></main>',
    )


def rating(
    number: int, total: int, picture: str, action: str, form_token: str, back: str, given: int | None
) -> str:
    """Return the page of one picture with five buttons; `given` is its present score, if any."""
    buttons = "".join(
        f'<button name="score" value="{score}" aria-label="{score}, {word}"'
        f"{' class=given' if score == given else ''}><b>{score}</b><span>{word}</span></button>"
        for score, word in WORDS.items()
    )
    return _page(
        f"Picture {number} of {total}",
        f'<header><progress max="{total}" value="{number - 1}" aria-label="progress"></progress>'
        f'<p><a class="back" href="{back}">Back</a><span>Picture {number} of {total}</span>'
        '<span class="shown" role="status"></span></p></header>'
        f'<div class="stage"><img id="picture" src="{picture}" alt="picture {number} of {total}"></div>'
        f'<form class="scores" method="post" action="{action}">'
        f'<input type="hidden" name="token" value="{form_token}">'
        f'<input type="hidden" name="shown" value="">{buttons}</form>',
    )


def done(total: int, back: str) -> str:
    """Return the last page."""
    return _page(
        "Done",
        f"<main><h1>Thank you: all {total} pictures are scored.</h1><p>Everything is saved; you can close "
        f'this page.</p><p><a class="back" href="{back}">Back to the last picture</a></p></main>',
    )


def trouble(sentence: str, back: str = "/") -> str:
    """Return a page with one sentence about an error."""
    return _page(
        "Not done", f'<main><h1>{escape(sentence)}</h1><p><a href="{escape(back)}">Go back</a></p></main>'
    )
