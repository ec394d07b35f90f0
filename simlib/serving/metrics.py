"""What scaling policies can watch of a running deployment."""

from typing import Literal

Metric = Literal[
    "InvocationsPerInstance",
    "ConcurrentRequestsPerModel",
    "CPUUtilization",
    "WorkerUtilization",
    "DutyCycle",
    "RequestsPerMinutePerInstance",
    "RequestsPerMinute",
    "ModelLatency",
    "Invocation5XXErrors",
    "ServerlessProvisionedConcurrencyUtilization",
    "ApproximateBacklogSize",
    "ApproximateBacklogSizePerInstance",
    "HasBacklogWithoutCapacity",
    "ApproximateAgeOfOldestRequest",
    "InvocationsPerCopy",
    "ConcurrentRequestsPerCopy",
    "NoCapacityInvocationFailures",
]
"""What a policy can watch, for one variant over one period.

InvocationsPerInstance: the sum, over the attempts in the period, of 1 / instances in service at that moment (SageMaker
developer guide: each request sends 1/numberOfInstances); where nobody called, see `no_calls`.
ConcurrentRequestsPerModel: requests waiting or in work at the period's end, per instance in service.
CPUUtilization: busy workers per instance in percent, so two busy workers are 200 (the guide's trap: it sums cores).
WorkerUtilization: busy workers in percent of all workers in service.  It stands for the CPU utilization of Vertex AI
and Azure ML, which count a whole machine as 100.  Assumption: an instance with all its workers busy is at 100 %.
DutyCycle: the part of the time in which an accelerator works, in percent.  Assumption: it does whenever its instance
has a request, and requests overlap only where they must: busy workers per instance, at most 100 %.
RequestsPerMinutePerInstance, RequestsPerMinute: as InvocationsPerInstance, brought to a minute; and their sum.
ModelLatency: mean [s] of those completed in the period; missing where there are none.
Invocation5XXErrors: rejected, timed out and failed requests.
ServerlessProvisionedConcurrencyUtilization, the only one of serverless endpoints: mean containers in work, those on
demand included, per container kept warm at the period's end (AWS: concurrent executions divided by the
allocated provisioned concurrency); missing where none is kept warm.

Of asynchronous endpoints alone, as at the period's end: ApproximateBacklogSize: requests waiting or in process;
ApproximateBacklogSizePerInstance: the same per instance in service, at zero instances / 1 (assumption);
HasBacklogWithoutCapacity: 1 where there is a backlog and no instance, else 0; ApproximateAgeOfOldestRequest [s] of
those in the backlog, 0 without one.

Of inference components alone: InvocationsPerCopy, as per instance; ConcurrentRequestsPerCopy: requests in work, their
mean over the period, and waiting, at its end, per copy in service (AWS averages samples of both, every 10 s);
NoCapacityInvocationFailures: calls in the period that found no copy.
"""

CALLS: Metric = "InvocationsPerInstance"
NoCalls = Literal["missing", "zero"]
BACKLOG_METRICS = (
    "ApproximateBacklogSize",
    "ApproximateBacklogSizePerInstance",
    "HasBacklogWithoutCapacity",
    "ApproximateAgeOfOldestRequest",
)
SERVERLESS_METRICS = ("ServerlessProvisionedConcurrencyUtilization",)
COMPONENT_METRICS = ("InvocationsPerCopy", "ConcurrentRequestsPerCopy", "NoCapacityInvocationFailures")

PER_INSTANCE: tuple[Metric, ...] = (
    "InvocationsPerInstance",
    "RequestsPerMinutePerInstance",
    "ConcurrentRequestsPerModel",
    "CPUUtilization",
    "WorkerUtilization",
    "DutyCycle",
)
"""Those that rise as n / (n - k) when k of n instances leave and the load stays."""
