//! What a case may have configured that no scenario can say: refused, not left out.

use super::case::Config;
use super::nginx::next_upstream;
use crate::model::entry::nginx::NextOn;

/// Kernel settings that scenarios know.
const SYSCTLS: [&str; 4] =
    ["somaxconn", "tcp_syn_linear_timeouts", "tcp_syncookies", "tcp_abort_on_overflow"];

/// Refuses a configuration that has no counterpart.
///
/// # Errors
/// Names all that has none.
pub(super) fn refuse(config: &Config) -> Result<(), String> {
    let lambda = config.lambda.as_ref();
    let pods = || config.pods.iter().flatten();
    let mut words = vec![("load.arrivals", &config.load.arrivals, &["poisson", "even"][..])];
    if let Some(lambda) = lambda {
        words.push(("lambda.pick_idle", &lambda.pick_idle, &["most recently used"]));
        words.push(("lambda.conn_mode", &lambda.conn_mode, &["hold", "perinv"]));
    }
    words.extend(pods().map(|pod| ("pods.queue_discipline", &pod.queue_discipline, &["fifo"][..])));
    let mut found = Vec::new();
    for (what, word, known) in words {
        if let Some(word) = word.as_ref().filter(|word| !known.contains(&word.as_str())) {
            found.push(format!("{what} \"{word}\""));
        }
    }
    for pod in pods() {
        if pod.threads.is_some_and(|threads| threads > 1) {
            found.push("pods.threads above 1".into());
        }
    }
    if lambda.is_some_and(|lambda| lambda.prewarm > 0) {
        found.push("lambda.prewarm".into());
    }
    if config.nginx.as_ref().is_some_and(|nginx| nginx.accept_mutex && nginx.worker_processes > 1) {
        found.push("nginx.accept_mutex with several workers".into());
    }
    let known = |word: &&str| serde_json::from_value::<NextOn>((*word).into()).is_ok();
    let words = config.nginx.iter().flat_map(next_upstream);
    let unknown = words.filter(|word| !known(word));
    found.extend(unknown.map(|word| format!("nginx.proxy_next_upstream \"{word}\"")));
    let settings = config.sysctl.iter().flat_map(|settings| settings.keys());
    let unknown = settings.filter(|name| !SYSCTLS.iter().any(|known| name.ends_with(known)));
    found.extend(unknown.map(|name| format!("sysctl {name}")));
    found.dedup();
    if found.is_empty() { Ok(()) } else { Err(format!("not modelled: {}", found.join(", "))) }
}
