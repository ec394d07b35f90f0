"""A user's mistake is one sentence that names the parameter; never a traceback, never a silent guess."""

import inspect
import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import experiments, monitoring, scenarios, serving, theory, workload

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.05))
RT = serving.RealTime(MODEL)
CALLS = workload.poisson(rate=1)
NAN, INF = math.nan, math.inf


def sentence(call: Callable[[], object]) -> str:
    """What a mistake is answered with: one line, one sentence."""
    with pytest.raises(sl.ParameterError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert text[-1] in ".?"
    assert len(text) < 450
    assert "pydantic" not in text
    assert not re.search(r"\b(loc|input_value|type=)\b", text)
    return text


# --- a typo in each parameter of each public constructor, function and method ---------------------------------------

ROOMS = (
    "simlib",
    "simlib.advisor",
    "simlib.artifacts",
    "simlib.fairness",
    "simlib.monitoring",
    "simlib.monitoring.distances",
    "simlib.workload",
    "simlib.platforms",
    "simlib.serving",
    "simlib.pricing",
    "simlib.scenarios",
    "simlib.theory",
    "simlib.experiments",
    "simlib.abtest",
    "simlib.plots",
)
RESULTS = {
    "Descriptor",
    "Finding",
    "Advice",
    "Answer",
    "Artifact",
    "Forecast",
    "Handler",
    "Server",
    "Audit",
    "Explanation",
    "Findings",
    "Violation",
    "Thresholds",
    "Comparison",
    "Decision",
    "Machine",
    "Profile",
    "Record",
    "Search",
    "Block",
    "FiniteStation",
    "Run",
    "Price",
    "Allowance",
    "Scenario",
    "Interval",
    "WarmUp",
    "Words",
    "Law",
    "Workload",
}  # nobody writes them
METHODS = {
    "Stream.sample": monitoring.Stream.sample,
    "Stream.truth": monitoring.Stream.truth,
    "Simulation.run": sl.Simulation.run,
    "Simulation.deploy": sl.Simulation.deploy,
    "Simulation.start": sl.Simulation.start,
    "Run.summary": sl.Run.summary,
    "Run.timeline": sl.Run.timeline,
    "Run.story": sl.Run.story,
    "Run.save": sl.Run.save,
    "Run.load": sl.Run.load,
    "Workload.scaled": workload.Workload.scaled,
    "Workload.repeated": workload.Workload.repeated,
    "Workload.between": workload.Workload.between,
    "Workload.thinned": workload.Workload.thinned,
}


def public() -> Iterator[tuple[str, Callable[..., object]]]:
    """Every name that a user calls, once."""
    seen = set()
    for room in ROOMS:
        module = import_module(room)
        for name in module.__all__:
            found = getattr(module, name)
            if callable(found) and not isinstance(found, ModuleType) and name not in RESULTS and found not in seen:
                seen.add(found)
                if not (isinstance(found, type) and issubclass(found, BaseException)):
                    yield f"{room}.{name}", found
    yield from METHODS.items()


def typos() -> Iterator[tuple[str, Callable[..., object], str, str]]:
    for where, call in public():
        for name, parameter in inspect.signature(call).parameters.items():
            if name not in ("self", "cls") and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                middle = len(name) // 2
                for typo in (name[:middle] + name[middle + 1 :], name + "z"):
                    yield where, call, name, typo


def others(call: Callable[..., object], name: str) -> dict[str, object]:
    """The parameters that are needed beside *name*, where **options take any name and so nobody but us can tell."""
    known = inspect.signature(call).parameters
    if all(each.kind is not each.VAR_KEYWORD for each in known.values()):
        return {}
    needed = [each.name for each in known.values() if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    given = {"deployment": RT, "deployments": {"one": RT}, "workload": CALLS, "grid": {"workers": [1]}}
    given["make_deployment"] = lambda workers: RT
    return {each: given[each] for each in needed if each != name}


@pytest.mark.parametrize(
    ("where", "call", "name", "typo"), [pytest.param(*each, id=f"{each[0]}-{each[3]}") for each in typos()]
)
def test_a_typo_in_a_parameters_name(where, call, name, typo):
    self = {"self": None} if where in METHODS and where != "Run.load" else {}
    text = sentence(lambda: call(**self, **others(call, name), **{typo: 1}))
    assert text.startswith(where.rsplit(".", 1)[-1])
    assert f"has no parameter {typo!r}" in text
    assert f"did you mean {name!r}" in text or (len(name) < 4 and name in text)


def test_there_are_hundreds_of_them():
    assert len(list(typos())) > 200
    assert len(list(public())) > 50


# --- wrong values ---------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"time": [0.0, 1.0, 2.5], "tokens": [10.0, 20.0, 5.0]})
BLUE = serving.Variant("blue", MODEL)

WRONG = {
    # experiments
    "text as values": (
        lambda: experiments.interval("abc"),
        "interval: values='abc' is not possible: it should be a row",
    ),
    "a number as values": (lambda: experiments.interval(5), "values=5"),
    "texts as values": (lambda: experiments.interval(["1", "2"]), "values=['1', '2']"),
    "text as a series": (lambda: experiments.mser5("abc"), "mser5: series='abc'"),
    "a short series": (lambda: experiments.mser5([1, 2]), "series has 2 numbers: it should have at least 10"),
    "a table as a series": (lambda: experiments.moving_average([[1, 2], [3, 4]], 1), "series=[[1, 2], [3, 4]]"),
    "a ragged series": (lambda: experiments.moving_average([[1], [3, 4]], 1), "series=[[1], [3, 4]]"),
    "a number as a comparison": (lambda: experiments.wide(5), "wide: frame=5"),
    "another frame as a comparison": (lambda: experiments.wide(FRAME), "wide: frame has no column 'mean'"),
    # simulate
    "a deployment in place of a workload": (lambda: sl.simulate(RT, RT, hours=1), "workload=RealTime"),
    "a workload in place of a deployment": (lambda: sl.simulate(CALLS, RT, hours=1), "deployment=Poisson"),
    "a model in place of a deployment": (lambda: sl.simulate(MODEL, CALLS, hours=1), "serving.RealTime(model)"),
    "the class in place of a deployment": (lambda: sl.simulate(serving.RealTime, CALLS, hours=1), "deployment=<class"),
    "None in place of a workload": (lambda: sl.simulate(RT, None, hours=1), "workload=None"),
    "a number in place of a workload": (lambda: sl.simulate(RT, 20, hours=1), "workload.poisson(rate=20)"),
    "no length": (lambda: sl.simulate(RT, CALLS), "give hours= or days="),
    "both lengths": (lambda: sl.simulate(RT, CALLS, hours=1, days=1), "exactly one of them; this call gives 2"),
    "no workload": (lambda: sl.simulate(RT, hours=1), "needs the parameter 'workload'"),
    "hours=0": (lambda: sl.simulate(RT, CALLS, hours=0), "hours=0"),
    "negative hours": (lambda: sl.simulate(RT, CALLS, hours=-1), "hours=-1"),
    "hours with a unit": (lambda: sl.simulate(RT, CALLS, hours="1 h"), "without quotes or unit"),
    "hours=nan": (lambda: sl.simulate(RT, CALLS, hours=NAN), "hours=nan"),
    "hours=inf": (lambda: sl.simulate(RT, CALLS, hours=INF), "hours=inf"),
    "hours=True": (lambda: sl.simulate(RT, CALLS, hours=True), "hours=True"),
    "hours as a positional argument": (lambda: sl.simulate(RT, CALLS, 24), "24 has no name"),
    "days=0": (lambda: sl.simulate(RT, CALLS, days=0), "days=0"),
    "seed as text": (lambda: sl.simulate(RT, CALLS, hours=1, seed="7"), "seed='7'"),
    "seed=1.5": (lambda: sl.simulate(RT, CALLS, hours=1, seed=1.5), "seed=1.5"),
    "negative seed": (lambda: sl.simulate(RT, CALLS, hours=1, seed=-1), "seed=-1"),
    "seed=None": (lambda: sl.simulate(RT, CALLS, hours=1, seed=None), "seed=None"),
    "negative replication": (lambda: sl.simulate(RT, CALLS, hours=1, replication=-1), "replication=-1"),
    "a warm-up as long as the run": (lambda: sl.simulate(RT, CALLS, hours=1, warm_up_hours=1), "warm_up_hours=1"),
    "a negative warm-up": (lambda: sl.simulate(RT, CALLS, hours=1, warm_up_hours=-1), "warm_up_hours=-1"),
    "an unknown log": (lambda: sl.simulate(RT, CALLS, hours=1, log="fold"), "'auto', 'exact' or 'folded'"),
    "progress as text": (lambda: sl.simulate(RT, CALLS, hours=1, progress="yes"), "progress='yes'"),
    "an unknown region": (lambda: sl.simulate(RT, CALLS, hours=1, region="us-est-1"), "did you mean 'us-east-1'"),
    "a region as a number": (lambda: sl.simulate(RT, CALLS, hours=1, region=1), "region=1"),
    "an empty region": (lambda: sl.simulate(RT, CALLS, hours=1, region=""), "region=''"),
    "an unknown instance type": (
        lambda: sl.simulate(serving.RealTime(MODEL, instance_type="ml.m5.lrge"), CALLS, hours=1),
        "instance_type='ml.m5.lrge'",
    ),
    "a type that is not offered there": (
        lambda: sl.simulate(serving.RealTime(MODEL, instance_type="ml.g5.xlarge"), CALLS, hours=1, region="eu-south-2"),
        "not offered or not priced in eu-south-2",
    ),
    "work that the workload does not bring": (
        lambda: sl.simulate(serving.RealTime(sl.ModelProfile("m", sl.per_unit(0, {"t": 1}))), CALLS, hours=1),
        "needs the work column 't'",
    ),
    # Simulation
    "a start that is no date": (lambda: sl.Simulation(start="tomorrow"), "start='tomorrow'"),
    "a start that is a number": (lambda: sl.Simulation(start=5), "start=5"),
    "a 13th month": (lambda: sl.Simulation(start="2026-13-01"), "start='2026-13-01'"),
    "running for nothing": (lambda: sl.Simulation().run(), "give hours= or days= or until_s="),
    "running backwards": (lambda: sl.Simulation().run(hours=-1), "hours=-1"),
    "running until now": (lambda: run_and(lambda sim: sim.run(until_s=3600)), "the clock shows 3600 s already"),
    "starting what is no process": (lambda: sl.Simulation().start(3), "process=3"),
    "starting a function without yield": (lambda: sl.Simulation().start(lambda sim: None), "`yield`"),
    "hours that are seconds": (lambda: sl.simulate(RT, CALLS, hours=365 * 86400), "forty years at the latest"),
    "days that are hours": (lambda: sl.Simulation().run(days=87600), "days=87600"),
    "deploying a workload": (lambda: sl.Simulation().deploy(CALLS, CALLS), "deployment=Poisson"),
    "from_cold as a number": (lambda: sl.Simulation().deploy(RT, CALLS, from_cold=1), "from_cold=1"),
    # deployments
    "no model": (lambda: serving.RealTime(), "give either model= or variants="),
    "model and variants": (lambda: serving.RealTime(MODEL, variants=[BLUE]), "give either model= or variants="),
    "a law in place of a model": (lambda: serving.RealTime(sl.constant(1)), "model=Constant"),
    "a name in place of a model": (lambda: serving.RealTime("tagger"), "model='tagger'"),
    "an instance count of -1": (
        lambda: serving.RealTime(MODEL, initial_instance_count=-1),
        "initial_instance_count=-1",
    ),
    "half an instance": (lambda: serving.RealTime(MODEL, initial_instance_count=1.5), "initial_instance_count=1.5"),
    "no workers": (lambda: serving.RealTime(MODEL, workers=0), "workers=0"),
    "an unknown routing": (lambda: serving.RealTime(MODEL, routing="ROUND_ROBIN"), "routing='ROUND_ROBIN'"),
    "a negative queue limit": (lambda: serving.RealTime(MODEL, queue_limit=-1), "queue_limit=-1"),
    "a time-out of 0": (lambda: serving.RealTime(MODEL, invocation_timeout_s=0), "invocation_timeout_s=0"),
    "an endless time-out": (lambda: serving.RealTime(MODEL, invocation_timeout_s=INF), "invocation_timeout_s=inf"),
    "a time-out with a unit": (lambda: serving.RealTime(MODEL, invocation_timeout_s="60s"), "without quotes or unit"),
    "speed 0": (lambda: serving.RealTime(MODEL, speed=0), "speed=0"),
    "speed nan": (lambda: serving.RealTime(MODEL, speed=NAN), "speed=nan"),
    "no variants": (lambda: serving.RealTime(variants=[]), "variants"),
    "two variants of one name": (lambda: serving.RealTime(variants=[BLUE, BLUE]), "a name of its own"),
    "weights that are all 0": (lambda: serving.RealTime(variants=[serving.Variant("b", MODEL, weight=0)]), "weight"),
    "a model as a variant": (lambda: serving.RealTime(variants=[MODEL]), "variants[0]"),
    "a variant without a name": (lambda: serving.Variant("", MODEL), "name=''"),
    "a negative weight": (lambda: serving.Variant("b", MODEL, weight=-1), "weight=-1"),
    "a retry that never is": (lambda: serving.Retry(0), "max_attempts=0"),
    "a thousand retries": (lambda: serving.Retry(1000), "max_attempts=1000"),
    "a shrinking backoff": (lambda: serving.Retry(factor=0.5), "factor=0.5"),
    "an unknown status": (lambda: serving.Retry(statuses=(500,)), "statuses[0]=500"),
    "a law as a number": (lambda: serving.InstanceLife(launch=150), "launch=150 is not a law"),
    "a life of negative drain": (lambda: serving.InstanceLife(drain_s=-1), "drain_s=-1"),
    "an unknown way to scale in": (lambda: serving.InstanceLife(scale_in_takes="random"), "scale_in_takes='random'"),
    # models
    "a model without a law": (lambda: sl.ModelProfile("m", 0.05), "service=0.05 is not a law"),
    "a model without a service": (lambda: sl.ModelProfile("m"), "needs the parameter 'service'"),
    "a model of no size": (lambda: sl.ModelProfile("m", sl.constant(1), size_mb=0), "size_mb=0"),
    "a request of negative size": (lambda: sl.ModelProfile("m", sl.constant(1), request_kb=-1), "request_kb=-1"),
    "a mean of 0": (lambda: sl.exponential(0), "mean=0"),
    "a mean in milliseconds": (lambda: sl.lognormal("80 ms", 0.4), "mean='80 ms'"),
    "a mean of nan": (lambda: sl.gamma(NAN, 1), "mean=nan"),
    "a negative cv": (lambda: sl.lognormal(1, -0.1), "cv=-0.1"),
    "a gamma of cv 0": (lambda: sl.gamma(1, 0), "cv=0"),
    "a uniform law the wrong way round": (lambda: sl.uniform(2, 1), "high=1 should be greater than low=2"),
    "no samples": (lambda: sl.empirical([]), "samples"),
    "a negative sample": (lambda: sl.empirical([1.0, -2.0]), "samples[1]=-2"),
    "more weights than laws": (lambda: sl.mixture([sl.constant(1)], [1, 2]), "one weight for each law"),
    "no seconds per unit": (lambda: sl.per_unit(0.1, {}), "s_per_unit"),
    "negative seconds per unit": (lambda: sl.per_unit(0.1, {"tokens": -1}), "s_per_unit"),
    "a log that is no frame": (lambda: sl.ModelProfile.calibrate([1, 2], "m"), "should be an instance of DataFrame"),
    "a typo in calibrate": (lambda: sl.ModelProfile.calibrate(lox=1, name="m"), "did you mean 'log'"),
    "no choices": (lambda: sl.predict("x", choices=[]), "a list of at least two, all different"),
    "one choice twice": (lambda: sl.predict("x", choices=["a", "a"]), "a list of at least two, all different"),
    "requests beyond counting": (
        lambda: sl.simulate(RT, workload.poisson(rate=1e12), hours=1),
        "more than can be followed in hours",
    ),
    # workloads
    "a rate of 0": (lambda: workload.poisson(0), "rate=0"),
    "a rate as text": (lambda: workload.poisson("20/s"), "rate='20/s'"),
    "a rate of inf": (lambda: workload.poisson(rate=INF), "rate=inf"),
    "no rate": (lambda: workload.poisson(), "needs the parameter 'rate'"),
    "a peak below the mean": (lambda: workload.diurnal(1, peak_to_mean=0.5), "peak_to_mean=0.5"),
    "the 25th hour": (lambda: workload.diurnal(1, peak_hour=25), "peak_hour=25"),
    "calm above burst": (lambda: workload.bursty(5, 1, 10, 10), "burst_rate=1 should be at least calm_rate=5"),
    "half an item": (lambda: workload.nightly(1.5, at_hour=3), "items=1.5"),
    "negative counts": (lambda: workload.from_counts([1, -1]), "counts[1]=-1"),
    "counts of nothing": (lambda: workload.from_counts([]), "counts"),
    "an empty trace": (lambda: workload.from_trace(FRAME.head(0), time="time"), "no rows"),
    "a column that is not there": (lambda: workload.from_trace(FRAME, time="tme"), "did you mean 'time'"),
    "a file that is not there": (lambda: workload.from_trace("/no/such.csv", time="t"), "there is no file"),
    "a list as a trace": (lambda: workload.from_trace([1, 2], time="t"), "source should be the path"),
    "a trace with a missing time": (
        lambda: workload.from_trace(FRAME.assign(time=[0.0, NAN, 1.0]), time="time"),
        "'time' in row 2",
    ),
    "a trace with negative work": (
        lambda: workload.from_trace(FRAME.assign(tokens=-1.0), time="time", work=["tokens"]),
        "'tokens' in row 1",
    ),
    "scaling by 0": (lambda: CALLS.scaled(0), "factor=0"),
    "a share above 1": (lambda: CALLS.thinned(1.5), "share=1.5"),
    "a window the wrong way round": (lambda: CALLS.between(10, 5), "end_s=5 should be greater"),
    "repeating for no days": (lambda: CALLS.repeated(days=0), "days=0"),
    "arrivals backwards": (lambda: CALLS.arrivals(5, 1, np.random.default_rng(1)), "end_s=1"),
    # scenarios and theory
    "a scenario at a negative rate": (lambda: scenarios.chat_translation(rate=-1), "rate=-1"),
    "no servers": (lambda: theory.erlang_c(0.5, servers=0), "servers=0"),
    "negative traffic": (lambda: theory.erlang_b(-1, servers=2), "offered=-1"),
    "a share of 99 %": (lambda: theory.mmc_wait_quantile(99, 1, 1, 2), "share=99"),
    # results
    "a timeline by the second": (lambda: RUN.timeline(1), "every_s=1"),
    "a timeline by nothing": (lambda: RUN.timeline(0), "every_s=0"),
    "a timeline by 90 s": (lambda: RUN.timeline(90), "multiple of 60"),
    "a timeline by text": (lambda: RUN.timeline("5 min"), "every_s='5 min'"),
    "a warm-up longer than the run": (lambda: RUN.summary(warm_up_hours=2), "warm_up_hours=2"),
    "a warm-up of nan": (lambda: RUN.summary(warm_up_hours=NAN), "warm_up_hours=nan"),
    "loading a number": (lambda: sl.Run.load(3), "path=3"),
    "loading what is not there": (lambda: sl.Run.load("/no/such.run"), "'/no/such.run' cannot be read"),
    "saving where no folder is": (lambda: RUN.save("/no/such/a.run"), "cannot be written"),
    # from a notebook to JSON and back
    "JSON of another kind": (lambda: sl.from_json('{"$kind": "Serverles"}'), "there is no kind 'Serverles'"),
    "no JSON": (lambda: sl.from_json("RealTime()"), "not JSON"),
}
RUN = sl.simulate(RT, CALLS, hours=0.1, seed=1)


def run_and(then: Callable[[sl.Simulation], object]) -> object:
    sim = sl.Simulation()
    sim.run(hours=1)
    return then(sim)


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_value(mistake):
    call, named = WRONG[mistake]
    assert named in sentence(call)


def test_there_are_dozens_of_them():
    assert len(WRONG) > 100


def test_a_mistake_leaves_nothing_half_done():
    sim = sl.Simulation()
    with pytest.raises(sl.ParameterError):
        sim.deploy(serving.RealTime(MODEL, instance_type="ml.m5.lrge"), CALLS)
    assert sim.endpoints == []
    endpoint = sim.deploy(RT, CALLS)
    assert endpoint.name == "endpoint-1"
    with pytest.raises(sl.ParameterError):
        sim.run(hours=-1)
    assert sim.env.now == 0


# --- in a notebook --------------------------------------------------------------------------------------------------


def test_a_notebook_shows_the_sentence_alone():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        shell.run_cell("import simlib as sl\nfrom simlib import serving, workload")
        result = shell.run_cell("workload.poisson(rat=20)")
    assert isinstance(result.error_in_exec, sl.ParameterError)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue()).strip()
    assert shown == "ParameterError: poisson has no parameter 'rat'; did you mean 'rate'?"


def test_a_typo_in_a_name_of_the_library() -> None:
    with pytest.raises(AttributeError, match="no 'lognorml'; did you mean 'lognormal'"):
        _ = sl.lognorml
