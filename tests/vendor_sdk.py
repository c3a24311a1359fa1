#!/usr/bin/env python3
"""Drives the simulated cloud with the vendor's own SDK, through every call it offers.

Needs huaweicloudsdkcore, -elb, -dns, -eip and -iam from PyPI. Starts the program named by
POINTSMAN_SIMULATED_CLOUD (the example `simulated_cloud`), or, when POINTSMAN_SIMULATED_CLOUD_JSON is set, takes a
running one from the line of JSON it printed. Prints what it checked; exits 0 when all of it held, else 1.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request

from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.auth.internal import MetadataAccessor
from huaweicloudsdkcore.auth.provider import MetadataCredentialProvider
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkdns.v2 import (
    CreateRecordSetRequest, CreateRecordSetRequestBody, CreateRecordSetWithLineRequest,
    CreateRecordSetWithLineRequestBody, DeleteRecordSetRequest, DnsClient, ListPrivateZonesRequest,
    ListPublicZonesRequest, ListRecordSetsByZoneRequest, ListRecordSetsRequest, ListRecordSetsWithLineRequest,
    SetRecordSetsStatusRequest, SetRecordSetsStatusRequestBody, ShowPrivateZoneRequest, ShowRecordSetByZoneRequest,
    ShowRecordSetRequest, Tag, UpdateRecordSetReq, UpdateRecordSetRequest, UpdateRecordSetsReq,
    UpdateRecordSetsRequest,
)
from huaweicloudsdkeip.v2 import EipClient as EipClientV2
from huaweicloudsdkeip.v2 import ListPublicipsRequest as ListPublicipsV1Request
from huaweicloudsdkeip.v2 import ShowPublicipRequest as ShowPublicipV1Request
from huaweicloudsdkeip.v3 import (
    AssociatePublicipsOption, AssociatePublicipsRequest, AssociatePublicipsRequestBody,
    DisassociatePublicipsRequest, EipClient, ListPublicipsRequest, ShowPublicipRequest,
)
from huaweicloudsdkelb.v3 import (
    ElbClient, ListAllMembersRequest, ListHealthMonitorsRequest, ListListenersRequest, ListLoadBalancersRequest,
    ListMembersRequest, ListPoolsRequest, ShowHealthMonitorRequest, ShowListenerRequest, ShowLoadBalancerRequest,
    ShowLoadBalancerStatusRequest, ShowPoolRequest,
)
from huaweicloudsdkiam.v3 import IamClient, KeystoneListAuthDomainsRequest, KeystoneListProjectsRequest

SETTLE_DEADLINE_S = 10


class Failed(Exception):
    """Something was not as it must be."""


def check(what, condition, seen=None):
    """Says what holds; stops at the first thing that does not."""
    if not condition:
        raise Failed(f"{what}; seen: {seen}")
    print(f"ok  {what}")


def refused(what, call, status, code=None):
    """The call must be refused with this status, and this code if one is given."""
    try:
        answer = call()
    except exceptions.ServiceResponseException as refusal:
        held = refusal.status_code == status and code in (None, refusal.error_code) and refusal.error_msg
        check(f"{what}: {status} {refusal.error_code}", held, refusal)
        return refusal
    raise Failed(f"{what}: not refused; seen: {answer}")


class Clients:
    """The SDK's clients for one project."""

    def __init__(self, about, project_id, access_key=None, secret_key=None, credentials=None):
        keys = credentials or BasicCredentials(
            access_key or about["access_key"], secret_key or about["secret_key"], project_id)
        config = HttpConfig.get_default_config()
        config.retry_times = 0

        def build(client):
            return client.new_builder().with_http_config(config).with_credentials(keys) \
                .with_endpoint(about["endpoint"]).build()

        self.elb = build(ElbClient)
        self.eip = build(EipClient)
        self.eip_v1 = build(EipClientV2)
        self.dns = build(DnsClient)


def iam_client(about):
    """IAM is a global service: its keys name the account."""
    keys = GlobalCredentials(about["access_key"], about["secret_key"], "0" * 32)
    return IamClient.new_builder().with_credentials(keys).with_endpoint(about["endpoint"]).build()


def control(about, method, path, body=None):
    """Turns a switch of the simulated cloud."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(about["endpoint"] + path, data=data, method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def projects(about):
    client = iam_client(about)
    every = client.keystone_list_projects(KeystoneListProjectsRequest())
    expected = {region["cloud_region"]: region["project_id"] for region in about["regions"]}
    check("IAM lists a project a cloud region", {p.name: p.id for p in every.projects} == expected, every)
    one = client.keystone_list_projects(KeystoneListProjectsRequest(name=about["regions"][0]["cloud_region"]))
    check("IAM finds a region's project by name",
          [p.id for p in one.projects] == [about["regions"][0]["project_id"]] and one.projects[0].enabled, one)
    none = client.keystone_list_projects(KeystoneListProjectsRequest(name="no-such-1"))
    check("IAM answers an unknown name with an empty list", none.projects == [], none)
    domains = client.keystone_list_auth_domains(KeystoneListAuthDomainsRequest())
    check("IAM names the account", len(domains.domains) == 1 and domains.domains[0].enabled, domains)


def load_balancers(about, clients):
    region = about["regions"][0]
    elb = clients.elb
    shown = elb.show_load_balancer(ShowLoadBalancerRequest(loadbalancer_id=region["elb"])).loadbalancer
    check("ELB shows a load balancer with its EIP, told twice",
          [e.eip_address for e in shown.eips] == [region["eip"]]
          and [p.publicip_address for p in shown.publicips] == [region["eip"]], shown)
    check("ELB tells its states", (shown.provisioning_status, shown.operating_status, shown.admin_state_up)
          == ("ACTIVE", "ONLINE", True), shown)
    listed = elb.list_load_balancers(ListLoadBalancersRequest(id=[region["elb"], "0" * 36]))
    check("ELB lists by id what is there", [b.id for b in listed.loadbalancers] == [region["elb"]], listed)
    check("ELB's last page names no next marker", listed.page_info.next_marker is None, listed.page_info)

    listeners = elb.list_listeners(ListListenersRequest(loadbalancer_id=[region["elb"]])).listeners
    check("ELB lists two listeners", len(listeners) == 2, listeners)
    listeners = elb.list_listeners(ListListenersRequest(
        loadbalancer_id=[region["elb"]], protocol_port=[str(region["listener_port"])])).listeners
    check("ELB finds the listener of a port",
          [ell.protocol_port for ell in listeners] == [region["listener_port"]], listeners)
    listener = elb.show_listener(ShowListenerRequest(listener_id=listeners[0].id)).listener
    check("ELB shows a listener", listener.id == listeners[0].id
          and listener.loadbalancers[0].id == region["elb"], listener)

    pools = elb.list_pools(ListPoolsRequest(listener_id=[listener.id])).pools
    default = [pool for pool in pools if pool.id == listener.default_pool_id]
    check("ELB's pools of a listener are the default pool and the policy's", (len(pools), len(default)) == (2, 1),
          pools)
    check("ELB's second pool does not name the listener",
          [pool.listeners for pool in pools if pool.id != listener.default_pool_id] == [[]], pools)
    pool = elb.show_pool(ShowPoolRequest(pool_id=default[0].id)).pool
    check("ELB shows a pool", pool.id == default[0].id and pool.healthmonitor_id, pool)

    every = elb.list_all_members(ListAllMembersRequest(pool_id=[pool.id for pool in pools])).members
    check("ELB lists the members of several pools at once",
          len(every) == region["members"] and {m.operating_status for m in every} == {"ONLINE"}, every)
    check("ELB tells each member's state for the listener",
          all([s.operating_status for s in m.status if s.listener_id == listener.id] == ["ONLINE"]
              for m in every), every)
    ids, marker = [], None
    for _ in range(len(every) + 1):
        page = elb.list_all_members(ListAllMembersRequest(loadbalancer_id=[region["elb"]], limit=1, marker=marker))
        ids += [m.id for m in page.members]
        marker = page.page_info.next_marker
        if marker is None:
            break
    check("ELB's pages of one follow each other to the end", ids == [m.id for m in every], ids)
    refused("ELB refuses a marker that names nothing",
            lambda: elb.list_all_members(ListAllMembersRequest(marker="nothing")), 400)
    of_pool = elb.list_members(ListMembersRequest(pool_id=pool.id)).members
    check("ELB lists one pool's members",
          {m.id for m in of_pool} == {m.id for m in pool.members} and len(of_pool) > 0, of_pool)

    monitor = elb.show_health_monitor(ShowHealthMonitorRequest(healthmonitor_id=pool.healthmonitor_id)).healthmonitor
    check("ELB shows a health monitor", 1 <= monitor.delay <= 50 and 1 <= monitor.max_retries_down <= 10, monitor)
    monitors = elb.list_health_monitors(ListHealthMonitorsRequest()).healthmonitors
    check("ELB lists health monitors", len(monitors) == 2, monitors)
    tree = elb.show_load_balancer_status(ShowLoadBalancerStatusRequest(loadbalancer_id=region["elb"]))
    tree = tree.statuses.loadbalancer
    check("ELB's status tree holds listeners, pools and members",
          tree.operating_status == "ONLINE" and len(tree.listeners) == 2
          and sum(len(p.members) for p in tree.pools) == region["members"]
          and tree.pools[0].healthmonitor.id == pool.healthmonitor_id
          and tree.listeners[0].l7policies[0].action == "REDIRECT_TO_POOL", tree)
    gone = refused("ELB does not know another project's load balancer", lambda: elb.show_load_balancer(
        ShowLoadBalancerRequest(loadbalancer_id=about["regions"][1]["elb"])), 404, "ELB.8904")
    check("an error names its request", bool(gone.request_id), gone)
    return listener, pools


def members_offline(about, clients, listener, pools):
    region = about["regions"][0]
    control(about, "POST", f"/sim/regions/{region['name']}", {"members_alive": 0})
    request = ListAllMembersRequest(pool_id=[pool.id for pool in pools])
    members = wait("ELB notices dead members", lambda: clients.elb.list_all_members(request).members,
                   lambda members: {m.operating_status for m in members} == {"OFFLINE"})
    check("ELB gives the reason", members[0].status[0].reason.reason_code == "CONNECT_REFUSED"
          and members[0].status[0].listener_id == listener.id, members[0])
    tree = clients.elb.show_load_balancer_status(ShowLoadBalancerStatusRequest(loadbalancer_id=region["elb"]))
    check("ELB's status tree says DEGRADED", tree.statuses.loadbalancer.operating_status == "DEGRADED", tree)
    control(about, "POST", f"/sim/regions/{region['name']}", {"members_alive": region["members"]})
    wait("ELB notices that they are back", lambda: clients.elb.list_all_members(request).members,
         lambda members: {m.operating_status for m in members} == {"ONLINE"})


def public_addresses(about, clients):
    region = about["regions"][0]
    eip = clients.eip
    found = eip.list_publicips(ListPublicipsRequest(public_ip_address=[region["eip"]]))
    check("EIP finds an address", found.total_count == 1 and found.publicips[0].status == "ELB"
          and found.publicips[0].associate_instance_id == region["elb"], found)
    found = eip.list_publicips(ListPublicipsRequest(
        associate_instance_type=["ELB"], associate_instance_id=[region["elb"]], limit=200))
    check("EIP finds what is bound to a load balancer",
          [p.public_ip_address for p in found.publicips] == [region["eip"]]
          and found.page_info.next_marker is None, found)
    public = found.publicips[0]
    shown = eip.show_publicip(ShowPublicipRequest(publicip_id=public.id)).publicip
    check("EIP shows one", shown.vnic.instance_id == region["elb"], shown)
    older = clients.eip_v1.list_publicips(ListPublicipsV1Request()).publicips
    check("EIP's older form tells the same", [(p.public_ip_address, p.status) for p in older]
          == [(region["eip"], "ELB")], older)
    older = clients.eip_v1.show_publicip(ShowPublicipV1Request(publicip_id=public.id)).publicip
    check("EIP's older form shows one", older.private_ip_address is not None, older)

    done = eip.disassociate_publicips(DisassociatePublicipsRequest(publicip_id=public.id)).publicip
    check("EIP is unbound", (done.status, done.associate_instance_id) == ("DOWN", None), done)
    shown = clients.elb.show_load_balancer(ShowLoadBalancerRequest(loadbalancer_id=region["elb"])).loadbalancer
    check("ELB has no EIP any more", (shown.eips, shown.publicips) == ([], []), shown)
    none = eip.list_publicips(ListPublicipsRequest(associate_instance_id=[region["elb"]]))
    check("EIP finds nothing bound to it", (none.publicips, none.total_count) == ([], 0), none)
    refused("EIP refuses to unbind what is not bound", lambda: eip.disassociate_publicips(
        DisassociatePublicipsRequest(publicip_id=public.id)), 409)
    body = AssociatePublicipsRequestBody(publicip=AssociatePublicipsOption(
        associate_instance_type="ELB", associate_instance_id=region["elb"]))
    request = AssociatePublicipsRequest(publicip_id=public.id, body=body)
    done = eip.associate_publicips(request).publicip
    check("EIP is bound again", (done.status, done.associate_instance_id) == ("ELB", region["elb"]), done)
    refused("EIP refuses to bind twice", lambda: eip.associate_publicips(request), 409)
    refused("EIP does not know an unknown id",
            lambda: eip.show_publicip(ShowPublicipRequest(publicip_id="0" * 36)), 404)

    control(about, "POST", f"/sim/regions/{region['name']}", {"eip": "127.0.1.11"})
    ids, marker = [], None
    for _ in range(3):
        page = eip.list_publicips(ListPublicipsRequest(limit=1, marker=marker))
        ids += [p.public_ip_address for p in page.publicips]
        marker = page.page_info.next_marker
        if marker is None:
            break
    check("EIP's pages of one follow each other to the end", sorted(ids) == ["127.0.1.10", "127.0.1.11"], ids)
    shown = clients.elb.show_load_balancer(ShowLoadBalancerRequest(loadbalancer_id=region["elb"])).loadbalancer
    check("ELB has the new EIP", [e.eip_address for e in shown.eips] == ["127.0.1.11"], shown)
    control(about, "POST", f"/sim/regions/{region['name']}", {"eip": region["eip"]})


def zones(about, clients):
    dns = clients.dns
    found = dns.list_private_zones(ListPrivateZonesRequest(type="private", name=about["zone"])).zones
    check("DNS finds zones of a like name too", len(found) == 2, found)
    found = dns.list_private_zones(ListPrivateZonesRequest(
        type="private", name=about["zone"], search_mode="equal")).zones
    check("DNS finds the zone of exactly that name", [z.id for z in found] == [about["zone_id"]]
          and found[0].status == "ACTIVE" and found[0].proxy_pattern == "AUTHORITY", found)
    router = found[0].routers[0].router_id
    by_vpc = dns.list_private_zones(ListPrivateZonesRequest(type="private", router_id=router)).zones
    check("DNS finds zones by VPC", about["zone_id"] in [z.id for z in by_vpc], by_vpc)
    none = dns.list_private_zones(ListPrivateZonesRequest(type="private", router_id="0" * 36)).zones
    check("DNS finds none in another VPC", none == [], none)
    public = dns.list_public_zones(ListPublicZonesRequest(name=about["zone"], search_mode="equal")).zones
    check("DNS keeps public and private zones apart", len(public) == 1 and public[0].id != about["zone_id"], public)
    shown = dns.show_private_zone(ShowPrivateZoneRequest(zone_id=about["zone_id"]))
    check("DNS shows a zone", shown.name == about["zone"], shown)
    other = Clients(about, about["regions"][1]["project_id"]).dns
    none = other.list_private_zones(ListPrivateZonesRequest(type="private")).zones
    check("DNS of another region does not know the zone", none == [], none)
    return public[0].id


def record_sets(about, clients):
    dns, zone = clients.dns, about["zone_id"]

    def show(set_id):
        return dns.show_record_set(ShowRecordSetRequest(zone_id=zone, recordset_id=set_id))

    found = dns.list_record_sets_by_zone(ListRecordSetsByZoneRequest(
        zone_id=zone, type="A", name=about["record"])).recordsets
    check("DNS finds record sets of a like name too", len(found) == 2, found)
    found = dns.list_record_sets_by_zone(ListRecordSetsByZoneRequest(
        zone_id=zone, type="A", name=about["record"], search_mode="equal")).recordsets
    check("DNS finds the record set of exactly that name and type",
          [(s.id, s.status, s.records) for s in found]
          == [(about["record_id"], "ACTIVE", about["zone_values"])], found)
    every = dns.list_record_sets_by_zone(ListRecordSetsByZoneRequest(zone_id=zone))
    check("DNS counts the whole zone", every.metadata.total_count == len(every.recordsets) > 3, every)
    check("DNS marks what it made itself", [s.type for s in every.recordsets if s.default] == ["SOA", "NS"], every)
    ids, marker = [], None
    for _ in range(len(every.recordsets)):
        page = dns.list_record_sets_by_zone(ListRecordSetsByZoneRequest(zone_id=zone, limit=2, marker=marker))
        ids += [s.id for s in page.recordsets]
        if page.links.next is None:
            break
        marker = page.recordsets[-1].id
        check("DNS links to the next page", f"marker={marker}" in page.links.next, page.links)
    check("DNS's pages follow each other to the end", ids == [s.id for s in every.recordsets], ids)
    page = dns.list_record_sets_by_zone(ListRecordSetsByZoneRequest(zone_id=zone, limit=2, offset=1))
    check("DNS pages by offset", [s.id for s in page.recordsets] == ids[1:3], page)
    account_wide = dns.list_record_sets(ListRecordSetsRequest(zone_type="private", type="A")).recordsets
    check("DNS lists over all private zones", about["record_id"] in [s.id for s in account_wide], account_wide)

    body = CreateRecordSetRequestBody(name="new.localdev.me.", type="A", records=["198.51.100.1"],
                                      description="made here", tags=[Tag(key="owner", value="sdk")])
    request = CreateRecordSetRequest(zone_id=zone, body=body)
    stuck = {"api": "dns", "times": 1, "effect": {"kind": "stuck-pending", "in_force": False}}
    control(about, "POST", "/sim/faults", stuck)
    made = dns.create_record_set(request)
    check("DNS accepts a new record set: PENDING_CREATE, default TTL",
          (made.status, made.ttl, made.description) == ("PENDING_CREATE", 300, "made here"), made)
    refused("DNS refuses a write while one is pending", lambda: dns.update_record_set(UpdateRecordSetRequest(
        zone_id=zone, recordset_id=made.id, body=UpdateRecordSetReq(ttl=60))), 409, "DNS.0312")
    control(about, "DELETE", "/sim/faults")
    wait("DNS puts it in force: ACTIVE", lambda: show(made.id), lambda s: s.status == "ACTIVE")
    refused("DNS refuses a second one of that name and type", lambda: dns.create_record_set(request), 409)

    changed = dns.update_record_set(UpdateRecordSetRequest(zone_id=zone, recordset_id=made.id, body=UpdateRecordSetReq(
        name="new.localdev.me.", type="A", ttl=30, records=["198.51.100.1", "198.51.100.2"])))
    check("DNS accepts an update: PENDING_UPDATE, the new values shown",
          (changed.status, changed.ttl, changed.records) == ("PENDING_UPDATE", 30, ["198.51.100.1", "198.51.100.2"]),
          changed)
    wait("DNS puts it in force: ACTIVE", lambda: show(made.id), lambda s: s.status == "ACTIVE")
    kept = show(made.id)
    check("DNS keeps what an update leaves out", kept.description == "made here", kept)
    dns.update_record_set(UpdateRecordSetRequest(
        zone_id=zone, recordset_id=made.id, body=UpdateRecordSetReq(description="ours")))
    kept = wait("DNS settles once more", lambda: show(made.id), lambda s: s.status == "ACTIVE")
    check("DNS keeps values and TTL too", (kept.records, kept.ttl, kept.description)
          == (["198.51.100.1", "198.51.100.2"], 30, "ours"), kept)

    def update(**fields):
        return lambda: dns.update_record_set(UpdateRecordSetRequest(
            zone_id=zone, recordset_id=made.id, body=UpdateRecordSetReq(**fields)))

    refused("DNS refuses an empty list", update(records=[]), 400)
    refused("DNS refuses a value twice", update(records=["198.51.100.1", "198.51.100.1"]), 400)
    refused("DNS refuses what is no address", update(records=["not an address"]), 400)
    refused("DNS refuses more values than a set may hold", update(records=[f"10.0.0.{n}" for n in range(51)]), 400)
    refused("DNS refuses a TTL of 0", update(ttl=0), 400)
    refused("DNS refuses another type", update(type="AAAA", records=["2001:db8::1"]), 400)
    check("DNS changed nothing by what it refused", show(made.id).records == ["198.51.100.1", "198.51.100.2"])
    refused("DNS refuses a name outside the zone", lambda: dns.create_record_set(CreateRecordSetRequest(
        zone_id=zone, body=CreateRecordSetRequestBody(name="a.example.com.", type="A", records=["10.0.0.1"]))), 400)
    soa = next(s for s in every.recordsets if s.type == "SOA")
    refused("DNS does not let its own record sets be changed", lambda: dns.update_record_set(UpdateRecordSetRequest(
        zone_id=zone, recordset_id=soa.id, body=UpdateRecordSetReq(ttl=60))), 403)

    dns.delete_record_set(DeleteRecordSetRequest(zone_id=zone, recordset_id=made.id))
    deadline = time.monotonic() + SETTLE_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            show(made.id)
        except exceptions.ServiceResponseException as refusal:
            check("DNS forgets a deleted record set", (refusal.status_code, refusal.error_code)
                  == (404, "DNS.0313"), refusal)
            break
        time.sleep(0.05)
    else:
        raise Failed("DNS never forgot a deleted record set")
    refused("DNS does not know an unknown zone", lambda: dns.show_record_set(
        ShowRecordSetRequest(zone_id="0" * 32, recordset_id=made.id)), 404, "DNS.0302")


def weighted_record_sets(about, clients, public_zone):
    dns = clients.dns

    def create(values, weight):
        return dns.create_record_set_with_line(CreateRecordSetWithLineRequest(
            zone_id=public_zone, body=CreateRecordSetWithLineRequestBody(
                name=about["record"], type="A", ttl=30, records=values, weight=weight)))

    def of_name():
        return dns.show_record_set_by_zone(ShowRecordSetByZoneRequest(
            zone_id=public_zone, type="A", name=about["record"], search_mode="equal", line_id="default_view")).recordsets

    first, second = create(["198.51.100.10"], 90), create(["203.0.113.20"], 10)
    check("DNS v2.1 accepts sets of one name with weights",
          (first.status, first.line, first.weight, second.weight) == ("PENDING_CREATE", "default_view", 90, 10), first)
    wait("DNS v2.1 puts both in force", of_name, lambda sets: {s.status for s in sets} == {"ACTIVE"})
    changed = dns.update_record_sets(UpdateRecordSetsRequest(
        zone_id=public_zone, recordset_id=first.id, body=UpdateRecordSetsReq(
            name=about["record"], type="A", ttl=30, records=["198.51.100.10"], weight=0)))
    check("DNS v2.1 sets a weight to 0", (changed.weight, changed.status) == (0, "PENDING_UPDATE"), changed)
    wait("DNS v2.1 puts it in force", of_name, lambda sets: {s.status for s in sets} == {"ACTIVE"})
    off = dns.set_record_sets_status(SetRecordSetsStatusRequest(
        recordset_id=first.id, body=SetRecordSetsStatusRequestBody(status="DISABLE")))
    check("DNS v2.1 takes a set out of service", off.status == "PENDING_DISABLE", off)
    wait("DNS v2.1 says DISABLE", of_name, lambda sets: {s.status for s in sets} == {"ACTIVE", "DISABLE"})
    everywhere = dns.list_record_sets_with_line(ListRecordSetsWithLineRequest(
        zone_type="public", type="A", name=about["record"], search_mode="equal")).recordsets
    check("DNS v2.1 lists over all public zones", {s.id for s in everywhere} == {first.id, second.id}, everywhere)


def keys(about, clients):
    region = about["regions"][0]
    wrong = Clients(about, region["project_id"], secret_key="wrong")
    unknown = Clients(about, region["project_id"], access_key="UNKNOWN")
    for name, other in (("a wrong secret key", wrong), ("an unknown access key", unknown)):
        refused(f"ELB refuses {name}", lambda: other.elb.list_load_balancers(ListLoadBalancersRequest()), 401,
                "APIGW.0301")
        refused(f"EIP refuses {name}", lambda: other.eip.list_publicips(ListPublicipsRequest()), 401, "APIGW.0301")
        refused(f"DNS refuses {name}", lambda: other.dns.list_private_zones(ListPrivateZonesRequest()), 401,
                "APIGW.0301")
    stranger = Clients(about, "0" * 32)
    refused("ELB refuses a project that is not ours",
            lambda: stranger.elb.list_load_balancers(ListLoadBalancersRequest()), 403)

    found = BasicCredentials(about["access_key"], about["secret_key"]).with_iam_endpoint(about["endpoint"])
    client = ElbClient.new_builder().with_credentials(found).with_region(
        Region(region["cloud_region"], about["endpoint"])).build()
    listed = client.list_load_balancers(ListLoadBalancersRequest()).loadbalancers
    check("the SDK looks the project up by itself", [b.id for b in listed] == [region["elb"]], listed)


def temporary_keys(about):
    region = about["regions"][0]
    # The SDK knows one address for the metadata service; nothing but its attribute leads elsewhere.
    MetadataAccessor._METADATA_ENDPOINT = about["endpoint"]

    def listed(credentials):
        elb = Clients(about, region["project_id"], credentials=credentials).elb
        return [b.id for b in elb.list_load_balancers(ListLoadBalancersRequest()).loadbalancers]

    held = MetadataCredentialProvider.get_basic_credential_metadata_provider().get_credentials()
    held.project_id = region["project_id"]
    check("the metadata service hands out temporary keys", held.security_token and held.ak != about["access_key"])
    check("temporary keys are accepted", listed(held) == [region["elb"]])
    control(about, "POST", "/sim/forget-tokens")
    held.update_security_token_from_metadata()
    check("a new metadata token is handed out when the old one is forgotten", listed(held) == [region["elb"]])
    forged = BasicCredentials(held.ak, held.sk, region["project_id"]).with_security_token("forged")
    refused("temporary keys need their token", lambda: listed(forged), 401, "APIGW.0301")


def faults(about, clients):
    def with_fault(fault):
        control(about, "POST", "/sim/faults", fault)

    def members():
        return clients.elb.list_all_members(ListAllMembersRequest())

    with_fault({"api": "elb", "times": 1, "effect": {"kind": "error", "status": 500}})
    refused("a fault: 500", members, 500)
    with_fault({"api": "elb", "times": 1, "effect": {"kind": "error", "status": 403}})
    refused("a fault: 403", members, 403, "PAP5.0011")
    with_fault({"api": "elb", "times": 1, "effect": {"kind": "throttle", "retry_after": 1}})
    try:
        members()
        raise Failed("a throttle was not felt")
    except exceptions.ServiceResponseException as refusal:
        check("a fault: 429", refusal.status_code == 429, refusal)
    with_fault({"api": "elb", "times": 1, "effect": {"kind": "closed"}})
    try:
        members()
        raise Failed("a closed connection was not felt")
    except exceptions.SdkException:
        check("a fault: the connection closes", True)
    with_fault({"api": "elb", "times": 1, "effect": {"kind": "truncated"}})
    check("a fault: truncated JSON, which the SDK takes for an empty answer", members().members is None)
    check("faults that are used up are over", len(members().members) == about["regions"][0]["members"])


def wait(what, look, condition):
    """Looks again until the condition holds; says what was waited for."""
    deadline = time.monotonic() + SETTLE_DEADLINE_S
    while True:
        seen = look()
        if condition(seen):
            print(f"ok  {what}")
            return seen
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {SETTLE_DEADLINE_S} s; seen: {seen}")
        time.sleep(0.05)


def everything(about):
    clients = Clients(about, about["regions"][0]["project_id"])
    projects(about)
    listener, pools = load_balancers(about, clients)
    members_offline(about, clients, listener, pools)
    public_addresses(about, clients)
    public_zone = zones(about, clients)
    record_sets(about, clients)
    weighted_record_sets(about, clients, public_zone)
    keys(about, clients)
    temporary_keys(about)
    faults(about, clients)


def main():
    told = os.environ.get("POINTSMAN_SIMULATED_CLOUD_JSON")
    program = os.environ.get("POINTSMAN_SIMULATED_CLOUD")
    if not told and not program:
        print("set POINTSMAN_SIMULATED_CLOUD to the example's path", file=sys.stderr)
        return 1
    cloud = None
    if not told:
        cloud = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = cloud.stdout.readline()
    try:
        everything(json.loads(told))
    except Failed as failed:
        print(f"FAILED  {failed}")
        return 1
    finally:
        if cloud:
            cloud.stdin.close()
            cloud.wait(timeout=10)
    print("all of it held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
