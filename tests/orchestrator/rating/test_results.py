"""Mean opinion scores and intervals of raters with known scores."""

import numpy as np
import pytest

from orchestrator.rating import publish
from orchestrator.rating.presentation import Presentation
from orchestrator.rating.results import RatingResults, _interval, format_verdict, mean_opinion_scores

MODELS = ("sharpnet", "softnet", "nearest", "HR")
IMAGES = tuple("abcdef")
TASTE = {"sharpnet": 4, "softnet": 3, "nearest": 1, "HR": 5}


class Panelist:
    """A session held in memory: `score(model, image, repeat)` answers every picture."""

    def __init__(self, rater, score, *, images=IMAGES, until=None, session=1, repeats=4):
        pictures = [(i, m) for i in range(len(images)) for m in range(len(MODELS))]
        again = pictures[:: len(pictures) // repeats][:repeats] if repeats else []
        self.rater, self.session = rater, session
        self.order = [Presentation(i, m, False) for i, m in pictures] + [
            Presentation(i, m, True) for i, m in again
        ]
        self.ratings = {}
        for position, trial in list(enumerate(self.order))[:until]:
            model, image = MODELS[trial.model], images[trial.image]
            line = {"model": model, "image": image, "repeat": trial.repeat, "shown": 1.0}
            self.ratings[position] = line | {"position": position, "score": score(model, image, trial.repeat)}
        self.finished = len(self.ratings) == len(self.order)


def steady(shift=0):
    """By taste, one lower on two of the images, `shift` lower in all."""

    def score(model, image, repeat):
        return min(5, max(1, TASTE[model] - shift - (image in "ab" and model != "nearest")))

    return score


def results(people, images=IMAGES, min_consistency=0.75):
    return mean_opinion_scores(people, MODELS, images, "sharpnet", min_consistency)


def by_model(panel):
    return {score.model: score for score in panel.scores}


def test_means_are_over_raters_and_images_and_the_first_showing():
    def wavering(model, image, repeat):
        return 1 if repeat else TASTE[model]

    (panel,) = results([Panelist("Ada", steady()), Panelist("Bo", wavering)], min_consistency=0).panels
    scores = by_model(panel)
    assert scores["sharpnet"].mean == pytest.approx((4 - 1 / 3 + 4) / 2)
    assert scores["sharpnet"].counts == (0, 0, 2, 10, 0) and scores["sharpnet"].ratings == 12
    assert [score.model for score in panel.scores] == ["HR", "sharpnet", "softnet", "nearest"]


def test_a_clear_difference_of_six_raters_beats_and_loses():
    people = [Panelist(f"r{k}", steady(k % 2)) for k in range(6)]
    scores = by_model(results(people).panels[0])
    assert scores["sharpnet"].interval.low < scores["sharpnet"].mean < scores["sharpnet"].interval.high
    assert scores["softnet"].against.word == "loses to" and scores["HR"].against.word == "beats"
    assert scores["sharpnet"].against is None
    assert format_verdict(scores["nearest"].against).startswith("loses to (-2.")


def test_equal_models_are_not_separable():
    def tossing(k):
        return lambda model, image, repeat: 3 + (hash_of(k, model, image) % 3) - 1 + (model == "HR")

    def hash_of(*parts):
        return sum(ord(c) * 31**n for n, c in enumerate("".join(map(str, parts))))

    scores = by_model(results([Panelist(f"r{k}", tossing(k)) for k in range(6)]).panels[0])
    assert scores["softnet"].against.word == "not separable"


def test_limits_stay_within_the_scale():
    def near_five(k):
        return lambda model, image, repeat: 5 if (k, image) != (0, "a") else 1

    scores = by_model(results([Panelist(f"r{k}", near_five(k)) for k in range(3)]).panels[0])
    assert scores["HR"].interval.high == 5


def test_too_few_raters_or_images_are_noted():
    few = results([Panelist("Ada", steady()), Panelist("Bo", steady(1))])
    assert "Too little evidence for an interval or a verdict: 2 raters and 6 images" in " ".join(few.notes)
    assert by_model(few.panels[0])["HR"].interval is None
    assert by_model(few.panels[0])["HR"].against.word == "not enough evidence"
    images = IMAGES[:4]
    short = results([Panelist(f"r{k}", steady(k % 2), images=images) for k in range(6)], images)
    assert "6 raters and 4 images" in " ".join(short.notes)
    four = results([Panelist(f"r{k}", steady(k % 2)) for k in range(4)])
    assert "Fewer than 5 raters: an estimate" in " ".join(four.notes)
    assert by_model(four.panels[0])["softnet"].against.word == "not separable"


def test_scores_that_are_all_equal_have_no_interval():
    (panel,) = results([Panelist(f"r{k}", lambda model, *_: TASTE[model]) for k in range(5)]).panels
    assert "| HR (hidden) | 5.00 | all equal | 30 |" in publish.to_markdown(results_with(panel))


def results_with(panel):
    return RatingResults("sharpnet", (), (panel,), ())


def test_an_inconsistent_rater_is_flagged_and_left_out_of_a_second_panel():
    def fickle(model, image, repeat):
        return 1 if repeat else 5 if model != "nearest" else 4

    people = [Panelist(f"r{k}", steady(k % 2)) for k in range(5)] + [Panelist("Mal", fickle)]
    found = results(people)
    assert [bool(r.doubts) for r in found.raters] == [False] * 5 + [True]
    assert found.raters[-1].doubts == ("0% of 4 repeats within one point",)
    with_all, without = found.panels
    assert (with_all.raters, without.raters) == (6, 5)
    assert by_model(without)["softnet"].mean < by_model(with_all)["softnet"].mean
    assert "1 of 6 raters flagged" in " ".join(found.notes)
    assert not results(people, min_consistency=0).raters[-1].doubts


def test_a_rater_who_scores_hr_no_better_than_nearest_is_flagged():
    found = results([Panelist("Ada", steady()), Panelist("Three", lambda *_: 3)])
    assert found.raters[1].doubts == ("HR 3.00 not above nearest 3.00",)


def test_unfinished_raters_are_noted_and_not_counted():
    found = results([Panelist("Ada", steady()), Panelist("Bo", steady(), until=7)])
    assert found.panels[0].raters == 1 and found.raters[1].done == 7
    assert "1 of 2 raters have not finished and are not counted." in found.notes
    nobody = results([Panelist("Bo", steady(), until=7)])
    assert nobody.panels == () and "there is no result" in nobody.notes[-1]


def test_two_sessions_are_one_rater():
    own = [Panelist("Ada", lambda *_: 2), Panelist("ADA", lambda *_: 4, session=2)]
    found = results(own)
    assert len(found.raters) == 1 and by_model(found.panels[0])["HR"].mean == 3
    half = results([own[0], Panelist("Ada", lambda *_: 4, session=2, until=3)])
    assert by_model(half.panels[0])["HR"].mean == 2


def test_few_repeats_and_small_pictures_are_noted():
    person = Panelist("Ada", steady(), repeats=2)
    for line in list(person.ratings.values())[:13]:
        line["shown"] = 0.5
    notes = " ".join(results([person]).notes)
    assert "consistency is not judged" in notes
    assert "50% of the scores were given to pictures shown smaller than their pixels" in notes


@pytest.mark.parametrize(("raters", "images"), [(3, 5), (5, 10)])
def test_intervals_cover_the_truth(raters, images):
    """Raters and images of normal effects, scores rounded to 1 to 5: 95 % intervals cover about so often."""
    draw = np.random.default_rng(0)

    def panel(raters, images):
        effects = draw.normal(0, 0.4, (raters, 1)) + draw.normal(0, 0.6, (1, images))
        return np.clip(np.rint(3.4 + effects + draw.normal(0, 0.75, (raters, images))), 1, 5)

    truth = np.mean([panel(300, 3000).mean() for _ in range(5)])
    found = [_interval(panel(raters, images)) for _ in range(100)]
    assert 0.9 <= np.mean([i.low <= truth <= i.high for i in found]) <= 0.995
