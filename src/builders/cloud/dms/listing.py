"""How a Describe operation answers: filters, pages, markers.

Source: DMS API reference, "Filters", "MaxRecords" and "Marker" of each Describe operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from builders.cloud import pages
from builders.cloud.dms.faults import invalid, not_found
from builders.cloud.schemas import Json

Described = dict[str, Json]

DEFAULT_PAGE, SMALLEST_PAGE, LARGEST_PAGE, LARGEST_PAGE_OF_TABLES = 100, 20, 100, 500


@dataclass(frozen=True)
class Listing:
    """A Describe operation: the answer's member, what it lists, and {filter: member that it looks at}."""

    member: str
    what: str
    every: Callable[[], list[Described]]
    filters: Mapping[str, str]


def answer(listing: Listing, request: Mapping[str, Json]) -> Described:
    """Answer a Describe operation. Raises ResourceNotFoundFault where filters match nothing."""
    wanted = request.get("Filters") or []
    found = filtered(listing.every(), wanted, listing.filters)
    if wanted and not found:
        raise not_found(listing.what)
    return page(listing.member, found, request, LARGEST_PAGE)


def filtered(items: list[Described], wanted: Sequence[Json], known: Mapping[str, str]) -> list[Described]:
    """The items that every filter lets through: one of its values each."""
    for each in wanted:
        if each["Name"] not in known:
            raise invalid(f"Invalid filter {each['Name']}; valid are {', '.join(known)} (embedded cloud)")
        member, values = known[each["Name"]], each["Values"]
        items = [item for item in items if _one_or_more(item.get(member)) & set(values)]
    return items


def page(member: str, items: list[Described], request: Mapping[str, Json], largest: int) -> Described:
    """One page of the items, and the marker of the next."""
    size = request.get("MaxRecords", DEFAULT_PAGE)
    if not SMALLEST_PAGE <= size <= largest:
        raise invalid(f"MaxRecords is {size}; it must be between {SMALLEST_PAGE} and {largest} (embedded cloud)")
    try:
        shown, marker = pages.cut(member, items, request.get("Marker"), size)
    except pages.InvalidToken as error:
        raise invalid("The marker is not one that this operation gave (embedded cloud)") from error
    return {member: shown, **({"Marker": marker} if marker else {})}


def _one_or_more(value: Json) -> set[str]:
    return {str(each) for each in value} if isinstance(value, list) else {str(value)}
