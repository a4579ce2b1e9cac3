"""Text for people that every package needs: durations."""


def format_duration(seconds: float) -> str:
    """Return `seconds` as M:SS, from an hour on as H:MM:SS; a fraction of a second is dropped."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
