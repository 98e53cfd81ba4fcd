//! One pod: its queues and pools. It decides; the service carries out.

use crate::kernel::{Key, LaneId, Rank, Span};
use crate::model::driver::Settings;
use crate::model::listener::Listener;
use crate::model::message::{CallId, Message, NodeId};
use crate::model::pool::{Pool, PoolSpec};
use crate::model::wiring::Wiring;
use std::collections::{BTreeMap, VecDeque};

/// The acquire timeout of a request.
pub(super) const ACQUIRE: u8 = 2;
/// Idle connections may have to be closed: word is the pod, turn the store.
pub(super) const IDLE: u8 = 5;

/// A connection that could not be opened ahead is tried again: word is the pod and the store, turn the pod's life and how often it failed.
pub(super) const AGAIN: u8 = 11;
/// Whether enough connections are idle is looked at: word is the pod and the store, turn the pod's life.
pub(super) const LOOK: u8 = 12;
/// The time of a connection is over: word is its number, turn the pod and the store.
pub(super) const TOO_OLD: u8 = 13;

// Where a call stands, in its second word.
pub(super) const RUNNING: u32 = 1;
/// In line for a pooled connection.
pub(super) const POOL: u32 = 2;
/// Waiting for a connection that is being opened for it.
pub(super) const OPENING: u32 = 5;
/// At the driver's work for a connection that has just been opened; its number is in the first word.
pub(super) const PREPARING: u32 = 6;
/// At the driver's work for the answer of a statement; the number of its connection is in the first word.
pub(super) const READING: u32 = 7;
/// Like `OPENING`, and at the first message to a server that has accepted.
pub(super) const GREETING: u32 = 9;
/// Like `GREETING`, and its acquire timeout has passed meanwhile.
pub(super) const LATE: u32 = 10;
/// A thread beside the event loop is at work for a connection that has just been opened; its number is in the first word.
pub(super) const OFFLOADED: u32 = 8;

/// At the driver's work for a connection that was refused.
pub(super) const REFUSED: u32 = 11;
/// At the signature of a TLS handshake; the request is not begun yet.
pub(super) const SIGNING: u32 = 12;

/// How every pod connects to one store.
pub(super) struct StorePool {
    pub(super) store: NodeId,
    pub(super) spec: PoolSpec,
    pub(super) settings: Settings,
    pub(super) key: Key,
    /// Timer of the acquire timeout.
    pub(super) acquire: Option<LaneId>,
    /// Timer of the idle timeout.
    pub(super) idle: Option<LaneId>,
}

impl StorePool {
    pub(super) fn all(
        specs: &BTreeMap<String, PoolSpec>,
        wiring: &mut Wiring,
    ) -> Result<Vec<StorePool>, String> {
        let key = wiring.key().named("pool");
        let pool = |(name, spec): (&String, &PoolSpec)| {
            let settings = spec.settings();
            let mut lane = |wait: Option<Span>| wait.map(|t| wiring.queue.lane(t, Rank::Timeout));
            let (acquire, idle) = (lane(settings.acquire_timeout), lane(settings.idle_timeout));
            let (store, key) = (wiring.node(name)?, key.named(name));
            Ok(StorePool { store, spec: spec.clone(), settings, key, acquire, idle })
        };
        specs.iter().map(pool).collect()
    }

    /// A pool of a process that has just started.
    pub(super) fn empty(&self) -> Pool {
        Pool::new(self.spec.mode, &self.settings)
    }

    pub(super) fn fresh(pools: &[StorePool]) -> Vec<(NodeId, Pool)> {
        pools.iter().map(|pool| (pool.store, pool.empty())).collect()
    }
}

/// Whether a process takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It serves.
    Up,
    /// It ends what it has begun.
    Draining,
    /// There is none.
    Down,
}

/// One replica.
#[derive(Debug)]
pub(super) struct Pod {
    /// Host it runs on.
    pub(super) host: u16,
    /// Whether its process takes connections.
    pub(super) life: Life,
    /// Whether its process stands still.
    pub(super) frozen: bool,
    /// What came while it stood still.
    pub(super) deferred: Vec<Message>,
    /// How many times as long its work takes.
    pub(super) slow: f64,
    /// Which steps its process has done at least once, a bit each.
    pub(super) has_run: u64,
    /// Requests that its process has begun.
    pub(super) begun: u32,
    /// The kernel's side of its listening socket.
    pub(super) listener: Listener,
    /// Established connections that the process has not accepted yet.
    pub(super) accept_queue: VecDeque<CallId>,
    /// Accepted requests that wait for a place.
    pub(super) waiting: VecDeque<CallId>,
    /// Requests in progress.
    pub(super) running: u32,
    /// Threads with a limit of connections: those that have a request.
    pub(super) held: u32,
    /// Processes that have died: what was to happen to one of them does not happen to the next.
    pub(super) lives: u32,
    /// Event loop: tasks ready for the one thread.
    pub(super) ready: VecDeque<CallId>,
    /// Event loop: how long tasks had the thread, and how much of it they would not have taken on an idle processor.
    pub(super) tasks: [Span; 2],
    /// Event loop: whether the thread is in a task.
    pub(super) loop_busy: bool,
    /// Event loop: tasks that the present turn has still to do.
    pub(super) turn_left: usize,
    /// Event loop: connections that were accepted in the present turn, to be read in the next.
    pub(super) taken: Vec<CallId>,
    /// Pools by store.
    pools: Vec<(NodeId, Pool)>,
}

impl Pod {
    /// Requests on kept connections that have come and are not begun yet, sorted.
    pub(super) fn unread(&self) -> Vec<CallId> {
        let arrivals = self.deferred.iter().filter_map(|message| match message {
            Message::Arrive(call) => Some(*call),
            _ => None,
        });
        let mut all: Vec<CallId> = arrivals.chain(self.waiting.iter().copied()).collect();
        all.sort_unstable();
        all
    }

    /// Keeps a message that came while the process stands still.
    #[cold]
    pub(super) fn defer(&mut self, message: Message) {
        self.deferred.push(message);
    }

    pub(super) fn new(host: u16, listener: Listener, pools: Vec<(NodeId, Pool)>) -> Pod {
        Pod {
            host,
            life: Life::Up,
            frozen: false,
            deferred: Vec::new(),
            slow: 1.0,
            has_run: 0,
            begun: 0,
            listener,
            accept_queue: VecDeque::new(),
            waiting: VecDeque::new(),
            running: 0,
            held: 0,
            lives: 0,
            ready: VecDeque::new(),
            tasks: [Span::ZERO; 2],
            loop_busy: false,
            turn_left: 0,
            taken: Vec::new(),
            pools,
        }
    }

    /// The pool to `store`; made by `fresh` at first use.
    #[inline]
    pub(super) fn pool(&mut self, store: NodeId, fresh: impl FnOnce() -> Pool) -> &mut Pool {
        let at = self.pools.iter().position(|(node, _)| *node == store).unwrap_or_else(|| {
            self.pools.push((store, fresh()));
            self.pools.len() - 1
        });
        &mut self.pools[at].1
    }

    /// The process has died: nothing is in it.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.ready.clear();
        self.deferred.clear();
        self.running = 0;
        self.held = 0;
        self.has_run = 0;
        self.begun = 0;
        self.lives += 1;
        self.loop_busy = false;
        self.turn_left = 0;
        self.taken.clear();
        self.frozen = false;
    }

    /// The process has died, and its connections to stores with it.
    pub(super) fn forget_pools(&mut self) {
        self.pools.clear();
    }

    /// Connections open to all stores.
    pub(super) fn connections(&self) -> u32 {
        self.pools.iter().map(|(_, pool)| pool.open()).sum()
    }
}
