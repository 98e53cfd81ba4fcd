//! What a case may have configured that no scenario can say: refused, not left out.

use super::case::Config;
use super::kernel::{CONVERTED, WITHOUT_INFLUENCE, beyond};
use super::nginx::next_upstream;
use crate::model::entry::nginx::NextOn;

/// Which idle instance is taken.
const ORDERS: [&str; 3] = ["most recently used", "least recently used", "random"];
/// Which waiting request is taken.
const DISCIPLINES: [&str; 3] = ["fifo", "lifo", "random"];

/// Refuses a configuration that has no counterpart.
///
/// # Errors
/// Names all that has none.
pub(super) fn refuse(config: &Config) -> Result<(), String> {
    let lambda = config.lambda.as_ref();
    let pods = || config.pods.iter().flatten();
    let mut words = vec![("load.arrivals", &config.load.arrivals, &["poisson", "even"][..])];
    if let Some(lambda) = lambda {
        words.push(("lambda.pick_idle", &lambda.pick_idle, &ORDERS));
        words.push(("lambda.conn_mode", &lambda.conn_mode, &["hold", "perinv"]));
    }
    words.extend(
        pods().map(|pod| ("pods.queue_discipline", &pod.queue_discipline, &DISCIPLINES[..])),
    );
    let mut found = Vec::new();
    for (what, word, known) in words {
        if let Some(word) = word.as_ref().filter(|word| !known.contains(&word.as_str())) {
            found.push(format!("{what} \"{word}\""));
        }
    }
    for pod in pods() {
        let several = pod.kind == "gunicorn" && pod.workers.is_some_and(|workers| workers > 1);
        // A request waits for the threads of the process that accepted its connection, whatever those of the others do, and which one
        // accepts is a race: with 4 processes of 2 threads one served between 6 and 49 % of the requests (gunicorn 27.0.1).
        if several && pod.threads.is_some_and(|threads| threads > 1) {
            found.push("pods.threads of gunicorn with several workers".into());
        }
        if several && pod.db.as_ref().is_some_and(|db| db.mode == "pool") {
            found.push("pods.db.mode \"pool\" of gunicorn with several workers".into());
        }
    }
    // All clients of the measuring machine have one address, and go to one server.
    let by_address = |lb: &Option<String>| lb.as_deref() == Some("ip_hash");
    if config.nginx.as_ref().is_some_and(|nginx| by_address(&nginx.upstream.lb))
        && pods().count() > 1
    {
        found.push(
            "nginx.upstream.lb \"ip_hash\" with several servers and one client address".into(),
        );
    }
    let known = |word: &&str| serde_json::from_value::<NextOn>((*word).into()).is_ok();
    let words = config.nginx.iter().flat_map(next_upstream);
    let unknown = words.filter(|word| !known(word));
    found.extend(unknown.map(|word| format!("nginx.proxy_next_upstream \"{word}\"")));
    let settings = config.sysctl.iter().flat_map(|settings| settings.keys());
    let known = |name: &&String| {
        CONVERTED.iter().chain(&WITHOUT_INFLUENCE).any(|known| name.ends_with(known))
    };
    found.extend(settings.filter(|name| !known(name)).map(|name| format!("sysctl {name}")));
    found.extend(beyond(config));
    found.dedup();
    if found.is_empty() { Ok(()) } else { Err(format!("not modelled: {}", found.join(", "))) }
}
