//! What a design costs whatever its load: lines of its bill, and every figure that is made of them.

use super::common::{plan, result};
use super::scenario::{codes, findings};
use headroom::experiment::Silent;
use headroom::experiment::find::{Effort, Grid, Search, break_even};
use headroom::experiment::result::{CostLine, DesignResult};
use headroom::scenario::{Path, explain, schema_of, spec::Scenario};
use serde_json::{Value, json};

/// A request a second to a pod that nobody pays for, for so long; the second design pays for something besides.
fn scenario(lasts: &str, plain: &Value, paid: &Value) -> String {
    let design = |fixed: &Value| json!({"enter": {"w": "api"}, "nodes": {"api": {"pods": {"replicas": 1}}}, "fixed": fixed});
    json!({"name": "f", "work": {"r": [{"wait": {"constant": "10ms"}}]},
        "workload": {"w": {"request": "r", "load": {"open": {"rate": {"steady": {"rate": "1/s", "for": lasts}}}}}},
        "designs": {"plain": design(plain), "paid": design(paid)},
        "run": {"replications": 3, "seed": 1}})
    .to_string()
}

fn cluster() -> Value {
    json!({"control plane": {"item": {"name": "eks.cluster_hour"}}, "NAT": {"item": {"name": "nat.hour", "count": 2}},
        "monitoring": {"fee": {"price": "15/month", "count": 3}}, "licence": {"fee": {"price": "0.5/hour", "count": 0.25}},
        "support": {"fee": {"price": "876/year"}}})
}

/// A bill counts hours in billionths, which of some minutes is the eighth digit.
fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-7 * b.abs().max(1e-3), "{a} {b}");
}

#[test]
fn each_has_a_line_and_a_month_is_exact() {
    let result = result(&scenario("10m", &json!({}), &cluster()));
    let [plain, paid] = [0, 1].map(|at| &result.designs[at].cost);
    assert!(plain.lines.is_empty() && plain.total.value == 0.0);
    let line = |name: &str| -> &CostLine { paid.lines.iter().find(|l| l.node == name).unwrap() };
    let shown: Vec<_> = paid.lines.iter().map(|l| (l.node.as_str(), l.item.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("NAT", "nat.hour"),
            ("control plane", "eks.cluster_hour"),
            ("licence", "fee"),
            ("monitoring", "fee"),
            ("support", "fee")
        ]
    );
    for (name, monthly) in [
        ("NAT", 65.70),
        ("control plane", 73.0),
        ("licence", 91.25),
        ("monitoring", 45.0),
        ("support", 73.0),
    ] {
        close(line(name).monthly, monthly);
        assert!(line(name).reserved && line(name).unit == "hour" && line(name).idle == 0.0);
    }
    close(paid.monthly.value, 347.95);
    // In the window an hour costs a 730th of it; items of the table are billed in started seconds.
    let hours = result.designs[1].duration.value / 3600.0;
    close(line("licence").amount, 0.125 * hours);
    close(line("monitoring").amount, 45.0 / 730.0 * hours);
    let plane = line("control plane");
    close(plane.amount, 0.10 * plane.quantity);
    assert!(plane.quantity >= hours && plane.quantity < hours + 1.0 / 3600.0, "{plane:?}");
    close(paid.total.value, paid.lines.iter().map(|l| l.amount).sum());
    assert!(paid.per_user.value > 0.0 && paid.per_user_monthly.unwrap().value > 0.0);
    let gap = result.differences.iter().find(|row| row.metric == "cost_total").unwrap();
    close(gap.difference.value, paid.total.value);
}

#[test]
fn a_host_of_its_own_is_billed_like_every_host() {
    let fixed = json!({"bastion": {"item": {"name": "ec2.t3.medium", "count": 2}}});
    let result = result(&scenario("20s", &json!({}), &fixed));
    let line = &result.designs[1].cost.lines[0];
    close(line.quantity, 2.0 / 60.0);
    close(line.monthly, 2.0 * 730.0 * 0.0416);
}

#[test]
fn fargate_by_its_vcpus_and_memory_a_minute_at_least() {
    // Three tasks of 0.5 vCPU and 1 GB: 0.5 x 0.04048 + 0.004445 an hour each.
    let fixed = json!({"vcpu": {"item": {"name": "fargate.vcpu_hour", "count": 1.5}},
        "memory": {"item": {"name": "fargate.gb_hour", "count": 3}}});
    let cost = &result(&scenario("20s", &json!({}), &fixed)).designs[1].cost;
    close(cost.total.value, 3.0 * 0.024_685 / 60.0);
    close(cost.monthly.value, 3.0 * 0.024_685 * 730.0);
}

#[test]
fn nobody_serves_a_user_for_less_than_what_stands_there() {
    // Twice the users, half the fixed cost for each of them.
    let of = |rate: &str| {
        let text = scenario("10m", &json!({}), &cluster()).replace("\"1/s\"", rate);
        result(&text).designs[1].cost.per_user_monthly.unwrap()
    };
    let (few, many) = (of("\"1/s\""), of("\"10/s\""));
    assert!(few.low > 8.0 * many.high && few.high < 12.0 * many.low, "{few:?} {many:?}");
}

#[test]
fn a_break_even_of_an_own_price_is_the_price_of_the_other() {
    let price = "designs.plain.fixed.vendor.fee.price";
    let plain = json!({"vendor": {"fee": {"price": "60/month"}}});
    let paid = json!({"control plane": {"item": {"name": "eks.cluster_hour"}}});
    let plan = plan(&scenario("2m", &plain, &paid));
    let path = [Path::parse(price)];
    let make = |values: &[Value]| plan.with(&path, values);
    let show = |metric: &str, value: f64| headroom::report::find::figure(metric, value, "USD");
    let effort = Effort { least: 3, most: 6 };
    let search = Search { make: &make, observer: &Silent, effort, precision: 0.001, show: &show };
    let grid = Grid::parse(price, "60/month..90/month:1/month").unwrap();
    let (answer, _, stop) = break_even(&search, &grid, ["plain", "paid"], "cost_monthly", &[]);
    assert_eq!(stop, None);
    let found = answer.estimate.unwrap();
    assert!(found.low >= 72.0 && found.high <= 74.0, "{}", answer.text);
}

#[test]
fn what_cannot_be_paid_for_by_the_hour_is_told() {
    // That the pod's host is not on the bill is told as well, twice.
    let told = |fixed: Value| -> Vec<_> {
        let all = codes(&scenario("1m", &json!({}), &fixed));
        all.into_iter().filter(|code| *code != "W0401").collect()
    };
    let item = |name: &str| json!({"x": {"item": {"name": name}}});
    assert_eq!(told(cluster()), Vec::<&str>::new());
    assert_eq!(told(item("nat.gb")), ["E0394"]);
    assert_eq!(told(item("alb.lcu_hour")), ["E0394"]);
    assert_eq!(told(item("eks.cluster")), ["E0320"]);
    assert_eq!(told(json!({"api": {"fee": {"price": "1/hour"}}})), ["E0395"]);
    assert_eq!(told(json!({"a.b": {"fee": {"price": "1/hour"}}})), ["E0304"]);
    for (price, code) in [
        (json!("$120/month"), "E0210"),
        (json!("120"), "E0211"),
        (json!("1/week"), "E0210"),
        (json!("-1/hour"), "E0210"),
        (json!("0.1234567890123/hour"), "E0210"),
        (json!(120), "E0211"),
    ] {
        assert_eq!(told(json!({"x": {"fee": {"price": price.clone()}}})), [code], "{price}");
    }
    for count in [-1.0, 10_001.0] {
        assert_eq!(told(json!({"x": {"fee": {"price": "1/hour", "count": count}}})), ["E0207"]);
    }
    let found = findings(scenario("1m", &json!({}), &item("nat.gb")).as_bytes());
    let found = found.sorted();
    let found = found.iter().find(|one| one.code == "E0394").unwrap();
    assert_eq!(found.path, "designs.paid.fixed.x.item.name");
    assert!(found.message.contains("by the GB") && found.remedy.contains("`fee`"), "{found:?}");
}

#[test]
fn the_largest_fee_fits_a_bill() {
    let fixed = json!({"x": {"fee": {"price": "1000000/hour", "count": 10_000}}});
    let cost = &result(&scenario("1m", &json!({}), &fixed)).designs[1].cost;
    close(cost.monthly.value, 7.3e12);
}

#[test]
fn explained_with_meaning_and_unit() {
    let text = explain(&schema_of::<Scenario>(), "designs.*.fixed.*.fee.price", false).unwrap();
    assert!(text.contains("730 h") && text.contains("120/month"), "{text}");
}

/// Pods on Fargate for a minute of ten requests a second; `more` is what else the pods have.
fn fargate(hosts: &Value, more: &Value) -> String {
    let mut pods = json!({"replicas": 2, "hosts": hosts, "runtime": {"threads": {"threads": 1}}});
    pods.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "fargate", "work": {"r": [{"cpu": {"constant": "10ms"}}]},
        "workload": {"w": {"request": "r", "load": {"open": {"rate": {"steady": {"rate": "10/s", "for": "10m"}}}}}},
        "designs": {"d": {"enter": {"w": "port"}, "nodes": {"port": {"node_port": {"to": "api"}}, "api": {"pods": pods}}}},
        "run": {"replications": 2, "seed": 1}})
    .to_string()
}

/// Pods that come and go are paid for as long as each is there: two all the time, four more from the first to the fifth minute.
#[test]
fn pods_on_fargate_are_billed_while_they_are_there() {
    let size = json!({"fargate": {"vcpu": 0.5, "memory": "1GB"}});
    let hour = 0.5 * 0.040_48 + 0.004_445;
    let fixed = result(&fargate(&size, &json!({}))).designs.remove(0);
    let line = |design: &DesignResult, item: &str| {
        design.cost.lines.iter().find(|line| line.item == item).unwrap().clone()
    };
    let seconds = line(&fixed, "fargate.gb_hour").quantity * 3600.0;
    assert!((1_200.0..=1_204.0).contains(&seconds), "{seconds}");
    close(fixed.cost.total.value, seconds / 3600.0 * hour);
    // The month has two pods at all times.
    close(fixed.cost.monthly.value, 2.0 * 730.0 * hour);
    let scaled = json!({"autoscaler": {"max_replicas": 6, "start": {"constant": "20s"}, "ready": {"constant": "0s"}, "drain": "0s",
        "scheduled": [{"at": "1m", "replicas": 6}, {"at": "5m", "replicas": 2}]}});
    let scaled = result(&fargate(&size, &scaled)).designs.remove(0);
    let more = line(&scaled, "fargate.vcpu_hour").quantity * 3600.0 / 0.5 - seconds;
    // 240 s each, and what their last requests take.
    assert!((960.0..=980.0).contains(&more.round()), "{more}");
    // Each has half a vCPU for itself: 10 ms take 20 ms.
    assert!((fixed.latency.p50.value - scaled.latency.p50.value).abs() < 0.01);
    let told = &fixed.limits.iter().find(|limit| limit.limit == "cpu").map(|limit| &limit.about);
    assert!(told.is_none_or(|about| about == "Fargate's 0.5 vCPU per pod, speed 1"), "{told:?}");
}

#[test]
fn fargate_has_sizes_and_no_hosts() {
    let codes = |hosts: Value| codes(&fargate(&hosts, &json!({})));
    let size = |vcpu: f64, memory: &str| json!({"fargate": {"vcpu": vcpu, "memory": memory}});
    for (vcpu, memory) in [(0.25, "512MB"), (1.0, "8GB"), (4.0, "30GB"), (16.0, "120GB")] {
        assert!(!codes(size(vcpu, memory)).contains(&"E0410"), "{vcpu} {memory}");
    }
    for (vcpu, memory) in [(0.3, "1GB"), (0.25, "1536MB"), (1.0, "9GB"), (8.0, "17GB")] {
        assert_eq!(codes(size(vcpu, memory)), ["E0410"], "{vcpu} {memory}");
    }
    let mut both = size(1.0, "2GB");
    both["count"] = json!(2);
    both["instance"] = json!("m5.large");
    assert_eq!(codes(both), ["E0411", "E0411"]);
}
