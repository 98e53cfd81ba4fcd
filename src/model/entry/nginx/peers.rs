//! The upstream servers as one worker sees them: whose turn it is, who is marked as failed. Pure decisions.

use super::spec::Balance;
use super::tried::Tried;
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
    /// `weight`, and the state of the smooth weighted round robin.
    weight: i32,
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
    /// Idle connections kept to it, those that wait longest first.
    pub(super) idle: Vec<Idle>,
    /// The standing that its line in the configuration gives it.
    line: Standing,
    /// That standing, while it is in the configuration at all: an endpoint of its service.
    standing: Standing,
    /// Its last failure was that no port was left toward it.
    portless: bool,
}

/// An idle connection to a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle {
    /// Whose it is.
    pub(super) worker: u16,
    /// Requests that it has carried, and since when it stands.
    pub(super) requests: u32,
    pub(super) opened: Time,
    pub(super) kept: Kept,
}

/// Whether a server takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// One of those that take them by turns.
    Primary,
    /// `backup`: takes those that find no primary server.
    Backup,
    /// `down`: takes none, but has its share of what is hashed.
    Down,
    /// Not in the configuration at present.
    Absent,
}

/// A server's connections, and the weight they are held against (`ngx_http_upstream_get_least_conn_peer`).
#[derive(Debug, Clone, Copy)]
struct Load {
    connections: u64,
    weight: u64,
}

impl Load {
    fn lighter(self, other: Load) -> Load {
        if other.connections * self.weight < self.connections * other.weight { other } else { self }
    }
    fn is(self, other: Load) -> bool {
        self.connections * other.weight == other.connections * self.weight
    }
}

impl Peer {
    fn load(&self) -> Load {
        Load { connections: u64::from(self.connections), weight: self.weight as u64 }
    }
}

/// A request that looks for a server: those it has tried, its client, the second it is.
struct Request<'a> {
    tried: Tried<'a>,
    client: u64,
    second: u64,
}

/// All upstream servers of one worker.
#[derive(Debug, Clone)]
pub(super) struct Peers {
    rows: Vec<Peer>,
    balance: Balance,
    /// Networks that clients come from; 0: each has its own.
    networks: u64,
    /// `max_fails`; 0 is as good as never.
    max_fails: u32,
    fail_timeout: u64,
    max_conns: u32,
    /// Version of the endpoints that is in force.
    version: u64,
    /// How many servers take requests by it (`ngx_http_upstream_tries`).
    tries: usize,
    /// Whether there is one server only by it, which is never marked as failed.
    single: bool,
    /// Whether there are backup servers.
    backups: bool,
}

/// A server behind the proxy: its node and address, how long it keeps an idle connection, and what its line says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) node: NodeId,
    pub(super) address: u16,
    pub(super) keepalive: Option<Span>,
    pub(super) weight: u16,
    pub(super) standing: Standing,
}

impl Peers {
    pub(super) fn new(
        servers: &[Server],
        (balance, networks): (Balance, u32),
        (max_fails, fail_timeout): (u32, u64),
        max_conns: u32,
    ) -> Peers {
        let peer = |server: &Server| Peer {
            node: server.node,
            address: server.address,
            weight: i32::from(server.weight),
            current: 0,
            effective: i32::from(server.weight),
            fails: 0,
            checked: 0,
            accessed: 0,
            connections: 0,
            keepalive: server.keepalive,
            idle: Vec::new(),
            line: server.standing,
            standing: server.standing,
            portless: false,
        };
        let mut peers = Peers {
            rows: servers.iter().map(peer).collect(),
            balance,
            networks: u64::from(networks),
            max_fails: if max_fails == 0 { u32::MAX } else { max_fails },
            fail_timeout,
            max_conns,
            version: 0,
            tries: 0,
            single: false,
            backups: false,
        };
        peers.count();
        peers
    }

    /// Counts the servers of each standing.
    fn count(&mut self) {
        let of = |standing| self.rows.iter().filter(|peer| peer.standing == standing).count();
        let (primary, backup) = (of(Standing::Primary), of(Standing::Backup));
        self.tries = primary + backup;
        self.single = primary + of(Standing::Down) == 1 && backup == 0;
        self.backups = backup > 0;
    }

    /// How many servers a request may be passed to.
    pub(super) fn tries(&self) -> usize {
        self.tries
    }

    /// Whether there is one server only.
    pub(super) fn single(&self) -> bool {
        self.single
    }

    /// Takes the connection of a worker that has been idle longest, whichever server it leads to: which that is.
    pub(super) fn take_oldest_idle(&mut self, worker: usize) -> Option<usize> {
        let of = |idle: &Idle| usize::from(idle.worker) == worker;
        let oldest = |(at, peer): (usize, &Peer)| {
            let first = peer.idle.iter().position(of)?;
            Some((peer.idle[first].kept.since(), at, first))
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
                let takes = endpoints.takes(peer.node, peer.address);
                peer.standing = if takes { peer.line } else { Standing::Absent };
            }
            self.count();
        }
    }

    /// The server for a request of `client` that has tried those in `tried`; none: no live upstream. A request that
    /// finds no primary server goes to the backups, and stays with them (`rrp->peers = peers->next`).
    pub(super) fn choose(
        &mut self,
        tried: Tried,
        client: u64,
        now: Time,
        stream: &mut Stream,
    ) -> Option<usize> {
        let second = now.nanos() / 1_000_000_000;
        let request = Request { tried, client, second };
        let with_backups = self.backups && !tried.none() && self.has_tried_backup(tried);
        let first = if with_backups { Standing::Backup } else { Standing::Primary };
        let best = match self.choose_among(first, &request, stream) {
            None if self.backups => self.choose_among(Standing::Backup, &request, stream)?,
            best => best?,
        };
        let peer = &mut self.rows[best];
        if second - peer.checked > self.fail_timeout {
            peer.checked = second;
        }
        Some(best)
    }

    /// The network of a client: what ip_hash looks at (`ngx_http_upstream_init_ip_hash_peer`: three bytes of an IPv4 address).
    fn network(&self, client: u64) -> u64 {
        match self.networks {
            0 => client,
            n => Key::root(client, 1).stream().below(n),
        }
    }

    fn has_tried_backup(&self, tried: Tried) -> bool {
        let mut rows = self.rows.iter().enumerate();
        rows.any(|(at, peer)| peer.standing == Standing::Backup && tried.has(at))
    }

    /// The server of a standing by the balancing method.
    #[inline]
    fn choose_among(
        &mut self,
        standing: Standing,
        request: &Request,
        stream: &mut Stream,
    ) -> Option<usize> {
        let &Request { tried, client, second } = request;
        let (max_fails, fail_timeout) = (self.max_fails, self.fail_timeout);
        let (max_conns, single) = (self.max_conns, self.single);
        let usable = |at: usize, peer: &Peer| {
            let failed =
                !single && peer.fails >= max_fails && second - peer.checked <= fail_timeout;
            let full = max_conns > 0 && peer.connections >= max_conns;
            peer.standing == standing && !tried.has(at) && !failed && !full
        };
        match self.balance {
            Balance::RoundRobin => self.round_robin(usable),
            Balance::LeastConn => {
                // Fewest connections for its weight; among equals by turns.
                let rows = self.rows.iter().enumerate();
                let open = rows.filter(|(at, peer)| usable(*at, peer));
                let least = open.map(|(_, peer)| peer.load()).reduce(Load::lighter)?;
                self.round_robin(|at, peer| usable(at, peer) && peer.load().is(least))
            }
            Balance::IpHash => {
                // A server that is out passes its clients to the next hash; after 20 to the turns.
                let mut hash = Key::root(self.network(client), 0).stream();
                let total = self.weight(|_, _| true);
                (0..20)
                    .filter_map(|_| self.at_weight(hash.below(total), |_, _| true))
                    .find(|&at| usable(at, &self.rows[at]))
                    .or_else(|| self.round_robin(usable))
            }
            Balance::Random => {
                let total = self.weight(usable);
                self.at_weight(stream.below(total), usable)
            }
        }
    }

    /// The weight of some servers together.
    fn weight(&self, of: impl Fn(usize, &Peer) -> bool) -> u64 {
        let rows = self.rows.iter().enumerate().filter(|(at, peer)| of(*at, peer));
        rows.map(|(_, peer)| peer.weight as u64).sum()
    }

    /// Which of some servers holds a place on the line of their weights.
    fn at_weight(&self, place: u64, of: impl Fn(usize, &Peer) -> bool) -> Option<usize> {
        let mut left = place;
        let rows = self.rows.iter().enumerate().filter(|(at, peer)| of(*at, peer));
        for (at, peer) in rows {
            let weight = peer.weight as u64;
            if left < weight {
                return Some(at);
            }
            left -= weight;
        }
        None
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
            peer.effective = (peer.effective + 1).min(peer.weight);
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
        let loss = peer.weight / i32::try_from(self.max_fails).unwrap_or(i32::MAX);
        peer.effective = (peer.effective - loss).max(0);
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

    fn server(address: u16) -> Server {
        let standing = Standing::Primary;
        Server { node: NodeId(0), address, keepalive: None, weight: 1, standing }
    }
    fn peers(n: u16, balance: Balance) -> Peers {
        let servers: Vec<_> = (0..n).map(server).collect();
        Peers::new(&servers, (balance, 0), (1, 10), 0)
    }
    fn weighted(weights: &[u16], balance: Balance) -> Peers {
        let of = |(i, weight): (usize, &u16)| Server { weight: *weight, ..server(i as u16) };
        let servers: Vec<_> = weights.iter().enumerate().map(of).collect();
        Peers::new(&servers, (balance, 0), (1, 10), 0)
    }
    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn round_robin_takes_turns() {
        let mut peers = peers(3, Balance::RoundRobin);
        let mut stream = Key::root(1, 0).stream();
        let turns: Vec<_> =
            (0..6).map(|_| peers.choose(Tried::first(0), 0, at(0), &mut stream).unwrap()).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_failed_server_is_left_out_for_its_timeout_then_probed_once() {
        let mut peers = peers(2, Balance::RoundRobin);
        let mut stream = Key::root(1, 0).stream();
        peers.failed(0, at(5));
        for second in 5..=15 {
            assert_eq!(
                peers.choose(Tried::first(0), 0, at(second), &mut stream),
                Some(1),
                "second {second}"
            );
        }
        let later: Vec<_> = (0..4)
            .map(|_| peers.choose(Tried::first(0), 0, at(16), &mut stream).unwrap())
            .collect();
        assert_eq!(later.iter().filter(|&&p| p == 0).count(), 1, "one probe: {later:?}");
        peers.answered(0);
        let after: Vec<_> = (0..4)
            .map(|_| peers.choose(Tried::first(0), 0, at(16), &mut stream).unwrap())
            .collect();
        assert_eq!(after.iter().filter(|&&p| p == 0).count(), 2, "{after:?}");
    }

    #[test]
    fn a_single_server_is_never_marked_and_all_failed_is_no_live_upstream() {
        let mut one = peers(1, Balance::RoundRobin);
        let mut stream = Key::root(1, 0).stream();
        one.failed(0, at(1));
        assert_eq!(one.choose(Tried::first(0), 0, at(1), &mut stream), Some(0));
        let mut two = peers(2, Balance::RoundRobin);
        two.failed(0, at(1));
        two.failed(1, at(1));
        assert_eq!(two.choose(Tried::first(0), 0, at(2), &mut stream), None);
    }

    #[test]
    fn max_conns_is_a_limit_without_a_queue() {
        let servers: Vec<_> = (0..2).map(server).collect();
        let mut peers = Peers::new(&servers, (Balance::RoundRobin, 0), (1, 10), 3);
        let mut stream = Key::root(1, 0).stream();
        for _ in 0..6 {
            let at = peers.choose(Tried::first(0), 0, at(0), &mut stream).unwrap();
            peers.get(at).connections += 1;
        }
        assert_eq!(peers.choose(Tried::first(0), 0, at(0), &mut stream), None);
    }

    #[test]
    fn ip_hash_keeps_a_client_at_its_server_and_moves_it_when_that_is_out() {
        let mut peers = peers(3, Balance::IpHash);
        let mut stream = Key::root(1, 0).stream();
        let of = |peers: &mut Peers, stream: &mut Stream| -> Vec<usize> {
            (0..300)
                .map(|client| peers.choose(Tried::first(0), client, at(1), stream).unwrap())
                .collect()
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
            (0..2).map(|_| peers.choose(Tried::first(0), 0, at(0), &mut stream).unwrap()).collect();
        turns.sort_unstable();
        assert_eq!(turns, [1, 2]);
    }

    #[test]
    fn weights_5_1_1_go_round_smoothly() {
        // The sequence of the commit that brought the smooth algorithm (52327e0, nginx 1.3.1): a a b a c a a.
        let mut peers = weighted(&[5, 1, 1], Balance::RoundRobin);
        let mut stream = Key::root(1, 0).stream();
        let turns: Vec<_> =
            (0..7).map(|_| peers.choose(Tried::first(0), 0, at(0), &mut stream).unwrap()).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn least_conn_holds_connections_against_weights() {
        // 2 of weight 3 is less than 1 of weight 1; 3 of 3 is the same as 1 of 1, and the turns decide.
        let mut stream = Key::root(1, 0).stream();
        let mut peers = weighted(&[1, 3], Balance::LeastConn);
        (peers.get(0).connections, peers.get(1).connections) = (1, 2);
        assert_eq!(peers.choose(Tried::first(0), 0, at(0), &mut stream), Some(1));
        peers.get(1).connections = 3;
        let turns: Vec<_> =
            (0..4).map(|_| peers.choose(Tried::first(0), 0, at(0), &mut stream).unwrap()).collect();
        assert_eq!(turns, [1, 0, 1, 1], "as round robin with weights 1 and 3");
    }

    #[test]
    fn random_and_ip_hash_share_by_weight() {
        for balance in [Balance::Random, Balance::IpHash] {
            let mut peers = weighted(&[1, 3], balance);
            let mut stream = Key::root(1, 0).stream();
            let mut of =
                |client| peers.choose(Tried::first(0), client, at(0), &mut stream).unwrap();
            let second: usize = (0..10_000).map(&mut of).sum();
            // 7,500 with a standard deviation of 43.
            assert!((7_350..7_650).contains(&second), "{balance:?}: {second}");
        }
    }

    #[test]
    fn backups_take_what_finds_no_primary_server_and_one_that_is_down_takes_nothing() {
        let standings = [Standing::Primary, Standing::Backup, Standing::Down];
        let of = |(i, standing)| Server { standing, ..server(i as u16) };
        let servers: Vec<_> = standings.into_iter().enumerate().map(of).collect();
        let mut peers = Peers::new(&servers, (Balance::RoundRobin, 0), (1, 10), 0);
        let mut stream = Key::root(1, 0).stream();
        assert_eq!(peers.tries(), 2, "what is down is not tried");
        assert!((0..3).all(|_| peers.choose(Tried::first(0), 0, at(0), &mut stream) == Some(0)));
        assert_eq!(
            peers.choose(Tried::first(1), 0, at(0), &mut stream),
            Some(1),
            "the next server"
        );
        peers.failed(0, at(1));
        assert_eq!(peers.choose(Tried::first(0), 0, at(1), &mut stream), Some(1));
        // A request that is with the backups stays there, though the primary server may be probed again.
        assert_eq!(peers.choose(Tried::first(2), 0, at(60), &mut stream), None);
        assert_eq!(peers.choose(Tried::first(0), 0, at(60), &mut stream), Some(0));
    }
}
