//! x
use headroom::experiment::{Plan, Silent, run};
fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let scenario: headroom::scenario::spec::Scenario = serde_json::from_str(&text).unwrap();
    let prices = headroom::price::Table::builtin("us-east-1").unwrap();
    let data = headroom::model::data::Data::default();
    for p in headroom::scenario::check(&scenario, &data, Some(&prices)) { eprintln!("{p:?}"); }
    let plan = Plan { resolved: serde_json::to_value(&scenario).unwrap(), scenario, data, prices, assumptions: vec![] };
    let t = std::time::Instant::now();
    let r = run(&plan, &Silent).unwrap();
    eprintln!("{:?}", t.elapsed());
    for d in &r.designs {
        println!("== {} success {:.4} [{:.4},{:.4}] mean {:.3} all {:.3} p50 {:.3} p95 {:.3} req {:.0} dur {:.1} unfinished {} cost/user {:.6} total {:.5}", d.name, d.success_rate.value, d.success_rate.low, d.success_rate.high, d.latency.mean.value, d.latency_all.mean.value, d.latency.p50.value, d.latency.p95.value, d.requests.value, d.duration.value, d.unfinished.value, d.cost.per_user.value, d.cost.total.value);
        for f in &d.failures { println!("   {} {} {} n {:.1} share {:.4} first {:.3}", f.cause, f.node, f.status, f.count.value, f.share.value, f.first_at); }
        if let Some(b) = &d.bottleneck { println!("   bottleneck {} {} at {:.3} failures {:.0} wait {:.0}", b.node, b.about, b.at, b.failures.value, b.waiting.value); }
        for b in &d.limits { println!("     limit {} {} at {:.3} in {:.2} fail {:.0} wait {:.0}", b.node, b.about, b.at, b.bound_in, b.failures.value, b.waiting.value); }
        for n in &d.nodes { println!("     node {} arrived {:.0} ok {:.0} time {:.4} busy {:.1}/{:.0} {:?}", n.name, n.arrived.value, n.ok.value, n.time_mean.value, n.busy_mean.value, n.busy_max, n.counters.iter().map(|c| format!("{}={:.0}", c.name, c.value.value)).collect::<Vec<_>>()); }
        for l in &d.cost.lines { println!("     cost {} {} {:.4} {} = {:.6}", l.node, l.item, l.quantity, l.unit, l.amount); }
    }
}
