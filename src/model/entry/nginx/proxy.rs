//! The proxy as it runs: what it holds, and who handles which message.

use super::clients::Clients;
use super::limits::RequestLimits;
use super::mutex::AcceptMutex;
use super::next::NextUpstream;
use super::parts::{ClientKeepalive, Counts, Exchange, Limits, Socket, UpstreamKeepalive};
use super::peers::{Peers, Server, Standing};
use super::ports::Ports;
use super::spec::{Closer, NginxSpec, ServerLine, Version};
use super::tried::Further;
use super::worker::{Connection, State, Worker};
use crate::kernel::{LaneId, Rank, Span};
use crate::model::component::{Component, NodeReport};
use crate::model::context::Ctx;
use crate::model::host::HostId;
use crate::model::ledger::GaugeId;
use crate::model::listener::{Listener, SynRetry};
use crate::model::message::{CallId, Cause, Event, Message};
use crate::model::usage::UsageLine;
use crate::model::wiring::Wiring;
use std::collections::VecDeque;

pub(super) const READ: u8 = 0;
pub(super) const RESUME: u8 = 1;
pub(super) const CONNECT_TIMEOUT: u8 = 2;
pub(super) const READ_TIMEOUT: u8 = 3;
pub(super) const IDLE: u8 = 4;
pub(super) const SYN_END: u8 = 5;
/// A worker has spent the processor time of what it turned to.
pub(super) const LOOP: u8 = 6;
/// Data of a half-open connection comes again.
pub(super) const DATA: u8 = 7;
/// A request that `limit_req` held back goes on.
pub(super) const DELAYED: u8 = 8;

/// A worker asks for the accept mutex again.
pub(super) const ACCEPT_AGAIN: u8 = 9;
/// A worker runs that was woken.
pub(super) const WOKEN: u8 = 10;

/// nginx as it runs.
pub struct Nginx {
    pub(super) name: String,
    pub(super) instance: Option<String>,
    /// The machine it shares with other nodes; none: a core for each worker.
    pub(super) machine: Option<HostId>,
    pub(super) workers: Vec<Worker>,
    pub(super) connections: Vec<Connection>,
    pub(super) free: Vec<u32>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) free_exchanges: Vec<u32>,
    /// What the exchanges have tried beyond the 64th server.
    pub(super) further: Further,
    /// Listening sockets: one, or one a worker with reuseport.
    pub(super) sockets: Vec<Socket>,
    /// Workers in the order in which the kernel wakes them.
    pub(super) line: Vec<usize>,
    pub(super) multi_accept: bool,
    /// How long after it was woken a worker runs, where that decides who accepts.
    pub(super) wakeup_latency: Option<Span>,
    /// Share of new connections that the first worker accepts, where it is given.
    pub(super) accept_share: Option<f64>,
    /// Whether workers go to the end of the line from time to time.
    pub(super) reorders: bool,
    /// `accept_mutex`, where there are workers to exclude.
    pub(super) mutex: Option<AcceptMutex>,
    /// How long a worker does not listen after EMFILE.
    pub(super) accept_pause: Span,
    pub(super) keepalive: ClientKeepalive,
    pub(super) upstream_keepalive: UpstreamKeepalive,
    pub(super) connect_timeout: LaneId,
    pub(super) read_timeout: LaneId,
    pub(super) read_span: Span,
    pub(super) next: NextUpstream,
    /// Whether workers share what they know of upstream servers.
    pub(super) zone: bool,
    /// Ephemeral ports, by upstream server.
    pub(super) ports: Vec<Ports>,
    pub(super) local_ports: u32,
    pub(super) upstream_closed_by: Closer,
    pub(super) requests: RequestLimits,
    pub(super) clients: Clients,
    pub(super) upstream_hop: Span,
    pub(super) upstream_syn_retry: SynRetry,
    pub(super) cpu_accept: Span,
    pub(super) cpu_request: Span,
    pub(super) cpu_handshake: Span,
    pub(super) limits: Limits,
    pub(super) connections_gauge: GaugeId,
    pub(super) listen_gauge: GaugeId,
    pub(super) counts: Counts,
}

/// The servers of an upstream group: every address of every node that is named.
///
/// # Errors
/// A name that is no node.
fn servers(spec: &NginxSpec, wiring: &mut Wiring) -> Result<Vec<Server>, String> {
    let mut servers = Vec::new();
    for name in &spec.upstream {
        let node = wiring.node(name)?;
        let keepalive = wiring.keepalive(node);
        let line = spec.servers.get(name).copied().unwrap_or_default();
        let standing = match line {
            ServerLine { down: true, .. } => Standing::Down,
            ServerLine { backup: true, .. } => Standing::Backup,
            ServerLine { .. } => Standing::Primary,
        };
        let weight = line.weight;
        servers.extend((0..wiring.addresses(node)).map(|address| Server {
            node,
            address,
            keepalive,
            weight,
            standing,
        }));
    }
    Ok(servers)
}

/// A listening socket without connections.
fn socket(spec: &NginxSpec) -> Socket {
    let listener = Listener::new(spec.backlog, spec.somaxconn, spec.syncookies);
    Socket { listener: listener.aborting(spec.abort_on_overflow), waiting: VecDeque::new() }
}

impl Component for Nginx {
    type Spec = NginxSpec;

    fn build(spec: &NginxSpec, wiring: &mut Wiring) -> Result<Nginx, String> {
        let me = wiring.me;
        let servers = servers(spec, wiring)?;
        let fail_timeout = spec.fail_timeout.nanos() / 1_000_000_000;
        let descriptors = spec.nofile.saturating_sub(spec.base());
        // The listening sockets and the channel to the master stand in the same table.
        let slots = spec.worker_connections.saturating_sub(spec.listeners + 1);
        let worker = |_| {
            let fails = (spec.max_fails, fail_timeout);
            let balance = (spec.balance, spec.networks);
            let peers = Peers::new(&servers, balance, fails, spec.max_conns);
            Worker::new(peers, descriptors, slots, spec.worker_connections / 16, spec.version)
        };
        let sockets = if spec.reuseport { spec.workers } else { 1 };
        let listen_max = socket(spec).listener.places() * usize::from(sockets);
        let mutex = spec.excludes().then(|| {
            let lane = wiring.queue.lane(spec.accept_mutex_delay, Rank::Timeout);
            AcceptMutex::new(spec.accept_mutex_delay, lane, spec.worker_connections, wiring.key())
        });
        let reorders = spec.version == Version::V1_22 && mutex.is_none() && !spec.multi_accept;
        // The first in line is always woken first, if it is asleep.
        let workers_in_line = spec.workers > 1 && !reorders;
        let ledger = &mut *wiring.ledger;
        let workers = u64::from(spec.workers);
        let limits = Limits::announce(spec, listen_max, me, ledger);
        let idle = wiring.queue.lane(spec.keepalive_timeout, Rank::Timeout);
        let connections_gauge = ledger.gauge(me, "connections", Some(workers * u64::from(slots)));
        let listen_gauge = ledger.gauge(me, "listen queue", Some(listen_max as u64));
        Ok(Nginx {
            name: wiring.name.to_owned(),
            instance: spec.host.instance.clone(),
            machine: wiring.machine(),
            workers: (0..spec.workers).map(worker).collect(),
            connections: Vec::new(),
            free: Vec::new(),
            exchanges: Vec::new(),
            free_exchanges: Vec::new(),
            further: Further::new(servers.len()),
            sockets: (0..sockets).map(|_| socket(spec)).collect(),
            line: (0..usize::from(spec.workers)).collect(),
            multi_accept: spec.multi_accept,
            wakeup_latency: (workers_in_line && sockets == 1).then_some(spec.wakeup_latency),
            accept_share: spec.accept_share,
            reorders,
            mutex,
            accept_pause: spec.accept_mutex_delay,
            keepalive: ClientKeepalive::new(spec, idle),
            upstream_keepalive: UpstreamKeepalive::new(spec),
            connect_timeout: wiring.queue.lane(spec.proxy_connect_timeout, Rank::Timeout),
            read_timeout: wiring.queue.lane(spec.proxy_read_timeout, Rank::Timeout),
            read_span: spec.proxy_read_timeout,
            next: NextUpstream::new(spec),
            zone: spec.zone,
            ports: vec![Ports::default(); servers.len()],
            local_ports: spec.local_ports,
            upstream_closed_by: spec.upstream_closed_by,
            requests: RequestLimits::new(spec),
            clients: Clients::new(spec, wiring.key()),
            upstream_hop: wiring.way(spec.upstream_rtt),
            upstream_syn_retry: spec.upstream_syn_retry,
            cpu_accept: spec.cpu_accept,
            cpu_request: spec.cpu_request,
            cpu_handshake: spec.cpu_handshake,
            limits,
            connections_gauge,
            listen_gauge,
            counts: Counts::default(),
        })
    }

    fn start(&mut self, ctx: &mut Ctx) {
        self.start_mutex(ctx);
    }

    fn handle(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::Arrive(call) => self.arrive(call, ctx),
            Message::Reply(child) if self.mutex.is_none() => self.answered(child, ctx),
            Message::Reply(child) => self.answered_in_turn(child, ctx),
            Message::Cancel(call) => self.client_left(call, ctx),
            Message::Wake(LOOP, worker, _) => self.turned(worker as usize, ctx),
            Message::Wake(READ, slot, turn) => self.read(CallId { slot, turn }, ctx),
            _ => self.told(event, ctx),
        }
    }

    fn close(&mut self, ctx: &mut Ctx) -> NodeReport {
        let end = ctx.now();
        let host = |instance: &String| UsageLine::hosts(&self.name, instance, 1.0, end);
        NodeReport {
            counters: vec![
                ("syn_dropped", self.counts.syn_dropped),
                ("accept_pauses", self.counts.accept_pauses),
                ("next_upstream", self.counts.next_upstream),
                ("closed_for_reuse", self.counts.closed_for_reuse),
                ("client_closed_499", self.counts.client_closed),
            ],
            usage: self.instance.iter().map(host).collect(),
        }
    }
}

impl Nginx {
    /// A request's bytes have come.
    #[inline(never)]
    fn read(&mut self, call: CallId, ctx: &mut Ctx) {
        if ctx.calls.alive(call) {
            self.request_in(call, ctx);
        }
    }

    /// Handles what does not come with every request.
    #[inline(never)]
    fn told(&mut self, event: Event, ctx: &mut Ctx) {
        match event.message() {
            Message::HangUp(owner, connection, tag) => {
                let row = self.connections.get_mut(connection as usize);
                let Some(own) = row.filter(|c| c.owner == (owner, tag)) else { return };
                let worker = usize::from(own.worker);
                match own.state {
                    State::Closed => return,
                    State::Idle => self.close_connection(connection, ctx),
                    // It hears later of those that were given up.
                    State::Active if own.http2 => own.leaving = true,
                    _ => {}
                }
                self.stir(worker, ctx);
            }
            Message::Wake(RESUME, worker, _) => self.resume(worker as usize, ctx),
            Message::Wake(WOKEN, worker, _) => self.runs(worker as usize, ctx),
            Message::Wake(ACCEPT_AGAIN, worker, _) => self.stir(worker as usize, ctx),
            Message::Wake(IDLE, connection, turn) => {
                let row = &self.connections[connection as usize];
                if row.state == State::Idle && row.turn == turn {
                    self.shut(connection, ctx);
                }
            }
            Message::Wake(timer, slot, turn) => {
                let call = CallId { slot, turn };
                if !ctx.calls.alive(call) {
                    return;
                }
                match timer {
                    DATA => self.data_again(call, ctx),
                    DELAYED => self.delayed(call, ctx),
                    CONNECT_TIMEOUT => self.connect_timed_out(call, ctx),
                    READ_TIMEOUT => self.read_timed_out(call, ctx),
                    _ => {
                        ctx.ledger.refused_by(self.limits.listen, ctx.queue.now());
                        ctx.fail(call, Cause::ConnectTimeout, 0);
                    }
                }
            }
            Message::Arrive(_) | Message::Reply(_) | Message::Cancel(_) => {}
        }
    }
}
