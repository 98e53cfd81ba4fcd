//! The kernel's side of a connect: accept queue, dropped SYNs and their resend times.
//!
//! A listening socket holds min(backlog, somaxconn) + 1 established connections that nobody accepted yet. A SYN
//! that meets a full queue is dropped silently; the client's kernel resends it, to the same address, at fixed
//! times (Linux `Documentation/networking/ip-sysctl.rst`: `tcp_syn_retries` 6, and `tcp_syn_linear_timeouts` 4
//! from Linux 6.5), and gives up at last.
//!
//! A SYN meets the queue as it is *before* the handshakes that are under way have ended. So of many SYNs that arrive within
//! one round trip all are answered, and those whose last ACK then finds the queue full are *half-open*: the client
//! believes that it is connected and sends its request, which the server's kernel drops and the client's kernel sends again
//! and again. Each repetition is a new chance to enter the queue. With `tcp_syncookies` 1 there may be any number of
//! half-open connections, with 0 as many as the backlog.
//!
//! As many half-open connections as the backlog are remembered in the SYN queue; all others got a cookie, which the kernel need not
//! remember. It forgets those of the SYN queue after `tcp_synack_retries` 5 repetitions of its SYN-ACK (63 s), and after 2 of them (7 s)
//! while that queue is more than half full (Linux net/ipv4/inet_connection_sock.c, `reqsk_timer_handler`; that many
//! young ones make it more patient is left out). Data of a forgotten connection is answered with a reset.

use super::message::CallId;
use crate::kernel::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

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

/// `net.ipv4.tcp_syn_retries` unless said otherwise (Linux ip-sysctl).
pub const SYN_RETRIES: u8 = 6;
/// Most that a scenario may say: 24 days.
pub const SYN_RETRIES_MAX: u8 = 20;
/// `tcp_syn_linear_timeouts` (Linux ip-sysctl: 4): resends a second apart that come before the others.
const LINEAR_TIMEOUTS: u32 = 4;

impl SynRetry {
    /// How long to wait after the `tries`-th SYN (1 is the first) and whether the next thing is to give up, with so many `tcp_syn_retries`:
    /// at the first of these times at which so many doubling ones would be over (measured on Linux 6.18: with four linear ones and 1 or 2
    /// retries at 3 and 7 s, as without them).
    pub fn wait_after(self, tries: u32, retries: u8) -> (Span, bool) {
        let linear = if self == SynRetry::Linear { LINEAR_TIMEOUTS } else { 0 };
        let resends = tries.max(1) - 1;
        let doublings = resends.saturating_sub(linear).min(u32::from(SYN_RETRIES_MAX));
        let at = u64::from(resends.min(linear)) + (2 << doublings) - 1;
        let over = at >= (2 << retries) - 1;
        (Span::from_secs(1 << doublings), over)
    }
}

/// Jiffies a second of the clients' kernel: Debian and Ubuntu build with `CONFIG_HZ=250`.
const HZ: u64 = 250;
/// Nanoseconds of one.
const JIFFY: u64 = 1_000_000_000 / HZ;
/// First repetition of data that was not acknowledged: a tail loss probe, then the retransmission timeout; both 200 ms beyond
/// the round trip (`TCP_RTO_MIN`, net/ipv4/tcp_output.c and tcp_timer.c).
const DATA_RETRY: Span = Span::from_millis(200);
/// `TCP_RTO_MAX`.
const DATA_RETRY_MAX: Span = Span::from_secs(120);

/// When a kernel timer that is to run for `wait` from `from` on fires: the timer wheel rounds up to an eighth of the timer's
/// order of magnitude (kernel/time/timer.c: 64 buckets a level, each level 8 times as coarse).
pub fn timer_wheel(from: Time, wait: Span) -> Time {
    let mut grain = JIFFY;
    let mut reach = 64 * JIFFY;
    while wait.nanos() >= reach && reach < 1 << 60 {
        reach *= 8;
        grain *= 8;
    }
    let at = (from + wait).nanos();
    Time::from_nanos(at.div_ceil(grain) * grain)
}

/// So many times the kernel sends data again before it gives up with ETIMEDOUT: a tail loss probe and 15 retransmissions
/// (`tcp_retries2`, Linux `Documentation/networking/ip-sysctl.rst`, which counts them as 924.6 s).
pub const DATA_RETRIES: u32 = 1 + 15;

/// How long the kernel waits before it sends data for the `n`-th time again (1 is the first). The timeout is a whole number of
/// jiffies, rounded up (`__tcp_set_rto`, `usecs_to_jiffies`), and doubles from the second repetition on.
pub fn data_retry(n: u32, rtt: Span) -> Span {
    let timeout = (DATA_RETRY + rtt).nanos().div_ceil(JIFFY) * JIFFY;
    let doublings = n.saturating_sub(2).min(16);
    (Span::from_nanos(timeout) * (1 << doublings)).min(DATA_RETRY_MAX)
}

/// What the kernel does with a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    /// The connection has a place in the accept queue.
    Queued,
    /// Half-open: the client is connected, the server does not know it.
    HalfOpen,
    /// The SYN is dropped.
    Dropped,
    /// The client is sent a reset.
    Reset,
}

/// What the kernel does with data of a half-open connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// The connection has a place in the accept queue now.
    Queued,
    /// The queue is full: the client will send it again.
    Lost,
    /// The connection was forgotten.
    Reset,
}

/// After so long half-open connections are forgotten while more than half of the SYN queue is in use, and after so long at the latest: 1 s,
/// doubling with each repetition (`TCP_TIMEOUT_INIT`).
const FORGOTTEN_IF_FULL: Span = Span::from_secs(1 + 2 + 4);
const FORGOTTEN: Span = Span::from_secs(1 + 2 + 4 + 8 + 16 + 32);
/// The SYN queue counts as half full from so many on.
const FEW: usize = 8;

/// The kernel's side of a listening socket: how full its accept queue is, without the queue itself.
#[derive(Debug, Clone)]
pub struct Listener {
    max: usize,
    half_open_max: usize,
    /// Half-open connections that have been in the SYN queue, and whether they were forgotten.
    known: BTreeMap<CallId, bool>,
    /// How many of them are in it.
    syn_queue: usize,
    /// The same by age, and since when; some of them are half-open no longer.
    oldest: VecDeque<(CallId, Time)>,
    full_since: Time,
    /// SYNs answered since `answered_since`: their handshakes may be under way.
    answered: usize,
    answered_since: Time,
    /// Connections given to idle processes at `taken_at`: they hold their places until those have woken up.
    taken: usize,
    taken_at: Time,
    /// `tcp_abort_on_overflow`.
    abort: bool,
}

impl Listener {
    /// A socket with this backlog.
    pub fn new(backlog: u32, somaxconn: u32, syncookies: bool) -> Listener {
        let max = accept_queue(backlog, somaxconn);
        Listener {
            max,
            known: BTreeMap::new(),
            syn_queue: 0,
            oldest: VecDeque::new(),
            half_open_max: if syncookies { usize::MAX } else { max - 1 },
            full_since: Time::MAX,
            answered: 0,
            answered_since: Time::ZERO,
            taken: 0,
            taken_at: Time::ZERO,
            abort: false,
        }
    }

    /// `net.ipv4.tcp_max_syn_backlog`: without syncookies no more connections than this are half-open.
    pub fn syn_backlog(self, most: u32) -> Listener {
        let cookies = self.half_open_max == usize::MAX;
        let half_open_max =
            if cookies { usize::MAX } else { self.half_open_max.min(most as usize) };
        Listener { half_open_max, ..self }
    }

    /// With `tcp_abort_on_overflow` 1 a last ACK that finds the queue full is answered with a reset, unless the SYN was
    /// answered with a cookie.
    pub fn aborting(self, abort: bool) -> Listener {
        Listener { abort, ..self }
    }

    /// A connection that has a place is taken by an idle process.
    pub fn taken(&mut self, now: Time) {
        if self.taken_at != now {
            self.taken_at = now;
            self.taken = 0;
        }
        self.taken += 1;
    }

    /// Places in use at this instant.
    fn in_use(&self, queued: usize, now: Time) -> usize {
        queued + if self.taken_at == now { self.taken } else { 0 }
    }

    /// Places in the accept queue.
    pub fn places(&self) -> usize {
        self.max
    }

    /// The SYN of a call comes in while `queued` connections wait to be accepted. `rtt` is the round trip of the path.
    #[inline(always)]
    pub fn syn(&mut self, call: CallId, queued: usize, now: Time, rtt: Span) -> Connect {
        let queued = self.in_use(queued, now);
        if now.since(self.answered_since) >= rtt {
            self.answered = 0;
            self.answered_since = now;
        }
        if queued < self.max {
            self.answered += 1;
            self.full_since = if queued + 1 == self.max { now } else { Time::MAX };
            return Connect::Queued;
        }
        self.syn_beyond(call, now, rtt)
    }

    /// The same where no place is free.
    #[inline(never)]
    fn syn_beyond(&mut self, call: CallId, now: Time, rtt: Span) -> Connect {
        // The handshakes that filled the queue have not ended yet: this SYN finds room and is answered.
        let in_flight = self.full_since != Time::MAX && now.since(self.full_since) < rtt;
        self.forget(now);
        if in_flight && self.syn_queue + self.answered < self.half_open_max {
            // The kernel remembers as many handshakes as the backlog; beyond them it sends cookies.
            if self.abort && self.answered + 1 < self.max {
                self.answered += 1;
                return Connect::Reset;
            }
            // Beyond the backlog it is a cookie.
            if self.syn_queue + self.answered + 1 < self.max {
                self.syn_queue += 1;
                self.known.insert(call, false);
                self.oldest.push_back((call, now));
            }
            return Connect::HalfOpen;
        }
        Connect::Dropped
    }

    /// The data of a half-open connection comes in again.
    pub fn data(&mut self, call: CallId, queued: usize, now: Time) -> Data {
        self.forget(now);
        if self.known.get(&call) == Some(&true) {
            self.gone(call);
            return Data::Reset;
        }
        let queued = self.in_use(queued, now);
        if queued >= self.max {
            return Data::Lost;
        }
        self.gone(call);
        self.full_since = if queued + 1 == self.max { now } else { Time::MAX };
        Data::Queued
    }

    /// Forgets the half-open connections whose time is over.
    fn forget(&mut self, now: Time) {
        while let Some(&(call, since)) = self.oldest.front() {
            let full = self.syn_queue * 2 > FEW.max(self.max - 1);
            let lasts = if full { FORGOTTEN_IF_FULL } else { FORGOTTEN };
            if let Some(forgotten) = self.known.get_mut(&call) {
                if now < since + lasts {
                    return;
                }
                *forgotten = true;
                self.syn_queue -= 1;
            }
            self.oldest.pop_front();
        }
    }

    /// A connection is half-open no longer, or its client has gone.
    pub fn gone(&mut self, call: CallId) {
        if self.known.remove(&call) == Some(false) {
            self.syn_queue -= 1;
        }
    }
}

/// Places in the accept queue: min(backlog, somaxconn) + 1.
pub fn accept_queue(backlog: u32, somaxconn: u32) -> usize {
    backlog.min(somaxconn) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    fn schedule(kernel: SynRetry, retries: u8) -> Vec<u64> {
        let mut at = 0;
        (1..)
            .map_while(|tries| {
                let (wait, _) = kernel.wait_after(tries, retries);
                let over = tries > 1 && kernel.wait_after(tries - 1, retries).1;
                at += wait.nanos() / 1_000_000_000;
                (!over).then_some(at)
            })
            .collect()
    }

    #[test]
    fn t_tcp_3_never_accepted_ends_at_127_or_131_seconds() {
        assert_eq!(schedule(SynRetry::Exponential, 6), [1, 3, 7, 15, 31, 63, 127]);
        assert_eq!(schedule(SynRetry::Linear, 6), [1, 2, 3, 4, 5, 7, 11, 19, 35, 67, 131]);
    }

    #[test]
    fn fewer_syn_retries_end_earlier() {
        // Measured on a 6.18 kernel at a full accept queue: ETIMEDOUT after 3.03, 7.13, 3.07 and 7.12 s.
        assert_eq!(schedule(SynRetry::Exponential, 2), [1, 3, 7]);
        assert_eq!(schedule(SynRetry::Exponential, 1), [1, 3]);
        assert_eq!(schedule(SynRetry::Linear, 2), [1, 2, 3, 4, 5, 7]);
        assert_eq!(schedule(SynRetry::Linear, 1), [1, 2, 3]);
    }

    #[test]
    fn kernel_timers_round_up_to_their_wheel() {
        // 1 s is 250 jiffies: level 1, 8 jiffies of 4 ms. 25.6 s are 6,400: level 3, 512 jiffies.
        let second = Span::from_secs(1);
        assert_eq!(timer_wheel(Time::from_nanos(3_000_000), second).nanos(), 1_024_000_000);
        assert_eq!(timer_wheel(Time::ZERO, Span::from_millis(25_600)).nanos(), 26_624_000_000);
        assert_eq!(timer_wheel(Time::ZERO, Span::from_millis(200)).nanos(), 200_000_000);
    }

    #[test]
    fn data_is_repeated_at_a_fifth_of_a_second_then_doubling() {
        // Measured on a 6.18 kernel after the connect: 0.2, 0.4, 0.85, 1.7, 3.5, 6.8, 13.5, 26.7, 54 s.
        // The clock of the wheel is not that of the connection.
        let begin = Time::from_nanos(5_000_000);
        let mut at = begin;
        let mut offsets = Vec::new();
        for n in 1..=9 {
            at = timer_wheel(at, data_retry(n, Span::ZERO));
            offsets.push(at.since(begin).as_secs_f64());
        }
        for (got, measured) in offsets.iter().zip([0.2, 0.4, 0.85, 1.7, 3.5, 6.8, 13.5, 26.7, 54.0])
        {
            assert!((got / measured - 1.0_f64).abs() < 0.08, "{offsets:?}");
        }
    }

    fn call(slot: usize) -> CallId {
        CallId { slot: slot as u32, turn: 0 }
    }

    #[test]
    fn simultaneous_syns_are_all_answered_and_later_ones_are_dropped() {
        let rtt = Span::from_millis(30);
        let mut listener = Listener::new(5, 4096, true);
        let now = Time::from_nanos(1);
        let mut queued = 0;
        let outcomes: Vec<_> = (0..20)
            .map(|i| {
                let outcome = listener.syn(call(i), queued, now, rtt);
                queued += usize::from(outcome == Connect::Queued);
                outcome
            })
            .collect();
        assert_eq!(outcomes.iter().filter(|o| **o == Connect::Queued).count(), 6);
        assert_eq!(outcomes.iter().filter(|o| **o == Connect::HalfOpen).count(), 14);
        assert_eq!(listener.syn(call(20), queued, now + rtt, rtt), Connect::Dropped);
        assert_eq!(listener.data(call(19), queued, now + rtt), Data::Lost);
        assert_eq!(listener.data(call(19), queued - 1, now + rtt), Data::Queued);
    }

    #[test]
    fn without_syncookies_half_open_connections_are_as_many_as_the_backlog() {
        let rtt = Span::from_millis(30);
        let mut listener = Listener::new(5, 4096, false);
        let outcomes: Vec<_> = (0..20_usize)
            .map(|i| listener.syn(call(i), i.min(6), Time::from_nanos(1), rtt))
            .collect();
        // Six are in the queue, and their handshakes are under way: more than the five that the kernel keeps.
        assert_eq!(outcomes.iter().filter(|o| **o == Connect::HalfOpen).count(), 0);
        assert_eq!(outcomes.iter().filter(|o| **o == Connect::Dropped).count(), 14);
        // With three places free, three of the next are queued and two are half-open.
        let later = Time::from_nanos(1) + rtt;
        let outcomes: Vec<_> =
            (3..20_usize).map(|i| listener.syn(call(i), i.min(6), later, rtt)).collect();
        assert_eq!(outcomes.iter().filter(|o| **o == Connect::HalfOpen).count(), 2);
    }

    #[test]
    fn half_open_connections_are_forgotten_after_7_or_63_seconds_and_cookies_never() {
        let rtt = Span::from_millis(1);
        let begin = Time::from_nanos(1);
        // A backlog of 20: with one place left, one of 40 is queued, 19 are in the SYN queue and 20 have cookies.
        let mut listener = Listener::new(20, 4096, true);
        let outcomes: Vec<_> =
            (0..40_usize).map(|i| listener.syn(call(i), (20 + i).min(21), begin, rtt)).collect();
        assert_eq!(outcomes.iter().filter(|o| **o == Connect::HalfOpen).count(), 39);
        let mut after = |seconds: u64| -> Vec<usize> {
            let now = begin + Span::from_secs(seconds);
            (1..40).filter(|i| listener.data(call(*i), 21, now) == Data::Reset).collect()
        };
        assert_eq!(after(6), [0; 0]);
        // Nine are too many, the ten that are left fill half of it.
        assert_eq!(after(7), (1..10).collect::<Vec<_>>());
        assert_eq!(after(62), [0; 0]);
        assert_eq!(after(63), (10..20).collect::<Vec<_>>());
        assert_eq!(after(1000), [0; 0]);
    }

    /// The SYN queue as a list that is looked through.
    #[derive(Default)]
    struct Slow(Vec<(CallId, Time, bool)>);

    impl Slow {
        fn forget(&mut self, now: Time, backlog: usize) {
            for at in 0..self.0.len() {
                let full = self.0.iter().filter(|row| !row.2).count() * 2 > FEW.max(backlog);
                let lasts = if full { FORGOTTEN_IF_FULL } else { FORGOTTEN };
                let (_, since, forgotten) = &mut self.0[at];
                if !*forgotten && now < *since + lasts {
                    return;
                }
                *forgotten = true;
            }
        }
    }

    #[test]
    fn what_is_forgotten_agrees_with_a_list_that_is_looked_through() {
        let mut seen = [0; 3];
        for seed in 0..50 {
            let mut stream = Key::root(seed, 0).stream();
            let backlog = 1 + stream.below(30) as usize;
            let mut listener = Listener::new(backlog as u32, 4096, true);
            let (mut slow, mut now, mut open) = (Slow::default(), Time::from_nanos(1), Vec::new());
            for i in 0..400 {
                now += Span::from_millis(stream.below(3) * stream.below(700));
                let rtt = Span::from_millis(1);
                // One that fills the queue, and another in the same instant.
                listener.syn(call(1000 + i), backlog, now, rtt);
                slow.forget(now, backlog);
                let in_queue = slow.0.iter().filter(|row| !row.2).count();
                if listener.syn(call(i), backlog + 1, now, rtt) == Connect::HalfOpen {
                    open.push(call(i));
                    if in_queue + listener.answered < backlog {
                        slow.0.push((call(i), now, false));
                    }
                }
                if open.is_empty() || stream.below(2) == 0 {
                    continue;
                }
                let at = stream.below(open.len() as u64) as usize;
                let queued = backlog + stream.below(2) as usize;
                slow.forget(now, backlog);
                let forgotten = slow.0.iter().any(|row| row.0 == open[at] && row.2);
                let expected = match (forgotten, queued == backlog) {
                    (true, _) => Data::Reset,
                    (false, true) => Data::Queued,
                    (false, false) => Data::Lost,
                };
                assert_eq!(listener.data(open[at], queued, now), expected, "seed {seed}, step {i}");
                seen[expected as usize] += 1;
                if expected != Data::Lost {
                    slow.0.retain(|row| row.0 != open[at]);
                    open.swap_remove(at);
                }
            }
        }
        assert!(seen.iter().all(|n| *n > 100), "{seen:?}");
    }

    #[test]
    fn one_more_than_the_backlog() {
        assert_eq!(accept_queue(5, 4096), 6);
        assert_eq!(accept_queue(511, 128), 129);
    }
}
