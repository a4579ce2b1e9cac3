"""Named sets, checks of a plan, and the identity by which a study is resumed."""

from dataclasses import replace

import pytest
from helpers.studies import finished

from datasets.errors import UserError
from orchestrator.studies import plan


def test_sets_are_named_by_the_user_or_by_their_file():
    assert plan.named_sets(["faces=a.zip", "pictures/rooms.zip"], ()) == {
        "faces": "a.zip",
        "rooms": "pictures/rooms.zip",
    }
    assert plan.first_set([], ["div2k", "celeba"]) == ("div2k", "div2k")
    with pytest.raises(UserError, match="must give each set a name of its own as NAME=SPEC.*but got 'a=2'"):
        plan.named_sets(["a=1", "a=2"], ())
    with pytest.raises(UserError, match="letters, digits and ._- only, but got 'a b=1'"):
        plan.named_sets(["a b=1"], ())


def test_training_sets_may_differ_by_duplicates_and_test_sets_not_at_all():
    assert plan.check_equal({"a": range(100), "b": range(98)}, "train") == 98
    with pytest.raises(UserError, match="equally many train images, but have a 100, b 97"):
        plan.check_equal({"a": range(100), "b": range(97)}, "train")
    with pytest.raises(UserError, match="equally many test images, but have a 100, b 99"):
        plan.check_equal({"a": range(100), "b": range(99)}, "test")


def test_two_trainings_of_one_folder_are_refused():
    trainings = [finished("A b", 0, [1.0]).training, finished("a-B", 0, [1.0]).training]
    with pytest.raises(UserError, match="two trainings would be called a-b-s0"):
        plan.check_names(trainings)


def test_the_identity_of_a_plan_follows_its_settings():
    training = finished("a", 0, [1.0]).training
    study = plan.Study("k", (training, replace(training, seed=1)), None, ())
    other = replace(study, trainings=(training, replace(training, seed=1, after="a-s0")))
    assert study.digest() == replace(study, conditions=("other words",)).digest() != other.digest()
    assert plan.summary(study) == [("a", 2, training.steps)]
