//! One of a guard's parts: all that it keeps for the node behind it, or for one address of that.

use super::breaker::Breaker;
use super::limit::Limit;
use super::queue::Line;
use super::spec::{GuardSpec, RateLimit};
use crate::model::bucket::Bucket;
use crate::model::entry::onward::Onward;
use crate::model::wiring::Wiring;

/// See the module's head.
pub(super) struct Part {
    pub(super) way: Onward,
    pub(super) breaker: Option<Breaker>,
    pub(super) bucket: Option<Bucket>,
    pub(super) limit: Option<Limit>,
    pub(super) line: Option<Line>,
    pub(super) in_progress: u32,
}

impl Part {
    /// What is specified, for this way on.
    pub(super) fn new(spec: &GuardSpec, way: Onward, wiring: &mut Wiring) -> Part {
        let bucket = |own: RateLimit| Bucket::new(own.rate.per_second(), f64::from(own.burst));
        let key = wiring.key().with(u64::from(way.address()));
        Part {
            way,
            breaker: spec.circuit_breaker.as_ref().map(Breaker::new),
            bucket: spec.rate_limit.map(bucket),
            limit: spec.limit.as_ref().map(|own| Limit::new(own, key)),
            line: spec.queue.as_ref().map(|own| Line::new(own, wiring.queue)),
            in_progress: 0,
        }
    }

    /// Whether another call may be in progress.
    pub(super) fn has_place(&self) -> bool {
        self.limit.as_ref().is_none_or(|own| self.in_progress < own.allows())
    }

    /// Calls that may be in progress; none where there is no limit.
    pub(super) fn allows(&self) -> u32 {
        self.limit.as_ref().map_or(0, Limit::allows)
    }

    /// Whether nobody waits.
    pub(super) fn nobody_waits(&self) -> bool {
        self.line.as_ref().is_none_or(|own| own.waiting() == 0)
    }

    /// A call that the breaker let pass did not reach what it protects, or nobody saw how it ended.
    pub(super) fn no_result(&mut self) {
        if let Some(breaker) = &mut self.breaker {
            breaker.release();
        }
    }
}
