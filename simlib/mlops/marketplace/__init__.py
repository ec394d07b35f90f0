"""The marketplace: buy a model instead of building it, and what that costs at which volume.

A listing is either an *algorithm* (you train it on your data) or a *model* (somebody trained it; you deploy it).  Both
deploy like your own on real-time endpoints and in batch; not on serverless endpoints, and not with deployment
guardrails (AWS Marketplace seller guide).  The software fee comes on top of the infrastructure: by the hour of each
instance, prorated to the minute; by inference, charged only for answers with a status of 2XX, on real-time endpoints
only; or by contract.

    >>> from simlib.mlops import marketplace
    >>> listing = marketplace.listing("vision-tags")
    >>> round(listing.monthly_fee(requests=100_000, hours=730.0), 2)
    120.0

The listings here are invented, and say so.
"""

from simlib.mlops.marketplace.buy_or_build import Build, Serving, break_even, compare, draw
from simlib.mlops.marketplace.listings import CATALOGUE, WHERE, Listing, catalogue, listing

__all__ = ["CATALOGUE", "WHERE", "Build", "Listing", "Serving", "break_even", "catalogue", "compare", "draw", "listing"]
