"""How numbers are written in a report: word error rates in percent as in the paper, differences in points."""

from softspoken_lab.analysis.tables import Estimate


def percent(share: float, digits: int = 2) -> str:
    """'6.64' for 0.0664, with a true minus sign."""
    return plain(100 * share, digits)


def points(difference: float, digits: int = 2) -> str:
    """A difference of shares in points, with its sign: '+1.63', '−0.20'."""
    text = percent(difference, digits)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"


def plain(value: float, digits: int = 2) -> str:
    """A number with a true minus sign; what rounds to zero has none."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def interval(estimate: Estimate, digits: int = 2) -> str:
    """'6.10 to 7.20', in percent."""
    return f"{percent(estimate.low, digits)} to {percent(estimate.high, digits)}"


def points_interval(estimate: Estimate, digits: int = 2) -> str:
    """'+0.40 to +1.10', in points."""
    return f"{points(estimate.low, digits)} to {points(estimate.high, digits)}"
