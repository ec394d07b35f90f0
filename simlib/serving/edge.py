"""Inference at the edge: the model goes to where the data is, onto devices that are slower, many, and at times away."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from simlib.model import Law, ModelProfile, constant
from simlib.parameters import Count, Flag, NonNegative, Positive, Share, Text, config, nearest
from simlib.serving.devices import On, slowdown
from simlib.serving.packages import Package

if TYPE_CHECKING:
    from simlib.serving.edge_fleet import EdgeFleet
    from simlib.simulation import Simulation
    from simlib.workload import Workload

NEO_TARGETS = (
    *("lambda", "ml_m4", "ml_m5", "ml_m6g", "ml_c4", "ml_c5", "ml_c6g", "ml_p2", "ml_p3", "ml_g4dn", "ml_inf1"),
    *("ml_inf2", "ml_trn1", "ml_eia2", "jetson_tx1", "jetson_tx2", "jetson_nano", "jetson_xavier", "rasp3b", "rasp4b"),
    *("imx8qm", "imx8mplus", "deeplens", "rk3399", "rk3288", "aisage", "sbe_c", "qcs605", "qcs603", "sitara_am57x"),
    *("amba_cv2", "amba_cv22", "amba_cv25", "x86_win32", "x86_win64", "coreml", "jacinto_tda4vm"),
)
"""What Neo compiles for (V: the API's TargetDevice; a platform of OS, architecture and accelerator is another way)."""

CLAIM = "third parties repeat 'up to 25 times', an earlier AWS text says 'up to 2 times, 1/10 of the memory'"
"""What is said of Neo; no stored AWS document says 25 (U)."""

Percentage = Annotated[NonNegative, Field(gt=0, le=100)]


@config
class Devices:
    """So many devices of one kind.

    Parameters
    ----------
    kind : str
        As `serving.measured_inference` names it ("rpi4", "nano" …), or a name of your own with `inference`.
    count : int
    on : "CPU" | "GPU" | "TPU"
        What the model runs on.
    inference : Law or None
        Measured time of one inference, not compiled [s]; None: the model's service law times the measured slowdown of
        the kind against a server's CPU (derived).
    """

    kind: Text
    count: Count
    on: On = field(default="CPU", kw_only=True)
    inference: Law | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.inference is None:
            slowdown(self.kind, on=self.on)  # says what is measured, if this is not

    @property
    def name(self) -> str:
        """The kind, and what it runs on where that is not the CPU."""
        return self.kind if self.on == "CPU" else f"{self.kind} {self.on}"


@config
class Link:
    """A connection that comes and goes: exponential stays, connected and not; each device has its own.

    A device is connected the share mean_on_s / (mean_on_s + mean_off_s) of the time.
    """

    mean_on_s: Positive
    mean_off_s: Positive

    @property
    def availability(self) -> float:
        """Long-run share of the time connected."""
        return self.mean_on_s / (self.mean_on_s + self.mean_off_s)


@config
class Compiled:
    """What a compiler (SageMaker Neo, or ONNX Runtime, TensorRT …) makes of a model: measure both factors yourself.

    Parameters
    ----------
    target : str or None
        One of Neo's target devices, such as "rasp4b"; None: each device's own.
    speed_factor : float
        How many times faster the model runs.  The default is an assumption.
    size_factor : float
        Size of the compiled artifact / size of the original.  The default is an assumption.
    """

    target: Text | None = None
    speed_factor: Positive = field(default=2.0, kw_only=True)
    size_factor: Positive = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        if self.target is not None and self.target not in NEO_TARGETS:
            raise ValueError(f"Neo has no target {self.target!r}; {nearest(self.target, NEO_TARGETS)}")


@config
class Samples:
    """Requests that devices keep and send home, to watch the model and to train the next one.

    Parameters
    ----------
    percentage : float
        How many of the requests are kept [%].
    buffer_mb : float
        What a device can hold while it is not connected [MB]; what comes when it is full is dropped (assumption).
    sample_kb : float or None
        Size of a sample [kB]; None: of the model's request.
    """

    percentage: Percentage
    buffer_mb: Positive = field(default=50.0, kw_only=True)
    sample_kb: Positive | None = field(default=None, kw_only=True)


@config
class Update:
    """A new version for the fleet, in stages; who is not connected gets it when back.

    Parameters
    ----------
    at_s : float
        When it begins [s].
    model : ModelProfile or None
        The new model; None: the same, compiled otherwise or repaired.
    compiled : Compiled, bool or None
        As of `Edge`; None: as before.
    stages : sequence of float
        How much of the fleet has been offered the version from each stage on [%]; rising, at most ten.
    wait_s : float
        From offering a stage until looking at its reports [s].
    max_failure_share : float
        More failures than this among the reports so far stop the update [0 to 1].
    on_failure : "ROLLBACK_ON_FAILURE" | "DO_NOTHING"
        Whether those that have the new version go back to the old one when it is stopped.
    failure_share : float
        On how many devices it fails its health check: the truth that the stages are to find out [0 to 1].
    package : Package or None
        What devices get, signed (`serving.pack`); one that was changed on the way is refused, which is a failure.
    """

    at_s: NonNegative
    model: ModelProfile | None = field(default=None, kw_only=True)
    compiled: Compiled | Flag | None = field(default=None, kw_only=True)
    stages: tuple[Percentage, ...] = field(default=(10.0, 50.0, 100.0), kw_only=True)
    wait_s: NonNegative = field(default=3600.0, kw_only=True)
    max_failure_share: Share = field(default=0.1, kw_only=True)
    on_failure: Literal["ROLLBACK_ON_FAILURE", "DO_NOTHING"] = field(default="ROLLBACK_ON_FAILURE", kw_only=True)
    failure_share: Share = field(default=0.0, kw_only=True)
    package: Package | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.stages, self.stages[1:], strict=False))
        if not (1 <= len(self.stages) <= 10 and rising):
            raise ValueError(f"stages={self.stages} is not possible: it should be one to ten rising percentages.")


def _fleet(value: Any) -> Any:
    """{"rpi4": 100} as devices, and a single `Devices` as a fleet."""
    if isinstance(value, Mapping):
        return tuple(Devices(kind, count) for kind, count in value.items())
    return (value,) if isinstance(value, Devices) else value


Fleet = Annotated[tuple[Devices, ...], BeforeValidator(_fleet)]


@config
class Edge:
    """A fleet of devices that answer on the spot.

    Each request comes to one of the devices, all equally likely, and waits there until the device has answered those
    before it.  Nothing leaves the device but the samples it is told to send.

    Parameters
    ----------
    model : ModelProfile
        Its service law is the time on a server's CPU; see `Devices.inference`.
    fleet : sequence of Devices, or mapping of kind to count
    compiled : Compiled or bool
        True: with the factors that `Compiled` assumes.
    around : Law
        What a request takes on the device besides the model [s]: camera, decoding, display; no compiler changes it.
    link : Link or None
        How devices are connected; None: always.
    samples : Samples or None
        What they send home.
    update : Update or None
        A new version in the course of the run.
    key : str or None
        What devices check the signature of a package with; None: they take any.
    download_mb_per_s : float
        Speed at which a package arrives at a connected device [MB/s]; broken off, it goes on when back.  Assumption.
    usd_per_device_month, usd_per_gb : float
        What a device costs you a month, and what a GB it sends costs [US dollars]: your contracts, no list price.
    """

    model: ModelProfile
    fleet: Fleet = field(kw_only=True)
    compiled: Compiled | Flag = field(default=False, kw_only=True)
    around: Law = field(default=constant(0), kw_only=True)
    link: Link | None = field(default=None, kw_only=True)
    samples: Samples | None = field(default=None, kw_only=True)
    update: Update | None = field(default=None, kw_only=True)
    key: Text | None = field(default=None, kw_only=True)
    download_mb_per_s: Positive = field(default=1.0, kw_only=True)
    usd_per_device_month: NonNegative = field(default=0.0, kw_only=True)
    usd_per_gb: NonNegative = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        names = [devices.name for devices in self.fleet]
        if not names or len(names) != len(set(names)):
            raise ValueError(f"fleet={names} is not possible: it should be one or more kinds, each of them once.")

    @property
    def count(self) -> int:
        """Devices in all."""
        return sum(devices.count for devices in self.fleet)

    @property
    def compilation(self) -> Compiled:
        """What the compiler does; nothing where there is none."""
        return _compilation(self.compiled)

    @property
    def package_mb(self) -> float:
        """Size of the new version's package [MB]."""
        update = self.update
        if update is None:
            return self.model.size_mb * self.compilation.size_factor
        chosen = self.compiled if update.compiled is None else update.compiled
        return (update.model or self.model).size_mb * _compilation(chosen).size_factor

    @property
    def versions(self) -> tuple[tuple[ModelProfile, float], ...]:
        """Model and speed factor of the version at the start, and of the update's."""
        before = (self.model, self.compilation.speed_factor)
        if self.update is None:
            return (before,)
        chosen = self.compiled if self.update.compiled is None else self.update.compiled
        return (before, (self.update.model or self.model, _compilation(chosen).speed_factor))

    def deploy(self, sim: "Simulation", workload: "Workload", name: str, *, log: bool, from_cold: bool) -> "EdgeFleet":
        """The fleet that `Simulation.deploy` asks for; devices have their model from the start."""
        from simlib.serving.edge_fleet import EdgeFleet  # here, because it loads the compiler

        return EdgeFleet(sim, self, workload, name, log=log)

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of every value in use that nobody documents."""
        if any(devices.inference is None for devices in self.fleet):
            source = "measured by others on ResNet50 (edgerun/faas-sim), taken for any model"
            yield "slowdown of a device", "its seconds / a server's seconds", "D", source
        if self.compiled is not False:
            yield "compiled: speed_factor", self.compilation.speed_factor, "U", CLAIM
            yield "compiled: size_factor", self.compilation.size_factor, "U", CLAIM
        yield "which device", "all equally likely", "U", "independent of its connection"
        if self.link is not None:
            yield (
                "link",
                f"{self.link.mean_on_s:g} s on, {self.link.mean_off_s:g} s off",
                "U",
                "exponential, independent",
            )
        if self.samples is not None:
            yield "full buffer", "the newest sample is dropped", "U", "and what is kept is sent at once when back"
        if self.update is not None:
            yield "installing", "0 s", "U", "a request keeps the version it met on arrival"
            yield "download_mb_per_s", self.download_mb_per_s, "U", "undocumented"


def _compilation(chosen: Compiled | bool) -> Compiled:
    if isinstance(chosen, Compiled):
        return chosen
    return Compiled() if chosen else Compiled(speed_factor=1.0)
