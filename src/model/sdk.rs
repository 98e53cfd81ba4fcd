//! AWS SDK clients inside environments and pods: each with its own retry tokens for every service it calls.

use super::calls::Call;
use super::context::Ctx;
use super::message::NodeId;
use super::retry::RetryState;
use super::work::{CallRetry, Step};
use crate::kernel::Span;
use std::collections::BTreeMap;

/// The clients of one node, by owner and service.
#[derive(Debug, Default)]
pub struct SdkClients {
    states: BTreeMap<(u32, NodeId), RetryState>,
}

impl SdkClients {
    /// A call on behalf of the present step of its parent was answered: the pause before it is tried again, or none.
    pub fn answered(&mut self, owner: u32, answer: &Call, ctx: &mut Ctx) -> Option<Span> {
        let row = *ctx.calls.get(answer.parent);
        let works = ctx.works;
        let step = works[usize::from(row.work)].steps.get(usize::from(row.step));
        let Some(Step::Call(_, _, how)) = step else { return None };
        if *how == CallRetry::None {
            return None;
        }
        let policy = how.policy();
        let state = self.states.entry((owner, answer.to)).or_insert_with(|| policy.state());
        let failure = answer.outcome;
        let Some(cause) = failure.cause else {
            policy.refund(state, if row.retries == 0 { 1 } else { row.retry_price });
            ctx.calls.get(answer.parent).retries = 0;
            return None;
        };
        let mut draw = answer.key.named("retry").with(u64::from(answer.visit)).stream();
        let now = ctx.now();
        let retries = row.retries.into();
        let pause = policy.decide(state, failure, retries, Span::ZERO, now, &mut draw);
        let row = ctx.calls.get(answer.parent);
        if pause.is_some() {
            row.retries += 1;
            row.retry_price = policy.price(cause);
        } else {
            row.retries = 0;
        }
        pause
    }

    /// An owner has gone, and its clients with it.
    pub fn gone(&mut self, owner: u32) {
        let of_owner = (owner, NodeId(0))..=(owner, NodeId(u16::MAX));
        let keys: Vec<_> = self.states.range(of_owner).map(|(key, _)| *key).collect();
        for key in keys {
            self.states.remove(&key);
        }
    }
}
