"""scipy's optimizers, imported when they are first called: who only reads a model does not wait for them."""

from typing import Any


def minimize(*given: Any, **options: Any) -> Any:
    """See scipy.optimize.minimize."""
    from scipy import optimize

    return optimize.minimize(*given, **options)


def brentq(*given: Any, **options: Any) -> Any:
    """See scipy.optimize.brentq."""
    from scipy import optimize

    return optimize.brentq(*given, **options)
