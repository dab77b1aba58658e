"""Money as people read it, in lists and in templates alike."""

from decimal import Decimal

from django import template

register = template.Library()


@register.filter
def usd(sum_: Decimal | None) -> str:
    """Cents are enough for people; less than a cent says so."""
    if not sum_:
        return "–"
    return f"${sum_:,.2f}" if sum_ >= Decimal("0.01") else "< $0.01"
