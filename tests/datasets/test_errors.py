"""The sentence for an unknown name."""

from datasets.errors import UserError, unknown


def test_an_unknown_name_lists_the_known_ones_and_guesses() -> None:
    error = unknown("upsampler", "pixelshufle", ("pixelshuffle", "nearest"), "generator.upsampler")
    assert isinstance(error, UserError)
    assert str(error) == (
        "no upsampler 'pixelshufle'; known: nearest, pixelshuffle; did you mean 'pixelshuffle'? "
        "(set generator.upsampler)"
    )


def test_two_names_that_are_nearly_as_close_are_both_named() -> None:
    said = str(unknown("recipe", "sgan", ("esrgan", "srgan_8", "demo")))
    assert said.endswith("; did you mean 'esrgan' or 'srgan_8'?")


def test_without_a_close_name_or_an_option_nothing_is_added() -> None:
    assert str(unknown("role", "x", {"val": 1, "test": 2})) == "no role 'x'; known: test, val"
