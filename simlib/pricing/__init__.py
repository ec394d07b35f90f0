"""Prices with their source and date, meters of what was used, and the bill.

>>> from simlib import pricing
>>> bill = pricing.invoice([pricing.hosting_hours("ml.m5.large", 24.0), *pricing.data_processed(0.5, 0.5)])
>>> round(bill.attrs["total"], 4)
2.776
"""

from simlib.pricing.catalog import CATALOG_DATE, Price, price, priced_on, retired, skus
from simlib.pricing.invoice import FreeTier, SavingsPlan, invoice, total
from simlib.pricing.machines import ContainerService, Machine, Owner, Use, container_seconds, machine, region_of
from simlib.pricing.meters import (
    HOURS_PER_MONTH,
    KB_PER_GB,
    Meter,
    azure_vms,
    billed_seconds,
    cloudwatch_alarms,
    data_processed,
    endpoint_storage,
    hosting_hours,
    job_hours,
    marketplace_hours,
    provisioned_concurrency,
    s3_requests,
    serverless_seconds,
    sns_requests,
    vertex_nodes,
)

__all__ = [
    "CATALOG_DATE",
    "HOURS_PER_MONTH",
    "KB_PER_GB",
    "ContainerService",
    "FreeTier",
    "Machine",
    "Meter",
    "Owner",
    "Price",
    "SavingsPlan",
    "Use",
    "azure_vms",
    "billed_seconds",
    "cloudwatch_alarms",
    "container_seconds",
    "data_processed",
    "endpoint_storage",
    "hosting_hours",
    "invoice",
    "job_hours",
    "machine",
    "marketplace_hours",
    "price",
    "priced_on",
    "provisioned_concurrency",
    "region_of",
    "retired",
    "s3_requests",
    "serverless_seconds",
    "skus",
    "sns_requests",
    "total",
    "vertex_nodes",
]
