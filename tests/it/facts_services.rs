//! Worked examples of names and Services: which address a client takes, and what becomes of it where that is dead.

use super::common::outturns;
use super::scenario::findings;
use super::theory::{closed, constant, threads, wait};
use headroom::model::message::Cause;
use headroom::model::world::Outturn;
use serde_json::{Value, json};

fn first(scenario: &Value) -> Outturn {
    outturns(&scenario.to_string()).remove(0).remove(0)
}

fn arrived(row: &Outturn, node: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.ledger.nodes[at].arrived
}

fn failures(row: &Outturn) -> Vec<(Cause, u64)> {
    row.ledger.failures.iter().map(|f| (f.cause, f.count)).collect()
}

/// Ten new connections a second for 20 s, each for one request of 1 ms; a round trip takes 10 ms.
fn visitors(addresses: &Value) -> Value {
    json!({"load": {"open": {"rate": {"steady": {"rate": "10/s", "for": "20s"}}, "arrivals": "even"}}, "request": "job",
        "connection": {"rtt": "10ms", "tls": false, "keepalive": false, "addresses": addresses}})
}

/// A name with the two cluster nodes of a NodePort as addresses, and what happens to them.
fn named(users: &Value, name: &Value, events: &Value) -> Value {
    let mut dns = json!({"to": ["port"], "rotation": "fixed"});
    for (field, value) in name.as_object().unwrap() {
        dns[field] = value.clone();
    }
    json!({"name": "names", "workload": {"users": users}, "work": {"job": wait(&constant(1.0))},
        "designs": {"d": {"enter": {"users": "name"}, "nodes": {"name": {"dns": dns},
            "port": {"node_port": {"to": "api", "nodes": 2}}, "api": threads(10_000)}, "events": events}},
        "run": {"replications": 2, "horizon": "1h"}})
}

fn black_hole(addresses: &Value) -> Value {
    json!([{"at": "0s", "node": "port", "do": {"black_hole": {"addresses": addresses, "for": "1h"}}}])
}

fn node_20() -> Value {
    json!({"one_by_one": {}})
}

fn browser() -> Value {
    json!({"happy_eyeballs": {}})
}

fn mean(row: &Outturn) -> f64 {
    row.ledger.classes[0].latency.mean().unwrap()
}

#[test]
fn t_dns_2_a_black_holed_address_costs_250_ms_or_127_seconds() {
    // 10 ms for the connect, 10 ms for the request, 1 ms of work.
    let plain = first(&named(&visitors(&node_20()), &json!({}), &json!([])));
    assert_eq!((plain.ledger.classes[0].ok, failures(&plain)), (200, vec![]));
    assert!((mean(&plain) - 0.021).abs() < 1e-6, "{}", mean(&plain));
    for kind in [node_20(), browser()] {
        let row = first(&named(&visitors(&kind), &json!({}), &black_hole(&json!([0]))));
        assert_eq!((row.ledger.classes[0].ok, failures(&row)), (200, vec![]));
        assert!((mean(&row) - 0.271).abs() < 1e-6, "{kind}: {}", mean(&row));
        // One request a user, however many addresses were tried.
        assert_eq!(row.ledger.classes[0].attempts, 200);
    }
    // Node 18: half of the resolver groups hold the dead address first.
    let mut users = closed(400, 1, constant(0.0));
    users["load"]["closed"] = json!({"users": 400, "requests_per_user": 1});
    let name = json!({"rotation": "random", "resolvers": 100, "ttl": "1000d"});
    let row = first(&named(&users, &name, &black_hole(&json!([0]))));
    let [(Cause::ConnectTimeout, lost)] = failures(&row)[..] else {
        panic!("{:?}", failures(&row))
    };
    // Five standard deviations of a hundred groups, and of 400 users in them.
    assert!((90..=310).contains(&lost), "{lost}");
    let waited = &row.ledger.classes[0].latency_failed;
    let (least, most) = (waited.quantile(0.001).unwrap(), waited.max().as_secs_f64());
    assert!(least > 126.0 && most < 136.0, "{least} {most}");
}

#[test]
fn t_dns_2_both_addresses_dead_take_the_kernel_s_patience() {
    let row = first(&named(&visitors(&node_20()), &json!({}), &black_hole(&json!([]))));
    assert_eq!(failures(&row), [(Cause::ConnectTimeout, 200)]);
    // The first for 250 ms, the last as long as the kernel likes.
    let least = row.ledger.classes[0].latency_failed.quantile(0.001).unwrap();
    assert!((126.0..136.0).contains(&least), "{least}");
    // A client that gives up itself does so while it connects.
    let mut users = visitors(&browser());
    users["patience"] = json!({"timeout": "1s"});
    let row = first(&named(&users, &json!({}), &black_hole(&json!([]))));
    assert_eq!(failures(&row), [(Cause::ConnectTimeout, 200)]);
    assert!((row.ledger.classes[0].latency_failed.max().as_secs_f64() - 1.0).abs() < 1e-6);
}

#[test]
fn a_refused_address_is_left_at_once() {
    let run = |addresses: &Value| {
        let mut scenario =
            named(&visitors(addresses), &json!({"to": ["dead", "port"]}), &json!([]));
        scenario["designs"]["d"]["nodes"]["dead"] = threads(1);
        scenario["designs"]["d"]["events"] =
            json!([{"at": "0s", "node": "dead", "do": {"down": {"for": "1h"}}}]);
        first(&scenario)
    };
    assert_eq!(failures(&run(&json!("first"))), [(Cause::Refused, 200)]);
    for kind in [node_20(), browser()] {
        // One round trip more, not 250 ms.
        let row = run(&kind);
        assert_eq!((row.ledger.classes[0].ok, failures(&row)), (200, vec![]));
        assert!((mean(&row) - 0.031).abs() < 1e-6, "{kind}: {}", mean(&row));
    }
}

#[test]
fn whoever_resolves_once_stays_where_the_first_answer_led() {
    let run = |once: f64| {
        let mut users = closed(20, 60, constant(100.0));
        users["connection"]["keepalive"] = json!(false);
        let name = json!({"to": ["a", "b"], "rotation": "random", "resolvers": 1, "ttl": "1s", "resolve_once": once});
        let mut scenario = named(&users, &name, &json!([]));
        scenario["designs"]["d"]["nodes"]["a"] = threads(100);
        scenario["designs"]["d"]["nodes"]["b"] = threads(100);
        let row = first(&scenario);
        (arrived(&row, "a"), arrived(&row, "b"))
    };
    // All ask in the first second and get the same answer.
    let (a, b) = run(1.0);
    assert!(a.min(b) == 0 && a + b > 10_000, "{a} {b}");
    // Sixty answers of one cache: each address is first in 30 ± 4 of them.
    let (a, b) = run(0.0);
    assert!(a.min(b) * 5 > a + b, "{a} {b}");
    // Half of the users follow the answers, the others stay: the smaller side is what follows to it.
    let (a, b) = run(0.5);
    assert!(a.min(b) * 10 > a + b && a.min(b) * 5 < 2 * (a + b), "{a} {b}");
}

#[test]
fn caches_of_unequal_weight_split_users_unevenly() {
    let mut users = closed(400, 1, constant(0.0));
    users["load"]["closed"] = json!({"users": 400, "requests_per_user": 1});
    let name = json!({"to": ["a", "b"], "rotation": "cyclic", "weights": [3, 1], "ttl": "1000d"});
    let mut scenario = named(&users, &name, &json!([]));
    scenario["designs"]["d"]["nodes"]["a"] = threads(1_000);
    scenario["designs"]["d"]["nodes"]["b"] = threads(1_000);
    let row = first(&scenario);
    let most = arrived(&row, "a").max(arrived(&row, "b"));
    // Binomial, 400 and 3/4: five standard deviations are 43.
    assert!((257..=343).contains(&most), "{most}");
}

#[test]
fn a_hole_that_closes_delays_what_is_sent_again() {
    // One user on one connection asks every second; for 5 s nothing gets through. What was sent is sent again
    // 0.2, 0.4, 0.8, 1.6, 3.2, 6.4 s later.
    let mut users = closed(1, 40, constant(1_000.0));
    users["connection"] = json!({"rtt": "0s", "tls": false, "keepalive": true});
    let hole = json!([{"at": "10.5s", "node": "api", "do": {"black_hole": {"for": "5s"}}}]);
    let row = first(&named(&users, &json!({}), &hole));
    let latency = &row.ledger.classes[0].latency;
    assert_eq!(failures(&row), []);
    assert!((4.5..7.6).contains(&latency.max().as_secs_f64()), "{}", latency.max().as_secs_f64());
    assert!(latency.quantile(0.9).unwrap() < 0.0011);
    // On new connections the SYN is sent again after 1, 3 and 7 s.
    users["connection"]["keepalive"] = json!(false);
    let row = first(&named(&users, &json!({}), &hole));
    let longest = row.ledger.classes[0].latency.max().as_secs_f64();
    assert!(failures(&row).is_empty() && (6.9..7.9).contains(&longest), "{longest}");
}

#[test]
fn bad_names_and_holes_are_refused() {
    let codes = |name: &Value, events: &Value| -> Vec<String> {
        let scenario = named(&visitors(&json!("first")), name, events);
        let found = findings(scenario.to_string().as_bytes());
        let errors = found.sorted().into_iter().filter(|finding| finding.code.starts_with('E'));
        errors.map(|finding| format!("{} {}", finding.code, finding.path)).collect()
    };
    let none = json!([]);
    let at = "designs.d.nodes.name.dns";
    assert_eq!(
        codes(&json!({"weights": [1, 2], "resolvers": 3}), &none),
        [format!("E0366 {at}.resolvers")]
    );
    assert_eq!(codes(&json!({"weights": [0, 0]}), &none), [format!("E0366 {at}.weights")]);
    assert_eq!(codes(&json!({"weights": [1, -1]}), &none), [format!("E0366 {at}.weights")]);
    assert_eq!(
        codes(&json!({}), &black_hole(&json!([2]))),
        ["E0367 designs.d.events[0].do.black_hole.addresses"]
    );
    assert_eq!(codes(&json!({"resolve_once": 1.5}), &none).len(), 1);
}

/// New connections at an even rate to a NodePort with these fields, before pods of one thread each that work for 29 ms.
fn forwarded(port: &Value, replicas: u32, rate: &str) -> Value {
    let mut fields = json!({"to": "api", "nodes": 1});
    for (field, value) in port.as_object().unwrap() {
        fields[field] = value.clone();
    }
    let mut users = visitors(&json!("first"));
    users["load"]["open"]["rate"]["steady"]["rate"] = json!(rate);
    users["connection"]["rtt"] = json!("0s");
    json!({"name": "services", "workload": {"users": users}, "work": {"job": wait(&constant(29.0))},
        "designs": {"d": {"enter": {"users": "port"}, "nodes": {"port": {"node_port": fields},
            "api": {"pods": {"replicas": replicas, "runtime": {"threads": {"threads": 1}}, "backlog": 4096}}}}},
        "run": {"replications": 2, "horizon": "1h"}})
}

fn counter(row: &Outturn, node: &str, name: &str) -> u64 {
    let at = row.names.iter().position(|n| n.0 == node).unwrap();
    row.reports[at].counters.iter().find(|c| c.0 == name).map_or(0, |c| c.1)
}

#[test]
fn ipvs_in_turn_spreads_what_chance_does_not() {
    // Three pods, 100/s: every third connection, 30 ms apart, and 29 ms of work. Nobody waits.
    let run = |proxy: &Value| first(&forwarded(&json!({"proxy": proxy}), 3, "100/s"));
    let in_turn = run(&json!({"ipvs": {}}));
    assert_eq!(in_turn.ledger.classes[0].ok, 2_000);
    assert!((in_turn.ledger.classes[0].latency.max().as_secs_f64() - 0.029).abs() < 1e-6);
    let chance = run(&json!("iptables"));
    assert!(mean(&chance) > 3.0 * 0.029, "{}", mean(&chance));
    // At most one connection is open at each pod, so the scheduler that counts them finds an idle one as well.
    for scheduler in ["lc", "sed", "nq"] {
        let row = run(&json!({"ipvs": {"scheduler": scheduler}}));
        let worst = row.ledger.classes[0].latency.max().as_secs_f64();
        assert!((worst - 0.029).abs() < 1e-6, "{scheduler}: {worst}");
    }
}

#[test]
fn counting_connections_spares_a_slow_pod() {
    let run = |scheduler: &str| {
        let mut scenario =
            forwarded(&json!({"proxy": {"ipvs": {"scheduler": scheduler}}}), 3, "60/s");
        scenario["designs"]["d"]["nodes"]["api"]["pods"]["slow"] = json!([{"pod": 1, "factor": 5}]);
        mean(&first(&scenario))
    };
    // In turn, a third of 60/s goes to a pod that does 6.9/s; who counts sends it what it does.
    let (in_turn, counting) = (run("rr"), run("sed"));
    assert!(counting < 0.1 && in_turn > 20.0 * counting, "{in_turn} {counting}");
    assert!(run("lc") < 0.1);
}

#[test]
fn one_address_with_affinity_is_one_pod() {
    let run = |clients: u32, affinity: bool| {
        let mut port = json!({"clients": clients});
        if affinity {
            port["session_affinity"] = json!({});
        }
        mean(&first(&forwarded(&port, 3, "60/s")))
    };
    // 60/s at one pod of 34.5/s: over 20 s the line grows to 510 of 29 ms.
    let one = run(1, true);
    assert!((one - 7.4).abs() < 0.5, "{one}");
    // Everybody from an address of his own, or no affinity: a third each.
    assert!(run(0, true) < 1.0 && run(1, false) < 1.0);
    // A hash of the one address does the same, affinity or not.
    let hashed = json!({"clients": 1, "proxy": {"ipvs": {"scheduler": "sh"}}});
    let hashed = mean(&first(&forwarded(&hashed, 3, "60/s")));
    assert!((hashed - one).abs() < 1e-9, "{hashed} {one}");
}

/// 150 users who connect at once, to a table of 100 rows.
fn crowd(keepalive: bool, time_wait: &str) -> Value {
    let table = json!({"conntrack": {"max": 100, "time_wait": time_wait}});
    let mut scenario = forwarded(&table, 1, "1/s");
    let mut users = closed(150, 1, constant(0.0));
    users["load"]["closed"] = if keepalive {
        json!({"users": 150, "for": "200s", "think": {"constant": "1s"}})
    } else {
        json!({"users": 150, "requests_per_user": 1})
    };
    users["connection"]["keepalive"] = json!(keepalive);
    scenario["workload"]["users"] = users;
    scenario["work"]["job"] = wait(&constant(1.0));
    scenario["designs"]["d"]["nodes"]["api"] = threads(1_000);
    scenario
}

#[test]
fn rows_of_ended_connections_keep_a_full_table_full() {
    // The rows of 10 s ago are gone when the dropped SYNs are sent again after 1, 3, 7 and 15 s.
    let row = first(&crowd(false, "10s"));
    let latency = &row.ledger.classes[0].latency;
    assert_eq!((row.ledger.classes[0].ok, failures(&row)), (150, vec![]));
    assert!(latency.quantile(0.66).unwrap() < 0.01);
    assert!(
        (14.9..16.5).contains(&latency.quantile(0.68).unwrap()),
        "{:?}",
        latency.quantile(0.68)
    );
    // 50 SYNs dropped at 0, 1, 3 and 7 s.
    assert_eq!(counter(&row, "port", "syns_dropped"), 200);
    assert_eq!(counter(&row, "port", "conntrack_rows_most"), 100);
    // With the kernel's two minutes the last SYN, at 63 s, is dropped as well.
    let row = first(&crowd(false, "120s"));
    assert_eq!(failures(&row), [(Cause::ConnectTimeout, 50)]);
    assert!(row.ledger.classes[0].latency_failed.quantile(0.01).unwrap() > 126.0);
    let limit = row.ledger.limits.iter().find(|limit| limit.name == "conntrack").unwrap();
    assert!(limit.first.is_some() && limit.waiting > 0);
}

#[test]
fn connections_that_are_kept_hold_their_rows_and_who_gives_up_leaves_none() {
    // A hundred users keep their connections for 200 s; the others time out, come again, and time out.
    let row = first(&crowd(true, "120s"));
    assert_eq!(failures(&row), [(Cause::ConnectTimeout, 100)]);
    assert_eq!(counter(&row, "port", "conntrack_rows_most"), 100);
    // Impatient users close their sockets: nothing is sent again for them, and the audit finds every call.
    let mut impatient = crowd(false, "120s");
    impatient["workload"]["users"]["patience"] = json!({"timeout": "2s"});
    let row = first(&impatient);
    assert_eq!(failures(&row), [(Cause::ConnectTimeout, 50)]);
    assert!(row.end.as_secs_f64() < 3.0, "{}", row.end.as_secs_f64());
    assert_eq!(counter(&row, "port", "syns_dropped"), 100);
}

#[test]
fn a_table_that_is_lifted_lets_everybody_in() {
    use headroom::experiment::{Silent, counterfactuals, run};
    let plan = super::common::plan(&crowd(false, "120s").to_string());
    let mut result = run(&plan, &Silent).unwrap();
    counterfactuals(&plan, &mut result, &Silent).unwrap();
    let design = &result.designs[0];
    assert_eq!(design.bottleneck.as_ref().unwrap().limit, "conntrack");
    let told = design.counterfactual.as_ref().unwrap();
    assert_eq!((told.refused.as_ref(), told.success_rate.value), (None, 1.0));
}

#[test]
fn policy_local_drops_what_comes_to_a_node_without_a_pod() {
    // Three nodes, pods on the first two; every third user resolves the third.
    let mut users = closed(60, 1, constant(0.0));
    users["load"]["closed"] = json!({"users": 60, "requests_per_user": 1});
    let name = json!({"rotation": "cyclic", "ttl": "1000d"});
    let mut scenario = named(&users, &name, &json!([]));
    scenario["designs"]["d"]["nodes"]["port"] =
        json!({"node_port": {"to": "api", "nodes": 3, "external_traffic_policy": "local"}});
    scenario["designs"]["d"]["nodes"]["api"] = json!({"pods": {"replicas": 2, "hosts": {"count": 2, "vcpu": 1},
        "runtime": {"threads": {"threads": 100}}}});
    let row = first(&scenario);
    assert_eq!((row.ledger.classes[0].ok, failures(&row)), (40, vec![(Cause::ConnectTimeout, 20)]));
    // First SYN and six more.
    assert_eq!(counter(&row, "port", "syns_dropped"), 20 * 7);
    scenario["designs"]["d"]["nodes"]["port"]["node_port"]["external_traffic_policy"] =
        json!("cluster");
    assert_eq!(first(&scenario).ledger.classes[0].ok, 60);
}

/// T-KP-3 on the node's side: the endpoints change at once, and the node goes on with what it knows for four seconds.
#[test]
fn t_kp_3_a_node_goes_on_with_its_view() {
    let mut scenario = forwarded(&json!({"view_lag": {"constant": "4s"}}), 2, "50/s");
    scenario["work"]["job"] = json!([{"cpu": {"constant": "1ms"}}]);
    scenario["designs"]["d"]["nodes"]["api"]["pods"] = json!({"replicas": 2, "hosts": {"count": 2, "vcpu": 1},
        "lifecycle": {"endpoint_lag": {"constant": "0s"}, "start": {"constant": "3h"}, "grace": "2h"}});
    scenario["designs"]["d"]["events"] =
        json!([{"at": "10s", "node": "api", "do": {"terminate": {"pod": 0}}}]);
    let row = first(&scenario);
    let [(Cause::Refused, refused)] = failures(&row)[..] else { panic!("{:?}", failures(&row)) };
    // Half of 50 a second for four seconds: 100, five standard deviations are 36.
    assert!((64..=136).contains(&refused), "{refused}");
    scenario["designs"]["d"]["nodes"]["port"]["node_port"]["view_lag"] = json!({"constant": "0s"});
    assert_eq!(failures(&first(&scenario)), []);
}

/// A network balancer before three pods, and users who connect at an even rate.
fn balanced(nlb: &Value, rate: &str, seconds: u32) -> Value {
    let mut fields = json!({"to": ["api"]});
    for (field, value) in nlb.as_object().unwrap() {
        fields[field] = value.clone();
    }
    let mut scenario = forwarded(&json!({}), 3, rate);
    scenario["workload"]["users"]["load"]["open"]["rate"]["steady"]["for"] =
        json!(format!("{seconds}s"));
    scenario["designs"]["d"]["enter"] = json!({"users": "door"});
    scenario["designs"]["d"]["nodes"] = json!({"door": {"nlb": fields}, "api": {"pods": {"replicas": 3,
        "runtime": {"threads": {"threads": 1000}}, "backlog": 4096}}});
    scenario
}

fn usage(row: &Outturn, item: &str) -> f64 {
    row.reports
        .iter()
        .flat_map(|report| &report.usage)
        .filter(|line| line.item == item)
        .map(|line| line.quantity)
        .sum()
}

#[test]
fn a_network_balancer_charges_its_largest_dimension() {
    // 1,600 new connections a second for 20 s, 29 ms each: 32,000 / (800 · 3,600) unit-hours; 46 are active.
    let row = first(&balanced(&json!({"bytes_per_request": "100B"}), "1600/s", 20));
    assert_eq!(row.ledger.classes[0].ok, 32_000);
    let by_connections = 32_000.0 / (800.0 * 3_600.0);
    assert!(
        (usage(&row, "nlb.lcu_hour") - by_connections).abs() < 1e-9,
        "{}",
        usage(&row, "nlb.lcu_hour")
    );
    assert!((usage(&row, "nlb.hour") - row.end.as_secs_f64() / 3_600.0).abs() < 1e-9);
    // Requests of 1 MB: 32,000 MiB are 31.25 GB.
    let row = first(&balanced(&json!({"bytes_per_request": "1MB"}), "1600/s", 20));
    assert!((usage(&row, "nlb.lcu_hour") - 31.25).abs() < 1e-9, "{}", usage(&row, "nlb.lcu_hour"));
    assert_eq!(counter(&row, "door", "connections"), 32_000);
}

#[test]
fn t_cost_10_kept_connections_of_an_alb_are_active_and_its_rules_are_charged() {
    // 300 users keep a connection for two hours and ask every 50 s: 300 / 3,000 · 2 h, and next to nothing else.
    let alb = |rules: u32, think: f64| {
        let mut users = closed(300, 7_200, constant(think));
        users["connection"] = json!({"rtt": "0s", "tls": false, "keepalive": true});
        let mut scenario = balanced(&json!({}), "1/s", 1);
        scenario["workload"]["users"] = users;
        scenario["run"]["horizon"] = json!("3h");
        scenario["designs"]["d"]["nodes"]["door"] = json!({"alb": {"to": ["api"], "overhead": {"constant": "0s"},
            "target_rtt": "0s", "bytes_per_request": "1B", "rules": rules}});
        let row = first(&scenario);
        (
            usage(&row, "alb.lcu_hour"),
            row.end.as_secs_f64() / 3_600.0,
            row.ledger.classes[0].issued as f64,
        )
    };
    let (units, hours, _) = alb(0, 50_000.0);
    assert!((units / (0.1 * hours) - 1.0).abs() < 0.01, "{units} in {hours} h");
    // Every 100 s: the balancer has closed each after 60 s, and three new ones a second are 3 / 25 units.
    let (units, hours, _) = alb(0, 100_000.0);
    assert!((units / (0.12 * hours) - 1.0).abs() < 0.02, "{units} in {hours} h");
    // Ten of a thousand rules are free: 990 evaluations a request, and 1,000 a second are a unit.
    let (units, _, requests) = alb(1_000, 50_000.0);
    let evaluations = requests * 990.0 / (1_000.0 * 3_600.0);
    assert!((units / evaluations - 1.0).abs() < 1e-3, "{units} {evaluations}");
}

#[test]
fn connections_that_people_left_open_are_active_until_the_balancer_closes_them() {
    // A person a second for two hours, one request each, connections of their own, closed after 600 s of silence: 600 of 3,000 are a
    // fifth of a unit, from the tenth minute on.
    let mut users = super::theory::poisson(1.0, 7_200.0);
    users["connection"] = json!({"rtt": "0s", "tls": false, "kept_by": "user"});
    let mut scenario = balanced(&json!({}), "1/s", 1);
    scenario["workload"]["users"] = users;
    scenario["run"]["horizon"] = json!("3h");
    scenario["designs"]["d"]["nodes"]["door"] = json!({"alb": {"to": ["api"], "overhead": {"constant": "0s"},
        "target_rtt": "0s", "bytes_per_request": "1B", "idle_timeout": "600s"}});
    let units = usage(&first(&scenario), "alb.lcu_hour");
    let wanted = 0.2 * (2.0 - 1.0 / 12.0);
    assert!((units / wanted - 1.0).abs() < 0.05, "{units} and not {wanted}");
}

#[test]
fn a_silent_connection_is_reset_and_its_successor_is_served() {
    // A user asks every 400 s on a kept connection: the balancer has forgotten it each time.
    let run = |think: f64, idle: &str| {
        let mut scenario = balanced(&json!({"idle_timeout": idle}), "1/s", 1);
        let mut users = closed(1, 3_600, constant(think));
        users["connection"] = json!({"rtt": "10ms", "tls": false, "keepalive": true});
        scenario["workload"]["users"] = users;
        scenario["run"]["horizon"] = json!("2h");
        first(&scenario)
    };
    let row = run(400_000.0, "350s");
    // 0, 400, …, 3,600 s: every second request meets a dead connection, the one after it opens a new one.
    let [(Cause::Reset, resets)] = failures(&row)[..] else { panic!("{:?}", failures(&row)) };
    let class = &row.ledger.classes[0];
    assert_eq!((resets, class.ok), (4, 5));
    assert_eq!(counter(&row, "door", "idle_dropped"), resets);
    assert_eq!(failures(&run(300_000.0, "350s")), []);
    assert_eq!(failures(&run(400_000.0, "6000s")), []);
}

#[test]
fn a_flow_stays_with_its_target_and_a_source_too_if_it_is_sticky() {
    // Behind the balancer a NodePort whose table has 100 rows: both follow the same connections.
    let mut scenario = crowd(false, "10s");
    scenario["designs"]["d"]["enter"] = json!({"users": "door"});
    scenario["designs"]["d"]["nodes"]["door"] = json!({"nlb": {"to": ["port"]}});
    let row = first(&scenario);
    assert_eq!((row.ledger.classes[0].ok, failures(&row)), (150, vec![]));
    assert_eq!(
        (counter(&row, "door", "connections"), counter(&row, "port", "conntrack_rows_most")),
        (150, 100)
    );
    // One user on new connections: to one of two services if sticky, to both if not.
    let run = |sticky: bool| {
        let mut users = closed(1, 20, constant(0.0));
        users["connection"]["keepalive"] = json!(false);
        let mut scenario = balanced(&json!({"to": ["a", "b"], "stickiness": sticky}), "1/s", 1);
        scenario["workload"]["users"] = users;
        let nodes = &mut scenario["designs"]["d"]["nodes"];
        nodes["a"] = threads(10);
        nodes["b"] = threads(10);
        let row = first(&scenario);
        arrived(&row, "a").min(arrived(&row, "b"))
    };
    assert_eq!(run(true), 0);
    assert!(run(false) > 200);
}

#[test]
fn balancers_that_aws_would_refuse_are_refused() {
    let codes = |nlb: &Value| -> Vec<String> {
        let found = findings(balanced(nlb, "1/s", 1).to_string().as_bytes());
        let errors = found.sorted().into_iter().filter(|finding| finding.code.starts_with('E'));
        errors.map(|finding| format!("{} {}", finding.code, finding.path)).collect()
    };
    let at = "designs.d.nodes.door.nlb";
    assert_eq!(codes(&json!({})), Vec::<String>::new());
    assert_eq!(codes(&json!({"idle_timeout": "30s"})), [format!("E0384 {at}.idle_timeout")]);
    assert_eq!(codes(&json!({"to": []})), [format!("E0384 {at}.to")]);
    assert_eq!(codes(&json!({"to": ["nobody"]})).len(), 1);
}

#[test]
fn a_resumed_session_costs_neither_signature_nor_second_round_trip() {
    // TLS 1.2: connect, two round trips, request; resumed one less. nginx signs for 5 ms, which a round trip hides.
    let run = |resumption: &Value, rtt: &str| {
        let mut users = closed(1, 30, constant(1_000.0));
        users["connection"] =
            json!({"rtt": rtt, "tls": true, "tls_round_trips": 2, "keepalive": false});
        if !resumption.is_null() {
            users["connection"]["tls_resumption"] = resumption.clone();
        }
        let nginx = json!({"nginx": {"upstream": ["api"], "cpu_handshake": "5ms", "cpu_request": "0s", "upstream_rtt": "0s"}});
        let scenario = json!({"name": "tls", "workload": {"users": users}, "work": {"job": wait(&constant(0.0))},
            "designs": {"d": {"enter": {"users": "edge"}, "nodes": {"edge": nginx, "api": threads(10)}}},
            "run": {"replications": 2}});
        let latency = first(&scenario).ledger.classes.remove(0).latency;
        assert!(latency.count() >= 28);
        let rest = (latency.mean().unwrap() * latency.count() as f64 - latency.max().as_secs_f64())
            / (latency.count() - 1) as f64;
        (latency.max().as_secs_f64(), rest)
    };
    // The longest request, which is the first where it differs, and the mean of the others.
    let close = |got: (f64, f64), want: (f64, f64)| {
        let near = (got.0 - want.0).abs() < 5e-4 && (got.1 - want.1).abs() < 5e-4;
        assert!(near, "{got:?} is not {want:?}");
    };
    close(run(&Value::Null, "10ms"), (0.040, 0.040));
    close(run(&Value::Null, "0s"), (0.005, 0.005));
    // The first handshake is a full one, the others resume.
    close(run(&json!({}), "10ms"), (0.040, 0.030));
    close(run(&json!({}), "0s"), (0.005, 0.0));
    // A session of half a second is forgotten between two requests.
    close(run(&json!({"lifetime": "500ms"}), "10ms"), (0.040, 0.040));
    // Whoever was here before resumes from the first connection on.
    close(run(&json!({"returning": 1.0}), "10ms"), (0.030, 0.030));
    close(run(&json!({"returning": 1.0}), "0s"), (0.0, 0.0));
}
