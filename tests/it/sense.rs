//! Settings that can be read but hardly meant: each is told with a code, a place, what was found and a remedy.

use super::scenario::findings;
use serde_json::{Value, json};

/// A shop with nothing to say about: users, nginx, four pods, a database.
fn shop() -> Value {
    json!({"name": "shop", "workload": {"buyers": {"request": "buy", "patience": {"timeout": "3s"},
            "load": {"open": {"rate": {"spike": {"base": "40/s", "peak": "300/s", "at": "60s", "lasts": "60s", "for": "240s"}}}},
            "retry": {"exponential": {"attempts": 4, "base": "200ms"}}}},
        "work": {"buy": [{"cpu": {"constant": "5ms"}}, {"query": {"to": "db", "hold": {"constant": "5ms"}}}]},
        "designs": {"small": {"enter": {"buyers": "edge"}, "nodes": {
            "edge": {"nginx": {"upstream": ["api"], "host": {"instance": "c6i.large"}}},
            "api": {"pods": {"replicas": 4, "hosts": {"count": 2, "instance": "m5.large", "vcpu": 2}, "pool": {"db": {"max": 10}}}},
            "db": {"postgres": {"connections": 100, "vcpu": 2, "class": "rds.postgres.m5.large"}}}}},
        "thresholds": {"success_rate": ["rate>0.99"], "latency": ["p(95)<1s"]}})
}

/// Codes, places and messages of what is found once `value` is put at a pointer.
fn found(place: &str, value: Value) -> Vec<(String, String, String)> {
    let mut scenario = shop();
    let (parent, key) = place.rsplit_once('/').unwrap();
    scenario.pointer_mut(parent).unwrap()[key] = value;
    told(&scenario.to_string())
}

fn told(text: &str) -> Vec<(String, String, String)> {
    let tell = |finding: &headroom::scenario::Finding| {
        assert!(!finding.remedy.is_empty() && finding.span.is_some(), "{finding:?}");
        (finding.code.to_owned(), finding.path.clone(), finding.message.clone())
    };
    findings(text.as_bytes()).sorted().into_iter().map(tell).collect()
}

/// Exactly one finding, with this code and place, whose message has these words.
fn one(place: &str, value: Value, code: &str, path: &str, words: &str) {
    let found = found(place, value);
    assert_eq!(found.len(), 1, "{place}: {found:?}");
    let (own, at, message) = &found[0];
    assert_eq!((own.as_str(), at.as_str()), (code, path), "{message}");
    assert!(message.contains(words), "{message}");
}

const NODES: &str = "/designs/small/nodes";
const SPIKE: &str = "/workload/buyers/load/open/rate/spike";

#[test]
fn what_is_meant_is_not_told() {
    assert_eq!(told(&shop().to_string()), []);
}

#[test]
fn a_load_longer_than_the_run_is_told() {
    one(
        "/run",
        json!({"horizon": "2m"}),
        "W0409",
        "workload.buyers.load.open.rate.spike.for",
        "until 4m",
    );
}

#[test]
fn a_node_that_nothing_leads_to_is_told() {
    let spare = json!({"pods": {"replicas": 1, "hosts": {"instance": "c6i.large", "count": 1}}});
    let place = format!("{NODES}/spare");
    let path = "designs.small.nodes.spare";
    one(&place, spare, "W0404", path, "serves no request, and is paid for");
    // Neither does one count that only an unreached node leads to.
    let proxy = json!({"nginx": {"upstream": ["other"], "host": {"instance": "t3.small"}}});
    let mut scenario = shop();
    scenario["designs"]["small"]["nodes"]["spare"] = proxy;
    scenario["designs"]["small"]["nodes"]["other"] =
        scenario["designs"]["small"]["nodes"]["api"].clone();
    let codes: Vec<_> = told(&scenario.to_string()).into_iter().map(|row| (row.0, row.1)).collect();
    let both = ["other", "spare"].map(|n| ("W0404".into(), format!("designs.small.nodes.{n}")));
    assert!(both.iter().all(|row| codes.contains(row)), "{codes:?}");
}

#[test]
fn what_leads_to_a_node_in_any_way_counts() {
    let node = |kind: &str, spec: Value| json!({kind: spec});
    let mut scenario = shop();
    let design = &mut scenario["designs"]["small"];
    let nodes = &mut design["nodes"];
    // By a step of the work, a queue's consumer and its failures, a function's failures, a pool, a pooler, a cache.
    nodes["jobs"] = node("sqs", json!({"to": "fn", "visibility": "30s", "dead_letters": "dead"}));
    nodes["dead"] = node("sqs", json!({}));
    nodes["lost"] = node("sqs", json!({}));
    nodes["fn"] = node(
        "lambda",
        json!({"memory": "512MB", "runtime": "nodejs22", "timeout": "3s", "account": "main",
            "events": {"on_failure": "lost"}}),
    );
    nodes["front"] = node("cache", json!({"to": "pooler", "contents": {"hit_ratio": 0.9}}));
    nodes["pooler"] = node("pgbouncer", json!({"to": "second", "instance": "t3.small"}));
    nodes["second"] = nodes["db"].clone();
    nodes["named"] = nodes["db"].clone();
    nodes["api"]["pods"]["pool"]["named"] = json!({"max": 2});
    // By an event and by a machine.
    nodes["hit"] = nodes["db"].clone();
    nodes["shared"] = nodes["db"].clone();
    design["accounts"] = json!({"main": {"concurrency": 1000}});
    design["events"] = json!([{"at": "1s", "node": "hit", "do": {"down": {"for": "1s"}}}]);
    design["machines"] = json!({"one": {"nodes": ["shared"], "vcpu": 2}});
    scenario["work"]["buy"] = json!([
        {"query": {"to": "front", "hold": {"constant": "1ms"}}},
        {"publish": {"to": "jobs", "request": "later"}}]);
    scenario["work"]["later"] = json!([{"query": {"to": "db", "hold": {"constant": "1ms"}}}]);
    let found = told(&scenario.to_string());
    assert!(found.iter().all(|row| !row.0.starts_with('E') && row.0 != "W0404"), "{found:?}");
}

#[test]
fn no_committed_scenario_has_such_settings() {
    let codes = ["W0404", "W0405", "W0406", "W0407", "W0408", "W0410", "W0411", "W0413", "W0416"];
    for (name, text) in super::golden::scenarios() {
        for (code, path, message) in told(&text) {
            assert!(!codes.contains(&code.as_str()), "{name}: {code} at {path}: {message}");
        }
    }
}

#[test]
fn loads_and_spikes_that_never_come_are_refused() {
    let at = |key: &str| format!("{SPIKE}/{key}");
    let path = |key: &str| format!("workload.buyers.load.open.rate.spike.{key}");
    one(&at("at"), json!("240s"), "E0392", &path("at"), "it never comes");
    one(&at("at"), json!("600s"), "E0392", &path("at"), "begins at 10m");
    one(&at("for"), json!("0s"), "E0392", &path("for"), "lasts no time");
    one(&at("lasts"), json!("181s"), "W0405", &path("lasts"), "would last until 241s");
    assert_eq!(found(&at("lasts"), json!("180s")), []);
    let load = "/workload/buyers/load";
    let wrong = [
        ("closed.for", json!({"closed": {"users": 5, "for": "0s"}})),
        (
            "open.rate.steady.for",
            json!({"open": {"rate": {"steady": {"rate": "5/s", "for": "0s"}}}}),
        ),
        ("open.rate.stages.stages", json!({"open": {"rate": {"stages": {"stages": []}}}})),
    ];
    for (inside, value) in wrong {
        one(load, value, "E0392", &format!("workload.buyers.load.{inside}"), "nobody comes");
    }
    let jump = json!([{"duration": "0s", "target": "5/s"}, {"duration": "9s", "target": "5/s"}]);
    assert_eq!(found(load, json!({"open": {"rate": {"stages": {"stages": jump}}}})), []);
    assert_eq!(found(load, json!({"burst": {"requests": 5}})), []);
}

#[test]
fn retries_and_limits_without_effect_are_told() {
    let place = "/workload/buyers/retry/exponential/cap";
    let path = "workload.buyers.retry.exponential.cap";
    one(place, json!("10ms"), "W0406", path, "the cap of 10ms");
    assert_eq!(found(place, json!("200ms")), []);
    let cpu = format!("{NODES}/api/pods/cpu");
    let path = "designs.small.nodes.api.pods.cpu";
    one(&cpu, json!(8), "W0408", path, "may use 8 vCPUs, and its host has 2");
    assert_eq!(found(&cpu, json!(2)), []);
}

#[test]
fn machines_of_another_size_than_their_type_are_told() {
    let place = |inside: &str| format!("{NODES}/{inside}");
    let path = |inside: &str| format!("designs.small.nodes.{inside}");
    let vcpu = "m5.large has 2 vCPUs, and 4 are said";
    one(&place("api/pods/hosts/vcpu"), json!(4), "W0411", &path("api.pods.hosts.vcpu"), vcpu);
    let vcpu = "rds.postgres.m5.large has 2 vCPUs, and 4 are said";
    one(&place("db/postgres/vcpu"), json!(4), "W0411", &path("db.postgres.vcpu"), vcpu);
    let memory = "rds.postgres.m5.large has 8GB, and 16GB are said";
    one(&place("db/postgres/memory"), json!("16GB"), "W0411", &path("db.postgres.memory"), memory);
    // The memory that the formula of connections counts is a little less than the nominal one.
    assert_eq!(found(&place("db/postgres/memory"), json!("7GB")), []);
    let unknown = json!({"mongodb": {"connections": 100, "class": "mongodb.atlas_m0"}});
    let class = "how many vCPUs mongodb.atlas_m0 has is not known: 2 are assumed";
    let codes = |db: Value| {
        let found = found(&place("db"), db).into_iter().map(|row| (row.0, row.2));
        found.filter(|(code, _)| code == "W0410").collect::<Vec<_>>()
    };
    assert_eq!(codes(unknown), [("W0410".into(), class.into())]);
    let known = json!({"mongodb": {"connections": 100, "class": "mongodb.atlas_m0", "vcpu": 2}});
    assert_eq!(codes(known), []);
}

#[test]
fn a_proxy_that_is_billed_for_another_database_is_told() {
    let proxied = |class: &str| {
        let mut scenario = shop();
        let nodes = &mut scenario["designs"]["small"]["nodes"];
        nodes["server"] = json!({"postgres": {"connections": 100, "class": class}});
        nodes["db"] = json!({"rds_proxy": {"to": "server"}});
        told(&scenario.to_string())
    };
    assert_eq!(proxied("rds.postgres.m5.large"), []);
    let found = proxied("rds.postgres.m5.xlarge");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].0.as_str(), found[0].1.as_str()),
        ("W0411", "designs.small.nodes.db.rds_proxy.vcpu")
    );
    assert_eq!(found[0].2, "\"server\" has 4 vCPUs, and its proxy is billed for 2");
}

#[test]
fn a_store_that_is_not_on_the_bill_is_told() {
    let db = json!({"connections": 100, "vcpu": 2});
    let place = format!("{NODES}/db/postgres");
    one(&place, db, "W0401", "designs.small.nodes.db.postgres.class", "not on the bill");
    let cache = json!({"cache": {"to": "server", "contents": {"hit_ratio": 0.5}}});
    let mut scenario = shop();
    let nodes = &mut scenario["designs"]["small"]["nodes"];
    nodes["server"] = nodes["db"].clone();
    nodes["db"] = cache;
    let told = told(&scenario.to_string());
    let codes: Vec<_> = told.iter().map(|row| (row.0.as_str(), row.1.as_str())).collect();
    assert_eq!(codes, [("W0401", "designs.small.nodes.db.cache.class")]);
}

#[test]
fn burstable_machines_whose_credits_nobody_counts_are_told() {
    let told = |inside: &str, value: &str, words: &str| {
        let path = format!("designs.small.nodes.{}", inside.replace('/', "."));
        one(&format!("{NODES}/{inside}"), json!(value), "W0412", &path, words);
    };
    for instance in ["t2.medium", "t3.medium", "t3a.medium", "t4g.medium"] {
        told("api/pods/hosts/instance", instance, "lives on CPU credits, and they are not counted");
    }
    // A proxy cannot count them. In unlimited mode its speed is right all the same.
    let words = "held to its baseline when its CPU credits are used up, and here it never is";
    told("edge/nginx/host/instance", "t2.small", words);
    for (inside, fine) in
        [("edge/nginx/host/instance", "t3.small"), ("db/postgres/class", "rds.postgres.t3.large")]
    {
        assert_eq!(found(&format!("{NODES}/{inside}"), json!(fine)), []);
    }
    let counted = json!({"count": 2, "instance": "t3.medium", "credits": {}});
    assert_eq!(found(&format!("{NODES}/api/pods/hosts"), counted), []);
}

#[test]
fn a_process_that_is_never_thawed_is_told() {
    let events = |events: Value| {
        let mut scenario = shop();
        scenario["designs"]["small"]["events"] = events;
        told(&scenario.to_string())
    };
    let freeze = json!({"at": "20s", "node": "api", "do": {"freeze": {"pod": 1}}});
    let thaw = |at: &str, pod: u32| json!({"at": at, "node": "api", "do": {"thaw": {"pod": pod}}});
    let found = events(json!([freeze]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("W0413", "designs.small.events[0].do"));
    assert!(found[0].2.contains("nothing thaws pod 1 of \"api\""), "{found:?}");
    assert_eq!(events(json!([freeze, thaw("30s", 1)])), []);
    assert_eq!(events(json!([freeze, thaw("10s", 1)])).len(), 1, "it comes before");
    assert_eq!(events(json!([freeze, thaw("30s", 2)])).len(), 1, "another pod");
    // A kubelet that looks after it starts it again.
    let mut watched = shop();
    watched["designs"]["small"]["events"] = json!([freeze]);
    watched["designs"]["small"]["nodes"]["api"]["pods"]["lifecycle"] = json!({"liveness": {}});
    assert!(told(&watched.to_string()).iter().all(|row| row.0 != "W0413"));
}

#[test]
fn a_pool_that_nobody_sized_is_told_where_no_driver_is_usual() {
    let mut scenario = shop();
    let nodes = &mut scenario["designs"]["small"]["nodes"];
    nodes["api"]["pods"]["pool"] = json!({});
    assert_eq!(told(&scenario.to_string()), [], "a database's driver is assumed");
    let nodes = &mut scenario["designs"]["small"]["nodes"];
    nodes["db"] = json!({"dynamodb": {}});
    let found = told(&scenario.to_string());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].0.as_str(), found[0].1.as_str()),
        ("W0414", "designs.small.nodes.api.pods")
    );
    let words = "100 connections a pod are assumed, 2 of them being opened at a time";
    assert!(found[0].2.contains(words), "{found:?}");
}

#[test]
fn beanstalks_machines_that_start_like_containers_are_told() {
    let place = format!("{NODES}/api/pods/autoscaler");
    let path = "designs.small.nodes.api.pods.autoscaler.start";
    let scaler = |rest: Value| {
        let mut own = json!({"beanstalk": {}, "max_replicas": 8});
        own.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        own
    };
    one(&place, scaler(json!({})), "W0416", path, "start as fast as containers");
    assert_eq!(found(&place, scaler(json!({"start": {"constant": "150s"}}))), []);
}

#[test]
fn thresholds_speak_of_classes_that_there_are() {
    let of = |key: &str| found("/thresholds", json!({key: ["p(95)<1s"]}));
    assert_eq!(of("latency{class:buyers}"), []);
    for (key, code, words) in [
        ("latency{class:buyer}", "E0300", "no class \"buyer\""),
        ("latency{scenario:buyers}", "E0309", "latency{class:buyers}"),
        ("latency{buyers}", "E0309", "latency{class:NAME}"),
        ("cost_per_user{class:buyers}", "E0309", "all their users"),
    ] {
        let found = of(key);
        assert_eq!(found.len(), 1, "{key}: {found:?}");
        let (own, at, message) = &found[0];
        assert_eq!((own.as_str(), at.clone()), (code, format!("thresholds.{key}")), "{message}");
        assert!(message.contains(words), "{message}");
    }
    let mut scenario = shop();
    scenario["workload"]["others"] = scenario["workload"]["buyers"].clone();
    scenario["thresholds"] = json!({"success_rate{class:others}": ["rate>0.9"]});
    let found = told(&scenario.to_string());
    assert!(
        found.iter().any(|(code, _, why)| code == "W0415" && why.contains("enters no design")),
        "{found:?}"
    );
}

#[test]
fn thresholds_that_decide_nothing_are_refused() {
    let rate = |text: &str, words: &str| {
        let place = "/thresholds/success_rate";
        one(place, json!([text]), "E0393", "thresholds.success_rate[0]", words);
    };
    rate("rate>99", "between 0 and 1, so it can never hold");
    rate("rate<99", "so it always holds");
    rate("rate>1", "it can never hold");
    rate("rate<0", "it can never hold");
    assert_eq!(found("/thresholds/success_rate", json!(["rate>=1", "rate>0.5"])), []);
    let remedy = |text: &str| {
        let mut scenario = shop();
        scenario["thresholds"] = json!({"success_rate": [text]});
        findings(scenario.to_string().as_bytes()).sorted()[0].remedy.clone()
    };
    assert_eq!(remedy("rate>99.9"), "write 0.999 for 99.9 %");
    let never = json!(["p(95)<0s"]);
    one("/thresholds/latency", never, "E0393", "thresholds.latency[0]", "below 0");
}

#[test]
fn a_time_without_a_unit_is_read_aloud() {
    let (place, path) = ("/thresholds/latency", "thresholds.latency[0]");
    one(place, json!(["p(95)<1"]), "W0407", path, "as k6 does, as 1 ms");
    one(place, json!(["avg <= 1.1"]), "W0407", path, "as 1.1 ms");
}

#[test]
fn a_key_of_yaml_with_nothing_after_it_is_unfinished() {
    let yaml = |timeout: &str| {
        format!(
            "name: x\nworkload:\n  users:\n    load: {{burst: {{requests: 1}}}}\n    request: r\n    patience:\n      timeout:{timeout}\n\
             work: {{r: [wait: {{constant: 1ms}}]}}\ndesigns:\n  d: {{enter: {{users: g}}, nodes: {{g: {{function_url: {{to: f}}}}, f: {{lambda: {{memory: 512MB, \
             runtime: nodejs22, timeout: 3s, account: a}}}}}}, accounts: {{a: {{concurrency: 1000}}}}}}\n"
        )
    };
    let empty = told(&yaml(""));
    assert_eq!(empty.len(), 1, "{empty:?}");
    assert_eq!(
        (empty[0].0.as_str(), empty[0].1.as_str()),
        ("E0206", "workload.users.patience.timeout")
    );
    assert_eq!(told(&yaml(" # later")).len(), 1);
    // Said aloud, none is none.
    for none in [" null", " ~", " 3s"] {
        assert_eq!(told(&yaml(none)), [], "{none}");
    }
    let place = "/workload/buyers/patience/timeout";
    assert_eq!(found(place, Value::Null), []);
}

#[test]
fn pools_that_together_exceed_the_database_are_told_with_the_sums() {
    let pool = format!("{NODES}/api/pods/pool");
    let path = "designs.small.nodes.api.pods.pool.db.max";
    // 97 of 100 slots are for everybody: PostgreSQL keeps three for administrators.
    let words = "4 pods of \"api\" × 25 = 100 connections at most, and \"db\" has 97 slots";
    one(&pool, json!({"db": {"max": 25}}), "W0462", path, words);
    assert_eq!(found(&pool, json!({"db": {"max": 24}})), []);
    assert_eq!(found(&pool, json!({"db": {"mode": "direct", "max": 100}})), []);
    // Two services that each stay within them.
    let mut scenario = shop();
    let nodes = &mut scenario["designs"]["small"]["nodes"];
    nodes["api"]["pods"]["pool"]["db"]["max"] = json!(20);
    nodes["more"] = nodes["api"].clone();
    nodes["edge"]["nginx"]["upstream"] = json!(["api", "more"]);
    let found = told(&scenario.to_string());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].2.contains("4 pods of \"api\" × 20 + 4 pods of \"more\" × 20 = 160"));
}

#[test]
fn a_class_is_of_its_nodes_family() {
    let find = |db: Value| {
        let mut scenario = shop();
        scenario["designs"]["small"]["nodes"]["db"] = db;
        let found = findings(scenario.to_string().as_bytes());
        let told = found.sorted().into_iter().filter(|f| f.code == "E0320" || f.code == "E0399");
        told.map(|f| (f.code, f.path.clone(), f.remedy.clone())).collect::<Vec<_>>()
    };
    let db = |kind: &str, class: &str| {
        find(json!({kind: {"connections": 100, "vcpu": 2, "class": class}}))
    };
    let at = |inside: &str| format!("designs.small.nodes.db.{inside}");
    // AWS's own name of the class leads to the database's price, not to that of a bare host.
    let found = db("postgres", "db.m5.large");
    assert_eq!((found.len(), found[0].0, &found[0].1), (1, "E0320", &at("postgres")));
    assert!(found[0].2.starts_with("did you mean `rds.postgres.m5.large`?"), "{found:?}");
    for (kind, class, meant) in [
        ("postgres", "ec2.m5.large", "did you mean `rds.postgres.m5.large`?"),
        ("postgres", "rds.mysql.m5.large", "did you mean `rds.postgres.m5.large`?"),
        ("mysql", "rds.postgres.t3.small", "name an item of `rds.mysql.…`"),
        ("documentdb", "rds.postgres.r5.large", "did you mean `documentdb.r5.large`?"),
        ("mongodb", "nat.hour", "name an item of `mongodb.…`, or one of your own"),
    ] {
        let found = db(kind, class);
        assert_eq!(found.len(), 1, "{kind} {class}: {found:?}");
        assert_eq!((found[0].0, &found[0].1), ("E0399", &at(&format!("{kind}.class"))));
        assert!(found[0].2.contains(meant), "{kind} {class}: {found:?}");
    }
    let cache = |class: &str| {
        find(json!({"cache": {"to": "db", "contents": {"hit_ratio": 0.9}, "class": class}}))
    };
    assert_eq!(cache("ec2.m5.large")[0].0, "E0399");
    assert!(!cache("cache.m5.large")[0].2.contains("did you mean"));
    for (kind, class) in [
        ("mysql", "rds.aurora_mysql.r5.large"),
        ("mysql", "rds.mysql.t3.micro"),
        ("documentdb", "documentdb.t3.medium"),
    ] {
        assert_eq!(db(kind, class), [], "{kind} {class}");
    }
}

#[test]
fn a_balancer_that_mixes_kinds_over_services_is_told() {
    let mut scenario = shop();
    let api = scenario["designs"]["small"]["nodes"]["api"].clone();
    let design = &mut scenario["designs"]["small"];
    design["nodes"]["other"] = api;
    design["nodes"]["edge"] = json!({"alb": {"to": ["api", "other"]}});
    let told_of = |scenario: &Value| {
        told(&scenario.to_string()).into_iter().filter(|row| row.0 == "W0431").collect::<Vec<_>>()
    };
    // One kind of request over two services is a service in two parts.
    assert_eq!(told_of(&scenario), []);
    scenario["work"]["look"] = scenario["work"]["buy"].clone();
    scenario["workload"]["readers"] = scenario["workload"]["buyers"].clone();
    scenario["workload"]["readers"]["request"] = json!("look");
    scenario["designs"]["small"]["enter"]["readers"] = json!("edge");
    let found = told_of(&scenario);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, "designs.small.nodes.edge.alb.to");
    assert_eq!(
        found[0].2,
        "requests of \"buy\", \"look\" go in turn to each of \"api\", \"other\""
    );
    scenario["designs"]["small"]["nodes"]["edge"]["alb"]["to"] = json!(["api"]);
    assert_eq!(told_of(&scenario), []);
}

#[test]
fn windows_that_exceed_a_month_are_told() {
    let at = "run.month.windows";
    let run = |windows: f64| json!({"month": {"windows": windows}});
    // 240 s each: 10,950 of them are a month.
    assert_eq!(found("/run", run(10_950.0)), []);
    // One more is a little too long.
    one("/run", run(10_951.0), "W0432", at, "are 730 h, and a month has 730");
    one("/run", run(1e9), "W0432", at, "windows of 4m or more");
}

#[test]
fn what_may_stand_behind_a_kind_is_said() {
    let mut scenario = shop();
    scenario["designs"]["small"]["nodes"]["edge"] = json!({"alb": {"to": ["db"]}});
    let found = findings(scenario.to_string().as_bytes());
    let found = found.sorted().into_iter().find(|f| f.code == "E0303").unwrap();
    assert_eq!(found.message, "an alb cannot lead to \"db\", which is a postgres");
    let behind = "`node_port`, `alb`, `nginx`";
    assert!(!found.remedy.contains(behind) && found.remedy.contains("`pods`"), "{}", found.remedy);
    assert!(found.remedy.starts_with("it leads to `node_port`, `haproxy`"), "{}", found.remedy);
}

#[test]
fn names_that_hide_what_they_are_are_refused() {
    for mark in ["\u{202e}", "\u{1}", "\u{200b}", "\u{7f}", "\u{feff}"] {
        let mut scenario = shop();
        let name = format!("lo{mark}ok");
        scenario["work"][&name] = scenario["work"]["buy"].clone();
        let found = told(&scenario.to_string());
        let refused = found.iter().find(|row| row.0 == "E0304").unwrap();
        assert!(refused.1 == "work" && !refused.2.contains(mark), "{refused:?}");
    }
}

#[test]
fn a_key_by_its_name_elsewhere_leads_to_its_name_here() {
    let place = "/workload/buyers/retry/exponential/max";
    let mut scenario = shop();
    *scenario.pointer_mut(place.trim_end_matches("/max")).unwrap() =
        json!({"attempts": 4, "base": "200ms", "max": "5s"});
    let found = findings(scenario.to_string().as_bytes());
    let found = found.sorted()[0].clone();
    assert_eq!((found.code, found.remedy.as_str()), ("E0201", "here it is `cap`"));
}
