//! The kernel's side of a connect: accept queue, dropped SYNs and their resend times.
//!
//! A listening socket holds min(backlog, somaxconn) + 1 established connections that nobody accepted yet. A SYN
//! that meets a full queue is dropped silently; the client's kernel resends it, to the same address, at fixed
//! times (Linux `Documentation/networking/ip-sysctl.rst`: `tcp_syn_retries` 6, and `tcp_syn_linear_timeouts` 4
//! from Linux 6.5), and gives up at last.

use crate::kernel::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which kernel the connecting side runs: decides when a lost SYN is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SynRetry {
    /// Linux before 6.5: after 1, 3, 7, 15, 31, 63 s; ETIMEDOUT at 127 s.
    #[default]
    Exponential,
    /// Linux 6.5 and later: after 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s; ETIMEDOUT at 131 s.
    Linear,
}

impl SynRetry {
    /// Seconds after the first SYN of every resend; the last one is the end of patience.
    fn times(self) -> &'static [u64] {
        match self {
            SynRetry::Exponential => &[1, 3, 7, 15, 31, 63, 127],
            SynRetry::Linear => &[1, 2, 3, 4, 5, 7, 11, 19, 35, 67, 131],
        }
    }

    /// How long to wait after the `tries`-th SYN (1 is the first) and whether the next thing is to give up.
    pub fn wait_after(self, tries: u32) -> (Span, bool) {
        let times = self.times();
        let at = (tries.max(1) as usize - 1).min(times.len() - 1);
        let before = if at == 0 { 0 } else { times[at - 1] };
        (Span::from_secs(times[at] - before), at + 1 >= times.len())
    }
}

/// Places in the accept queue: min(backlog, somaxconn) + 1.
pub fn accept_queue(backlog: u32, somaxconn: u32) -> usize {
    backlog.min(somaxconn) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kernel: SynRetry) -> Vec<u64> {
        let mut at = 0;
        (1..)
            .map_while(|tries| {
                let (wait, _) = kernel.wait_after(tries);
                let over = tries > 1 && kernel.wait_after(tries - 1).1;
                at += wait.nanos() / 1_000_000_000;
                (!over).then_some(at)
            })
            .collect()
    }

    #[test]
    fn t_tcp_3_never_accepted_ends_at_127_or_131_seconds() {
        assert_eq!(schedule(SynRetry::Exponential), [1, 3, 7, 15, 31, 63, 127]);
        assert_eq!(schedule(SynRetry::Linear), [1, 2, 3, 4, 5, 7, 11, 19, 35, 67, 131]);
    }

    #[test]
    fn one_more_than_the_backlog() {
        assert_eq!(accept_queue(5, 4096), 6);
        assert_eq!(accept_queue(511, 128), 129);
    }
}
