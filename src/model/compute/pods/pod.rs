//! One pod: its queues and pools. It decides; the service carries out.

use crate::model::listener::Listener;
use crate::model::message::{CallId, NodeId};
use crate::model::pool::Pool;
use std::collections::VecDeque;

/// One replica.
#[derive(Debug)]
pub(super) struct Pod {
    /// Host it runs on.
    pub(super) host: u16,
    /// The kernel's side of its listening socket.
    pub(super) listener: Listener,
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
    pub(super) fn new(host: u16, listener: Listener, pools: Vec<(NodeId, Pool)>) -> Pod {
        Pod {
            host,
            listener,
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
