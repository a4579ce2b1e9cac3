"""Pages work without a script, escape names, and mark the present score."""

from orchestrator.rating import pages


def test_every_page_is_whole_and_loads_only_own_files():
    for page in (
        pages.start(12, "token"),
        pages.welcome_back("Ada", 3, 12, "token"),
        pages.example(1, 2, "/low", "/high", "", "/next"),
        pages.rating(1, 12, "/picture", "/action", "token", "/back", None),
        pages.done(12, "/back"),
        pages.trouble("No."),
    ):
        assert page.startswith("<!doctype html>") and page.endswith("</body></html>")
        assert page.count("<script") == 1 and 'src="/page.js"' in page and "http" not in page


def test_the_first_page_explains_the_scale_and_shows_trouble_escaped():
    assert "<b>5</b> excellent" in pages.start(12, "token") and "You will see 12 pictures" in pages.start(
        12, "t"
    )
    assert 'role="alert"' not in pages.start(12, "token")
    assert '<p class="trouble" role="alert">a&lt;b</p>' in pages.start(12, "token", "a<b")


def test_a_present_score_is_marked_and_forms_carry_their_token():
    page = pages.rating(3, 12, "/picture", "/action", "secret", "/back", 4)
    assert page.count("class=given") == 1 and 'value="4" aria-label="4, good" class=given' in page
    assert '<form class="scores" method="post" action="/action">' in page
    assert 'name="token" value="secret"' in page and 'value="2" aria-label="progress"' in page
    assert "class=given" not in pages.rating(3, 12, "/picture", "/action", "secret", "/back", None)


def test_examples_link_to_their_neighbours():
    first, last = (pages.example(n, 2, "/low", "/high", back, "/on") for n, back in ((1, ""), (2, "/1")))
    assert "Next example" in first and 'class="back"' not in first
    assert "Start scoring" in last and '<a class="back" href="/1">' in last


def test_names_are_escaped_where_they_return():
    page = pages.welcome_back('<i>"', 1, 2, "token")
    assert "<i>" not in page and "Continue as &lt;i&gt;&quot;" in page
    assert "href=&quot;" not in pages.trouble("No.", '"')
