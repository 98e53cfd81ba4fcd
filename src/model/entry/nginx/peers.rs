//! The upstream servers as one worker sees them: whose turn it is, who is marked as failed. Pure decisions.

use super::spec::Balance;
use crate::kernel::{Key, Span, Stream, Time};
use crate::model::endpoints::Endpoints;
use crate::model::kept::Kept;
use crate::model::message::NodeId;

/// One upstream server in the eyes of one worker process.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Node and address.
    pub(super) node: NodeId,
    pub(super) address: u16,
    /// State of the smooth weighted round robin; the weight is 1.
    current: i32,
    effective: i32,
    fails: u32,
    /// Whole seconds of the last failure, and of the last choice while failed.
    checked: u64,
    accessed: u64,
    /// Connections of this worker to it.
    pub(super) connections: u32,
    /// How long the server keeps an idle connection.
    pub(super) keepalive: Option<Span>,
    /// Idle connections kept to it, and whose worker's, those that wait longest first.
    pub(super) idle: Vec<(u16, Kept)>,
    /// Left out of the configuration: no endpoint of its service.
    absent: bool,
    /// Its last failure was that no port was left toward it.
    portless: bool,
}

/// All upstream servers of one worker.
#[derive(Debug, Clone)]
pub(super) struct Peers {
    rows: Vec<Peer>,
    balance: Balance,
    max_fails: u32,
    fail_timeout: u64,
    max_conns: u32,
    /// Version of the endpoints that is in force.
    version: u64,
    /// How many servers there are by it.
    present: usize,
}

/// A server behind the proxy: its node and address, and how long it keeps an idle connection.
pub(super) type Server = (NodeId, u16, Option<Span>);

impl Peers {
    pub(super) fn new(
        servers: &[Server],
        balance: Balance,
        (max_fails, fail_timeout): (u32, u64),
        max_conns: u32,
    ) -> Peers {
        let peer = |&(node, address, keepalive): &Server| Peer {
            node,
            address,
            current: 0,
            effective: 1,
            fails: 0,
            checked: 0,
            accessed: 0,
            connections: 0,
            keepalive,
            idle: Vec::new(),
            absent: false,
            portless: false,
        };
        Peers {
            rows: servers.iter().map(peer).collect(),
            balance,
            max_fails,
            fail_timeout,
            max_conns,
            version: 0,
            present: servers.len(),
        }
    }

    /// How many servers the configuration has at present.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// Takes the connection of a worker that has been idle longest, whichever server it leads to: which that is.
    pub(super) fn take_oldest_idle(&mut self, worker: usize) -> Option<usize> {
        let of = |(of, _): &(u16, Kept)| usize::from(*of) == worker;
        let oldest = |(at, peer): (usize, &Peer)| {
            let first = peer.idle.iter().position(of)?;
            Some((peer.idle[first].1.since(), at, first))
        };
        let (_, at, first) = self.rows.iter().enumerate().filter_map(oldest).min()?;
        self.rows[at].idle.remove(first);
        Some(at)
    }

    pub(super) fn get(&mut self, at: usize) -> &mut Peer {
        &mut self.rows[at]
    }

    /// Takes over which servers there are, as an ingress controller or a resolver tells.
    pub(super) fn follow(&mut self, endpoints: &Endpoints) {
        if self.version != endpoints.version() {
            self.version = endpoints.version();
            for peer in &mut self.rows {
                peer.absent = !endpoints.takes(peer.node, peer.address);
            }
            self.present = self.rows.iter().filter(|peer| !peer.absent).count();
        }
    }

    /// The server for a request of `client` that has tried those in `tried` (a bit each); none: no live upstream.
    pub(super) fn choose(
        &mut self,
        tried: u64,
        client: u32,
        now: Time,
        stream: &mut Stream,
    ) -> Option<usize> {
        let second = now.nanos() / 1_000_000_000;
        let alone = self.present == 1;
        let (max_fails, fail_timeout) = (self.max_fails, self.fail_timeout);
        let max_conns = self.max_conns;
        let usable = |at: usize, peer: &Peer| {
            let failed = !alone
                && max_fails > 0
                && peer.fails >= max_fails
                && second - peer.checked <= fail_timeout;
            let full = max_conns > 0 && peer.connections >= max_conns;
            !peer.absent && tried & (1 << at.min(63)) == 0 && !failed && !full
        };
        let best = match self.balance {
            Balance::RoundRobin => self.round_robin(usable),
            Balance::LeastConn => {
                let open =
                    |(at, peer): (usize, &Peer)| usable(at, peer).then_some(peer.connections);
                let least = self.rows.iter().enumerate().filter_map(open).min()?;
                self.round_robin(|at, peer| usable(at, peer) && peer.connections == least)
            }
            Balance::IpHash => {
                // A server that is out passes its clients to the next hash; after 20 to the turns.
                let mut hash = Key::root(u64::from(client), 0).stream();
                (0..20)
                    .map(|_| hash.below(self.rows.len() as u64) as usize)
                    .find(|&at| usable(at, &self.rows[at]))
                    .or_else(|| self.round_robin(usable))
            }
            Balance::Random => {
                let live: Vec<usize> =
                    (0..self.rows.len()).filter(|&at| usable(at, &self.rows[at])).collect();
                let at = stream.below(live.len() as u64) as usize;
                live.get(at).copied()
            }
        }?;
        let peer = &mut self.rows[best];
        if second - peer.checked > self.fail_timeout {
            peer.checked = second;
        }
        Some(best)
    }

    /// Smooth weighted round robin over the usable servers.
    fn round_robin(&mut self, usable: impl Fn(usize, &Peer) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(i32, usize)> = None;
        for (at, peer) in self.rows.iter_mut().enumerate() {
            if !usable(at, peer) {
                continue;
            }
            peer.current += peer.effective;
            total += peer.effective;
            peer.effective = (peer.effective + 1).min(1);
            if best.is_none_or(|(most, _)| peer.current > most) {
                best = Some((peer.current, at));
            }
        }
        let (_, best) = best?;
        self.rows[best].current -= total;
        Some(best)
    }

    /// A connection to the server failed or timed out.
    pub(super) fn failed(&mut self, at: usize, now: Time) {
        let second = now.nanos() / 1_000_000_000;
        let peer = &mut self.rows[at];
        peer.fails += 1;
        peer.portless = false;
        peer.checked = second;
        peer.accessed = second;
        if self.max_fails > 0 {
            let loss = 1 / i32::try_from(self.max_fails).unwrap_or(i32::MAX);
            peer.effective = (peer.effective - loss).max(0);
        }
    }

    /// No port was left toward the server: nginx takes EADDRNOTAVAIL for a failure of the server (`ngx_event_connect_peer`).
    pub(super) fn portless(&mut self, at: usize, now: Time) {
        self.failed(at, now);
        self.rows[at].portless = true;
    }

    /// Whether it is for want of ports that a server is out.
    pub(super) fn lack_ports(&self) -> bool {
        self.rows.iter().any(|peer| peer.portless)
    }

    /// The server answered: a probe after its pause clears its failures.
    pub(super) fn answered(&mut self, at: usize) {
        let peer = &mut self.rows[at];
        if peer.accessed < peer.checked {
            peer.fails = 0;
            peer.portless = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    fn peers(n: u16, balance: Balance) -> Peers {
        let servers: Vec<_> = (0..n).map(|i| (NodeId(0), i, None)).collect();
        Peers::new(&servers, balance, (1, 10), 0)
    }
    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn round_robin_takes_turns() {
        let mut peers = peers(3, Balance::RoundRobin);
        let mut stream = Key::root(1, 0).stream();
        let turns: Vec<_> =
            (0..6).map(|_| peers.choose(0, 0, at(0), &mut stream).unwrap()).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_failed_server_is_left_out_for_its_timeout_then_probed_once() {
        let mut peers = peers(2, Balance::RoundRobin);
        let mut stream = Key::root(1, 0).stream();
        peers.failed(0, at(5));
        for second in 5..=15 {
            assert_eq!(peers.choose(0, 0, at(second), &mut stream), Some(1), "second {second}");
        }
        let later: Vec<_> =
            (0..4).map(|_| peers.choose(0, 0, at(16), &mut stream).unwrap()).collect();
        assert_eq!(later.iter().filter(|&&p| p == 0).count(), 1, "one probe: {later:?}");
        peers.answered(0);
        let after: Vec<_> =
            (0..4).map(|_| peers.choose(0, 0, at(16), &mut stream).unwrap()).collect();
        assert_eq!(after.iter().filter(|&&p| p == 0).count(), 2, "{after:?}");
    }

    #[test]
    fn a_single_server_is_never_marked_and_all_failed_is_no_live_upstream() {
        let mut one = peers(1, Balance::RoundRobin);
        let mut stream = Key::root(1, 0).stream();
        one.failed(0, at(1));
        assert_eq!(one.choose(0, 0, at(1), &mut stream), Some(0));
        let mut two = peers(2, Balance::RoundRobin);
        two.failed(0, at(1));
        two.failed(1, at(1));
        assert_eq!(two.choose(0, 0, at(2), &mut stream), None);
    }

    #[test]
    fn max_conns_is_a_limit_without_a_queue() {
        let servers: Vec<_> = (0..2).map(|i| (NodeId(0), i, None)).collect();
        let mut peers = Peers::new(&servers, Balance::RoundRobin, (1, 10), 3);
        let mut stream = Key::root(1, 0).stream();
        for _ in 0..6 {
            let at = peers.choose(0, 0, at(0), &mut stream).unwrap();
            peers.get(at).connections += 1;
        }
        assert_eq!(peers.choose(0, 0, at(0), &mut stream), None);
    }

    #[test]
    fn ip_hash_keeps_a_client_at_its_server_and_moves_it_when_that_is_out() {
        let mut peers = peers(3, Balance::IpHash);
        let mut stream = Key::root(1, 0).stream();
        let of = |peers: &mut Peers, stream: &mut Stream| -> Vec<usize> {
            (0..300).map(|client| peers.choose(0, client, at(1), stream).unwrap()).collect()
        };
        let first = of(&mut peers, &mut stream);
        assert_eq!(first, of(&mut peers, &mut stream));
        for server in 0..3 {
            let n = first.iter().filter(|at| **at == server).count();
            assert!((70..130).contains(&n), "{server}: {n}");
        }
        peers.failed(0, at(1));
        let moved = of(&mut peers, &mut stream);
        let stay = first.iter().zip(&moved).all(|(a, b)| if *a == 0 { *b != 0 } else { a == b });
        assert!(stay, "only the clients of the failed server move");
    }

    #[test]
    fn least_conn_prefers_the_less_busy() {
        let mut peers = peers(3, Balance::LeastConn);
        let mut stream = Key::root(1, 0).stream();
        peers.get(0).connections = 2;
        peers.get(1).connections = 1;
        peers.get(2).connections = 1;
        let mut turns: Vec<_> =
            (0..2).map(|_| peers.choose(0, 0, at(0), &mut stream).unwrap()).collect();
        turns.sort_unstable();
        assert_eq!(turns, [1, 2]);
    }
}
