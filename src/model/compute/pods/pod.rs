//! One pod: its queues and pools. It decides; the service carries out.

use crate::kernel::{LaneId, Rank, Span};
use crate::model::message::{CallId, NodeId};
use crate::model::pool::{Pool, PoolSpec};
use crate::model::wiring::Wiring;
use std::collections::{BTreeMap, VecDeque};

/// The acquire timeout of a request.
pub(super) const ACQUIRE: u8 = 2;
/// Idle connections may have to be closed: word is the pod, turn the store.
pub(super) const IDLE: u8 = 5;

// Where a call stands, in its second word.
pub(super) const RUNNING: u32 = 1;
/// In line for a pooled connection.
pub(super) const POOL: u32 = 2;

/// How every pod connects to one store.
pub(super) struct StorePool {
    pub(super) store: NodeId,
    pub(super) spec: PoolSpec,
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
        let mut lane = |wait: Option<Span>| wait.map(|t| wiring.queue.lane(t, Rank::Timeout));
        let lanes: Vec<_> = specs
            .values()
            .map(|spec| (lane(spec.acquire_timeout), lane(spec.idle_timeout)))
            .collect();
        let pool = |((name, spec), (acquire, idle)): ((&String, &PoolSpec), _)| {
            Ok(StorePool { store: wiring.node(name)?, spec: spec.clone(), acquire, idle })
        };
        specs.iter().zip(lanes).map(pool).collect()
    }

    pub(super) fn fresh(pools: &[StorePool]) -> Vec<(NodeId, Pool)> {
        pools.iter().map(|pool| (pool.store, Pool::new(&pool.spec))).collect()
    }
}

/// One replica.
#[derive(Debug)]
pub(super) struct Pod {
    /// Host it runs on.
    pub(super) host: u16,
    /// Established connections that the process has not accepted yet.
    pub(super) accept_queue: VecDeque<CallId>,
    /// Accepted requests that wait for a place.
    pub(super) waiting: VecDeque<CallId>,
    /// Requests in progress.
    pub(super) running: u32,
    /// Event loop: tasks ready for the one thread.
    pub(super) ready: VecDeque<CallId>,
    /// Event loop: whether the thread is in a task.
    pub(super) loop_busy: bool,
    /// Pools by store.
    pools: Vec<(NodeId, Pool)>,
}

impl Pod {
    pub(super) fn new(host: u16, pools: Vec<(NodeId, Pool)>) -> Pod {
        Pod {
            host,
            accept_queue: VecDeque::new(),
            waiting: VecDeque::new(),
            running: 0,
            ready: VecDeque::new(),
            loop_busy: false,
            pools,
        }
    }

    /// The pool to `store`; made by `fresh` at first use.
    pub(super) fn pool(&mut self, store: NodeId, fresh: impl FnOnce() -> Pool) -> &mut Pool {
        let at = self.pools.iter().position(|(node, _)| *node == store).unwrap_or_else(|| {
            self.pools.push((store, fresh()));
            self.pools.len() - 1
        });
        &mut self.pools[at].1
    }

    /// Connections open to all stores.
    pub(super) fn connections(&self) -> u32 {
        self.pools.iter().map(|(_, pool)| pool.open()).sum()
    }
}
