"""The compose runtime: containers of one project on this machine's Docker Engine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from console.domain.description import RuntimeEvent, ServiceDescription
from console.domain.services import Limits, ReplicaStats, Role, Topology
from console.domain.tunables import LimitSettings, Setting
from console.errors import ConsoleError, Unreachable, UsageError
from console.ports import Clock, ExecResult, LogLine, LogRequest
from console.runtimes.compose import resources
from console.runtimes.compose.anew import why_not_anew
from console.runtimes.compose.bring_up import Stack, bring_up, start_again, take_down
from console.runtimes.compose.containers import Container, ContainerTable
from console.runtimes.compose.daemon import Daemon
from console.runtimes.compose.desired import DesiredFile
from console.runtimes.compose.drift import drifts
from console.runtimes.compose.edge import EDGE_VARIABLES, write_limits
from console.runtimes.compose.environment import read_env
from console.runtimes.compose.events import Watcher
from console.runtimes.compose.execute import execute
from console.runtimes.compose.images import ProductImages
from console.runtimes.compose.keeper import start_keeper
from console.runtimes.compose.logs import LogReader
from console.runtimes.compose.maintenance import MaintenancePage
from console.runtimes.compose.model import Model, ModelFile, ServiceModel
from console.runtimes.compose.observe import compose_topology
from console.runtimes.compose.project import ComposeProject
from console.runtimes.compose.replicas import Replicas
from console.runtimes.compose.routing import Routing, proxies
from console.runtimes.compose.statistics import Statistics
from console.runtimes.compose.variables import Variables
from console.runtimes.naming import lowest_free_names
from console.runtimes.old_logs import KeepsLogFiles
from console.settings import PROJECT, Settings

URL_LABEL = "console.url"
SECRET = "{secret:"  # noqa: S105 -- the place for one in a label
NAMED_SECRET = re.compile(r"\{secret:([^}]+)\}")
#: Label of a service with the secret that holds the address of somebody else's server.
EXTERNAL_LABELS = {
    Role.DATABASE: "console.external.database",
    Role.BROKER: "console.external.broker",
}
PRODUCT_FILE = "docker-compose.production.yml"


class ComposeRuntime(ProductImages, KeepsLogFiles):
    """
    Replicas as containers of one compose project.

    Args:
        settings: Whose compose file: the one given, else the product's own.
        clock: Time; waiting for changes is by the engine's own events.
        daemon: The engine; None for the environment's.
        agent: Keep the resident agent running beside it.
    """

    name = "compose"

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        daemon: Daemon | None = None,
        *,
        agent: bool = True,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._daemon = daemon or Daemon()
        self._project = project_of(settings)
        self._model = ModelFile(self._project)
        self._desired = DesiredFile(self._project.state)
        self._table = ContainerTable(self._daemon, lambda: self._watcher.connected)
        self._watcher = Watcher(self._daemon, self._table, lambda: self._model.read().name)
        self._replicas = Replicas(self._project, self._daemon, self._desired)
        self._routing = Routing(self._project.state / "nginx" / "upstreams", self._daemon)
        self._page = MaintenancePage(self._project.state / "nginx" / "maintenance")
        self._statistics = Statistics(self._daemon)
        self._variables = Variables(self._project)
        self._stack = Stack(
            settings=settings,
            project=self._project,
            daemon=self._daemon,
            model=self._model,
            table=self._table,
            desired=self._desired,
            replicas=self._replicas,
            routing=self._routing,
            agent=agent,
        )
        self._looked = False

    # Observing ---------------------------------------------------------------

    def topology(self) -> Topology:
        """
        Return what should run and what runs.

        Raises:
            Unreachable: If engine or compose do not answer.
        """
        if self._looked:
            self._watcher.start()  # who looks more than once is spared most questions
        self._looked = True
        if not self._model.prepared:
            return Topology(running=False, services=())
        model = self._model.read()
        containers = self._table.read(model.name)
        wanted = self._desired.wanted_up()
        routes = self._routing.routes(model, containers)
        desired = self._desired.read()
        topology = compose_topology(model, desired, containers, routes, wanted=wanted)
        drift = drifts(self._project, model, desired, containers) if wanted else {}
        return replace(
            topology,
            services=tuple(
                replace(fact, drift=drift.get(fact.name, ())) for fact in topology.services
            ),
            maintenance=self._page.look(proxies(model, containers)),
            settings=self._variables.values(),
        )

    def describe(self, service: str) -> ServiceDescription:
        """Return everything the engine knows of *service*."""
        from console.runtimes.compose.describe import describe

        model = self._model.read()
        found = model.require(service)
        own = [c for c in self._table.read(model.name) if c.service == service]
        desired = self._desired.read() if self._desired.wanted_up() else None
        return describe(self._project, self._daemon, model, found, own, desired)

    def events(self) -> tuple[RuntimeEvent, ...]:
        """Return what the engine has told since the last call."""
        from console.runtimes.compose.event_words import event_of

        taken = self._watcher.taken()
        return tuple(event_of(event, self._model.read().name) for event in taken)

    def wait_for_change(self, timeout_seconds: float) -> bool:
        """Block until something happened to a container since the last call."""
        return self._watcher.wait(timeout_seconds)

    def stats(self, topology: Topology) -> dict[str, ReplicaStats]:
        """Return CPU and memory by replica, all processes of a container counted."""
        return self._statistics.read(
            {
                replica.id: replica.pid
                for service in topology.services
                for replica in service.replicas
                if replica.pid is not None
            }
        )

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        """Yield log lines merged in time order; the engine's time of each counts."""
        return LogReader(self._daemon.host, self._named).read(request)

    def exec(self, replica: str, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        """
        Run *command* in the container of *replica*.

        The replica's name among its words becomes the one that the container knows
        itself by, which the product's own commands ask for.
        """
        container = self._require(replica)
        if container.state != "running":
            raise Unreachable(
                f"{replica} does not run: {container.state}",
                unchanged="nothing was changed",
                remedy="fragrance status",
            )
        words = [container.known_as or word if word == replica else word for word in command]
        return execute(self._daemon, container.id, replica, words, timeout_seconds)

    def connection_url(self, service: str) -> str | None:
        """Return the URL, with credentials, that the label of *service* describes."""
        model = self._model.read()
        found = model.service(service)
        label = found.labels.get(URL_LABEL) if found is not None else None
        if found is None or label is None:
            return None
        url = _with_secrets(label, found)
        if "{address}" not in url:
            return url
        addresses = [
            address
            for container in self._table.read(model.name)
            if container.service == service and container.state == "running"
            for address in container.addresses.values()
        ]
        # Without an address nothing listens: the database's source says that it does not run.
        return url.replace("{address}", addresses[0] if addresses else "127.0.0.1")

    def external_url(self, role: Role) -> str | None:
        """Return the URL of a server that is not ours, by a label of any service."""
        label = EXTERNAL_LABELS.get(role, "")
        for service in self._model.read().services:
            if found := NAMED_SECRET.fullmatch(service.labels.get(label, "")):
                return _secret(found[1], service)
        return None

    # Starting, removing, restarting ------------------------------------------

    def replica_names(self, service: str, count: int, taken: Sequence[str]) -> list[str]:
        """Return the *count* lowest free names."""
        model = self._model.read()
        model.require(service)
        present = [name for name, _ in self._named()]
        return lowest_free_names(service, count, {*taken, *present})

    def start_replica(self, service: str, replica: str, labels: dict[str, str]) -> None:
        """Make the container, as compose would, and start it."""
        model = self._model.read()
        self._replicas.start(model, model.require(service), replica, labels, self._fresh(model))

    def start_command(self, service: str, replica: str) -> str:
        """Return the nearest command of the docker CLI."""
        name = self._model.read().name
        return f"docker create --name {name}-{replica} (as compose makes {service}); docker start"

    def remove_replica(self, replica: str, grace_seconds: float) -> None:
        """Stop and remove the container, in the background."""
        model = self._model.read()
        self._replicas.remove(model, replica, grace_seconds, self._fresh(model))

    def remove_command(self, replica: str, grace_seconds: float) -> str:
        """Return the commands of the docker CLI."""
        name = shlex.quote(f"{self._model.read().name}-{replica}")
        return f"docker stop {name}, killed after {grace_seconds:g} s; docker rm {name}"

    def restart_replica(self, replica: str, grace_seconds: float) -> None:
        """Restart the container, in the background."""
        self._replicas.restart(self._require(replica), replica, grace_seconds)

    def restart_command(self, replica: str, grace_seconds: float) -> str:
        """Return the command of the docker CLI."""
        name = shlex.quote(f"{self._model.read().name}-{replica}")
        return f"docker restart --time {grace_seconds:g} {name}"

    # Routing -----------------------------------------------------------------

    def routes(self, service: str) -> bool:
        """Whether our proxy sends requests to *service*."""
        if not self._model.prepared:
            return False
        found = self._model.read().service(service)
        return found is not None and self._routing.serves(found)

    def set_route(self, replica: str, *, member: bool) -> None:
        """Write the members, have nginx load them, and see that it did."""
        model = self._model.read()
        containers = self._fresh(model)
        names = {c.short_name(model.name): c for c in containers}
        if replica not in names and not member:
            return
        container = names.get(replica) or self._require(replica)
        service = model.require(container.service)
        self._routing.set_member(model, service, container.name, containers, member=member)

    def route_command(self, replica: str, *, member: bool) -> str:
        """Return what is done to nginx."""
        change = "add" if member else "take out"
        return f"{change} {replica} in nginx/upstreams; nginx -t; SIGHUP to nginx; prove it" + (
            "" if member else "; wait until its old workers are gone"
        )

    # Maintenance -------------------------------------------------------------

    def has_maintenance(self) -> bool:
        """Whether there is a page, and a proxy that may show it."""
        roles = {service.role for service in self._model.read().services}
        return self._page.offered and Role.PROXY in roles

    def set_maintenance(self, *, on: bool) -> None:
        """Make or remove the file that each proxy looks for at each request."""
        self._page.switch(on=on)

    def maintenance_command(self, *, on: bool) -> str:
        """Return what is done to the file."""
        return f"{'touch' if on else 'rm'} {self._page.switch_file}; ask each proxy"

    # Limits and settings -----------------------------------------------------

    def limit_settings(self, service: str) -> LimitSettings:
        """Return the variables of the compose file that give *service* its limits."""
        return self._variables.limit_settings(service)

    def set_limits(self, replica: str, limits: Limits) -> None:
        """Have the engine change them; memory and swap go together."""
        container = self._require(replica)
        resources.set_limits(self._daemon, container.id, limits)
        self._table.doubt([container.id])

    def limits_command(self, replica: str, limits: Limits) -> str:
        """Return the command of the docker CLI."""
        return resources.command(f"{self._model.read().name}-{replica}", limits)

    def settings(self) -> tuple[Setting, ...]:
        """Return the variables of the compose file, explained where they are the product's."""
        return self._variables.known()

    def concerned(self, values: Mapping[str, str | None]) -> tuple[str, ...]:
        """Return the services that compose would make anew."""
        return self._variables.concerned(values)

    def write_settings(self, values: Mapping[str, str | None]) -> None:
        """Write them, for the proxy first, which follows some of them at once."""
        if self._project.ours and not EDGE_VARIABLES.isdisjoint(values):
            self._change_edge(values)
        self._variables.write(values)

    def _change_edge(self, values: Mapping[str, str | None]) -> None:
        directory, present = self._project.state / "nginx", read_env(self._variables.file)
        write_limits(directory, {k: v for k, v in {**present, **values}.items() if v})
        try:
            model = self._model.read()
            self._routing.reload(model, self._fresh(model))
        except ConsoleError:
            write_limits(directory, present)
            raise

    def why_not_anew(self, service: str) -> str:
        """Return what would be lost with the container, or keeps it from being made again."""
        model = self._model.read()
        return why_not_anew(self._daemon, model.require(service), self._fresh(model))

    def settings_command(self, values: Mapping[str, str | None]) -> str:
        """Return what is written, and where."""
        words = ", ".join(f"{k}={v}" if v is not None else f"no {k}" for k, v in values.items())
        follows = "; nginx loads it" if not EDGE_VARIABLES.isdisjoint(values) else ""
        return f"write {words} into {self._variables.file}{follows}"

    # The whole stack ---------------------------------------------------------

    def bring_up(self, progress: Callable[[str], None]) -> None:
        """Make what is missing and start everything; see :mod:`.bring_up`."""
        bring_up(self._stack, progress)

    def wanted(self) -> bool:
        """Whether the stack was started here and not stopped since."""
        return self._desired.wanted_up()

    def take_down(self, progress: Callable[[str], None], timeout_seconds: float) -> None:
        """Stop agent and containers; containers, their logs and all data stay."""
        take_down(self._stack, progress, timeout_seconds)

    def revive(self) -> bool:
        """
        Start everything again if nothing runs though it should.

        Single containers are the engine's affair, by their restart policy.
        """
        if not self._desired.wanted_up() or not self._model.prepared:
            return False
        if self._stack.agent:
            start_keeper(self._settings.state, self._settings.file)
        model = self._model.read()
        containers = self._table.read(model.name)
        self._replicas.finish_removals(containers)
        if not containers or any(c.alive or c.state == "created" for c in containers):
            return False
        return start_again(self._stack)

    # -------------------------------------------------------------------------

    def _fresh(self, model: Model) -> list[Container]:
        """Return the containers as they are now, whatever events are still on their way."""
        self._table.doubt_all()
        return self._table.read(model.name)

    def _named(self) -> list[tuple[str, Container]]:
        model = self._model.read()
        return [(c.short_name(model.name), c) for c in self._table.read(model.name)]

    def _require(self, replica: str) -> Container:
        for name, container in self._named():
            if name == replica:
                return container
        raise UsageError(
            f"there is no replica {replica!r}",
            unchanged="nothing was changed",
            remedy="fragrance status",
        )


def project_of(settings: Settings) -> ComposeProject:
    """Return the project that is meant: the file given, else the product's own."""
    own = PROJECT / "compose" / PRODUCT_FILE
    file = settings.file or own
    return ComposeProject(
        files=(file.absolute(),), state=settings.state / "compose", ours=file.absolute() == own
    )


def _with_secrets(label: str, service: ServiceModel) -> str:
    """
    Return *label* with the contents of the secrets it names.

    Raises:
        Unreachable: If one cannot be read.
    """
    url = label
    while SECRET in url:
        before, _, rest = url.partition(SECRET)
        name, _, after = rest.partition("}")
        url = f"{before}{quote(_secret(name, service), safe='')}{after}"
    return url


def _secret(name: str, service: ServiceModel) -> str:
    try:
        return Path(service.secrets.get(name, "")).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unreachable(
            f"the secret {name} of {service.name} cannot be read: {error.strerror}",
            remedy="see secrets: in the compose file",
        ) from error
