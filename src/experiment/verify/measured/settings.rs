//! Times of a case as a scenario writes them, and the kernel settings that it changed.

use super::case::Config;

/// A time in seconds as a text that keeps microseconds.
pub(super) fn s(seconds: f64) -> String {
    format!("{}us", (seconds * 1e6).round())
}

pub(super) fn ms(milliseconds: f64) -> String {
    s(milliseconds / 1e3)
}

pub(super) fn sysctl(config: &Config, name: &str) -> Option<f64> {
    let settings = config.sysctl.as_ref()?;
    let (_, value) = settings.iter().find(|(key, _)| key.ends_with(name))?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// `net.core.somaxconn`; the measuring machine's kernel has 4,096.
pub(super) fn somaxconn(config: &Config) -> u32 {
    sysctl(config, "somaxconn").map_or(4096, |value| value as u32)
}

/// When a lost SYN is sent again: as on Linux 6.5 and later, unless the case says otherwise.
pub(super) fn syn_retry(config: &Config) -> &'static str {
    let classic = sysctl(config, "tcp_syn_linear_timeouts") == Some(0.0);
    if classic { "exponential" } else { "linear" }
}

pub(super) fn syncookies(config: &Config) -> bool {
    sysctl(config, "tcp_syncookies") != Some(0.0)
}
