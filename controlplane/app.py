"""The leader, put together: every room gets what it needs here, and every loop runs in one TaskGroup.

If a loop dies the process dies loudly; the parent starts it again, and engines and agents do not notice.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from operator import attrgetter

from controlplane.api.app import build_api
from controlplane.api.services import Services
from controlplane.cluster.install import ensure_demo_model
from controlplane.cluster.join import JoinTokens
from controlplane.cluster.operations import Operations
from controlplane.cluster.state import ClusterState
from controlplane.cluster.store import Cluster
from controlplane.cluster.views import models
from controlplane.egress.registry import Vendors, vendors_of
from controlplane.egress.troubles import Troubles
from controlplane.gateway.access import Authenticator
from controlplane.gateway.call import Calls
from controlplane.gateway.chain import Chain
from controlplane.gateway.counting import Counter
from controlplane.gateway.dispatch import Dispatcher
from controlplane.gateway.forward import Forwarder
from controlplane.gateway.listener import Listener
from controlplane.gateway.pipeline import Pipeline
from controlplane.gateway.plane import DataPlane
from controlplane.gateway.questions import Questions
from controlplane.gateway.vendor_counting import VendorCounter
from controlplane.gateway.vendor_forward import VendorForwarder
from controlplane.gauges import set_gauges
from controlplane.live import LiveCalls
from controlplane.routing.slots import Slots
from controlplane.routing.table import RoutingTable, VendorRoutes, build_table
from controlplane.scheduler.loop import Scheduler
from controlplane.store.cluster import ClusterTables
from controlplane.store.db import open_database
from controlplane.store.meta import MetaTable
from controlplane.tenants.audit import Audit
from controlplane.tenants.keyring import Keyring
from controlplane.tenants.ledger import Ledger
from controlplane.tenants.meter import Meter
from controlplane.tenants.usage import Usage
from flockpy.catalog import folders, load_vendors, shipped_chains
from flockpy.clock import Clock
from flockpy.config import Router, chains_of, names_in, split_listen
from flockpy.http import Client, Outbox, Proxies
from flockpy.ids import Entropy
from flockpy.paths import DataDir
from flockpy.security import write_private
from flockpy.settings import Settings
from flockpy.telemetry.metrics import Metrics

SILENCE_S = 1.0
"""How often a silent engine's client is looked after; what it is sent then is the reply's business."""
CANCEL_S = 2.0
VENDOR_CONNECT_S = 10.0
"""For a connection across the internet, its TLS included."""


async def serve(
    settings: Settings,
    clock: Clock,
    entropy: Entropy,
    *,
    proxies: Proxies,
    version: str,
    stop: asyncio.Event,
) -> None:
    """Run the leader until `stop` is set and its last requests have ended. `proxies` stand before vendors.

    Raises StartError.
    """
    config, data = settings.config, settings.data
    database = await open_database(data.database, data.backups, clock)
    client = Client(silence_s=SILENCE_S)
    vendor_client = Client(connect_s=VENDOR_CONNECT_S, silence_s=SILENCE_S, proxies=proxies)
    ledger = Ledger(database, data.journal)
    try:
        await ledger.recover()
        keyring = Keyring(database, clock, entropy)
        await keyring.load()
        await ensure_admin_key(keyring, data)
        meter = Meter(ledger, database, clock)
        await meter.load()
        cluster = await Cluster.open(ClusterTables(database), clock, entropy)
        meta = MetaTable(database)
        joins = await JoinTokens.open(meta, clock, entropy)
        joins.mint_local(data)

        places = folders(config.catalog_dir)
        vendors = Vendors(
            vendors_of(config.router.fallback),
            load_vendors(places),
            names_in(config.router.fallback.models),
            config.router.fallback.vertex_location,
        )
        current = CurrentTable(cluster, config.router, vendors)
        table: Callable[[], RoutingTable] = partial(
            attrgetter("now"), current
        )  # no frame of ours, thrice a request
        slots = Slots(table, depth=config.limits.queue_depth)
        cluster.subscribe(current.rebuild)
        cluster.subscribe(lambda _: slots.table_changed())
        metrics, calls = Metrics(version), Calls()
        metrics.on_scrape(lambda: set_gauges(metrics, cluster.state, slots, ledger.degraded))
        dispatcher = Dispatcher(
            config=config,
            table=table,
            slots=slots,
            forwarder=Forwarder(client, clock),
            raise_demand=cluster.raise_demand,
            clock=clock,
        )
        troubles = Troubles(clock)
        vendor_forwarder = VendorForwarder(vendor_client, vendors.by_name, troubles, clock)
        services = Services(
            settings=settings,
            cluster=cluster,
            vendors=tuple(vendors.by_name),
            troubles=troubles,
            table=table,
            operations=Operations(cluster),
            keyring=keyring,
            join_tokens=joins,
            audit=Audit(database, clock),
            ledger=ledger,
            usage=Usage(database, clock),
            requests=LiveCalls(calls, clock),
            clock=clock,
            entropy=entropy,
            version=version,
            started_at=clock.wall(),
            store_trouble=database.trouble,
            metrics=metrics.render,
        )
        plane = DataPlane(
            pipeline=Pipeline(
                table=table,
                dispatcher=dispatcher,
                vendors=vendor_forwarder,
                chain=Chain(
                    table=table,
                    dispatcher=dispatcher,
                    vendors=vendor_forwarder,
                    configured=chains_of(config.router.fallback),
                    shipped=shipped_chains(places),
                    timeout_s=config.router.fallback.timeout_seconds,
                    slow_s=config.router.latency_fallback_p95_seconds,
                    metrics=metrics,
                    clock=clock,
                ),
                meter=meter,
                calls=calls,
                metrics=metrics,
                clock=clock,
                unmended=frozenset(config.router.unmended_models.split()),
            ),
            questions=Questions(
                table=table,
                installed=lambda: models(cluster.state),
                counter=Counter(client, VendorCounter(vendor_client, vendors.by_name), table, metrics),
            ),
            authenticate=Authenticator(keyring, require_keys=config.auth.require_keys),
            limits=config.limits,
            metrics=metrics,
            clock=clock,
            entropy=entropy,
        )
        answers = Outbox(before=ledger.flush)  # who has an answer has a record of it, whatever dies then
        listener = Listener(build_api(services), plane, config.limits, answers, clock)
        scheduler = Scheduler(cluster, config, lambda: slots.idle(asyncio.get_running_loop().time()))
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(ledger.run()), group.create_task(scheduler.run())]
            loops.append(group.create_task(ensure_demo_model(cluster, meta)))
            await listener.open(*split_listen(config.listen))
            await stop.wait()
            plane.draining = True
            cluster.close()
            await ended(calls, config.limits.shutdown_seconds)
            await listener.close()
            for loop in loops:
                loop.cancel()
    finally:
        await ledger.stop()
        await client.close()
        await vendor_client.close()
        await database.close()


class CurrentTable:
    """`now` is the routing table: rebuilt when the cluster's picture changes, swapped by one reference."""

    def __init__(self, cluster: Cluster, config: Router, vendors: VendorRoutes) -> None:
        self._config = config
        self._vendors = vendors
        self.rebuild(cluster.state)

    def rebuild(self, state: ClusterState) -> None:
        self.now = build_table(state, self._config.default_model, self._config.aliases, self._vendors)


async def ensure_admin_key(keyring: Keyring, data: DataDir) -> None:
    """On the first start: an admin key, its plaintext left for the command line of this machine (0600)."""
    if not any(key.scope == "admin" and key.revoked_at is None for key in keyring.list()):
        _, plaintext = await keyring.create("admin", "admin")
        write_private(data.admin_key, plaintext + "\n")


async def ended(calls: Calls, within: float) -> None:
    """Return when no request is in flight any more; those that still are after `within` seconds are cancelled."""
    with suppress(TimeoutError):
        await asyncio.wait_for(calls.none_left(), within)
    for call in calls.live():
        call.cancel("the shutdown")
    with suppress(TimeoutError):
        await asyncio.wait_for(calls.none_left(), CANCEL_S)
