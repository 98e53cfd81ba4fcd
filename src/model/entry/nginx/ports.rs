//! Ephemeral ports of nginx's host toward its upstream servers.

use crate::kernel::{Span, Time};
use std::collections::VecDeque;

/// How long the side that closes a connection first keeps its port (`include/net/tcp.h`, TCP_TIMEWAIT_LEN).
const TIME_WAIT: Span = Span::from_secs(60);

/// The ports toward one address and port: in use by connections, or in TIME_WAIT.
#[derive(Debug, Clone, Default)]
pub(super) struct Ports {
    used: u32,
    /// When ports in TIME_WAIT become free, in order.
    waiting: VecDeque<Time>,
}

impl Ports {
    /// Takes one of `all` ports, if one is free.
    pub(super) fn take(&mut self, all: u32, now: Time) -> bool {
        while self.waiting.front().is_some_and(|free| *free <= now) {
            self.waiting.pop_front();
        }
        let free = u64::from(all) > u64::from(self.used) + self.waiting.len() as u64;
        self.used += u32::from(free);
        free
    }

    /// A connection is closed; the side that does it first keeps the port for a while.
    pub(super) fn give(&mut self, closed_first: bool, now: Time) {
        self.used -= 1;
        if closed_first {
            self.waiting.push_back(now + TIME_WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_tcp_4_the_side_that_closes_first_opens_a_sixtieth_of_its_ports_a_second() {
        // 28,232 ports and TIME_WAIT of 60 s: 470.5 new connections a second.
        let (mut ports, mut opened) = (Ports::default(), 0_u32);
        let seconds = 600_u64;
        for ms in 0..seconds * 1000 {
            let now = Time::from_nanos(ms * 1_000_000);
            if ports.take(28_232, now) {
                opened += 1;
                ports.give(true, now);
            }
        }
        let rate = f64::from(opened) / seconds as f64;
        assert!((rate - 470.5).abs() < 0.1, "{rate}");
        // The other side closes first: no limit.
        let mut ports = Ports::default();
        for ms in 0..100_000 {
            assert!(ports.take(100, Time::from_nanos(ms)));
            ports.give(false, Time::from_nanos(ms));
        }
    }

    #[test]
    fn t_tcp_4_with_100_ports_exactly_100_connections_and_then_errors() {
        let mut ports = Ports::default();
        let opened = (0..300).filter(|_| ports.take(100, Time::ZERO)).count();
        assert_eq!(opened, 100);
    }
}
