"""Studio, Workbench and compute instances: what a managed notebook costs while it is used, and when it is left on."""

import pandas as pd

from simlib.parameters import Positive, checked
from simlib.pricing import HOURS_PER_MONTH, price


@checked
def notebook_month(*, hours_a_day: Positive = 6.0, days: Positive = 21.0) -> pd.DataFrame:
    """A month of one data scientist's notebook on 4 vCPUs and about 15 GB: stopped after work, and never stopped.

    Parameters
    ----------
    hours_a_day, days : float
        While somebody works with it (assumption).

    Returns
    -------
    DataFrame
        Index platform; service, machine, usd_per_hour, usd_stopped, usd_left_on, and note on the price.  Not here:
        disks, which are billed while a machine is stopped, and the load balancer of a stopped instance of Azure ML.
    """
    sagemaker = price("sagemaker_training", "ml.m5.xlarge")  # a real bill shows one price for notebooks and jobs
    cores, memory = (price("workbench", sku, platform="vertex", region="us-central1") for sku in ("n1-core", "n1-ram"))
    azure = price("compute", "Standard_D4s_v3", platform="azureml", region="eastus")
    rows = {
        "sagemaker": ("Studio", "ml.m5.xlarge", sagemaker.usd, sagemaker.note),
        "vertex": ("Workbench", "n1-standard-4", 4 * cores.usd + 15 * memory.usd, cores.note),
        "azureml": ("Compute instance", "Standard_D4s_v3", azure.usd, azure.note),
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["service", "machine", "usd_per_hour", "note"])
    frame.insert(3, "usd_stopped", frame["usd_per_hour"] * hours_a_day * days)
    frame.insert(4, "usd_left_on", frame["usd_per_hour"] * HOURS_PER_MONTH)
    return frame.rename_axis("platform")
