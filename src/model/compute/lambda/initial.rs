//! Environments that exist when the run begins, and which of the idle ones a request gets.

use super::function::Lambda;
use super::spec::StoreConnection;
use super::upkeep::Expiry;
use crate::kernel::{Key, Span, Stream, Time};
use crate::model::calls::{Call, Op};
use crate::model::context::Ctx;
use crate::model::message::{CallId, NodeId};
use crate::model::work::Step;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Environments that earlier requests have left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InitialSpec {
    /// How many; all have just become idle.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub environments: u32,
    /// Kind of request that they have served, a name under `work`: they still hold the connections that it needs, unless `connections`
    /// is `per_invocation`. None: they have no connection yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
}

/// Which idle environment a request gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PickIdle {
    /// The one that was used last: those beyond the demand become idle for good and expire.
    #[default]
    MostRecentlyUsed,
    /// The one idle longest: all are used in turn, and none expires while requests come often enough.
    LeastRecentlyUsed,
    /// Any of them, each as likely.
    Random,
}

impl PickIdle {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == PickIdle::default()
    }
}

/// The same as it runs.
#[derive(Debug)]
pub(super) enum Pick {
    Newest,
    Oldest,
    Any(Box<Stream>),
}

impl Pick {
    pub(super) fn new(pick: PickIdle, key: Key) -> Pick {
        match pick {
            PickIdle::MostRecentlyUsed => Pick::Newest,
            PickIdle::LeastRecentlyUsed => Pick::Oldest,
            PickIdle::Random => Pick::Any(Box::new(key.named("pick_idle").stream())),
        }
    }
}

impl Lambda {
    /// Creates the environments that there are from the beginning.
    pub(super) fn start_initial(&mut self, ctx: &mut Ctx) {
        let Some((environments, served)) = self.initial else { return };
        for _ in 0..environments {
            if let Some(mb) = self.interface_mb
                && !self.admission.account(ctx).take_interface(mb)
            {
                break;
            }
            let environment = self.environments.create_idle(ctx.now());
            self.created(environment, ctx);
            if self.connections != StoreConnection::PerInvocation {
                self.hold_connections(environment, served, ctx);
            }
        }
        if let Expiry::Reaper(_, reaper) = &mut self.upkeep.expiry {
            // They were at work until now.
            reaper.fell_from(environments, Time::ZERO);
        }
        self.show_environments(ctx);
        self.arm_expiry(ctx);
    }

    /// An environment has the connections that it opened for an earlier request.
    fn hold_connections(&mut self, environment: u32, served: Option<u16>, ctx: &mut Ctx) {
        let works = ctx.works;
        let steps = served.map_or(&[][..], |work| &works[usize::from(work)].steps);
        let store_of = |step: &Step| match step {
            Step::Query(store, _) => Some(*store),
            _ => None,
        };
        for store in steps.iter().filter_map(store_of) {
            let bit = self.store_bit(store);
            let row = self.environments.get(environment);
            if row.connected & bit != 0 {
                continue;
            }
            row.connected |= bit;
            let key = self.key.named("initial").with(u64::from(environment));
            let call = Call {
                op: Op::Connect,
                weight: self.slots_each,
                tag: environment,
                established: Time::ZERO,
                key,
                ..Call::request(ctx.me, store, CallId::NONE)
            };
            ctx.call(call, Span::ZERO);
        }
    }

    /// A connection from before the run was taken over by its store, or the store has no place for it: then its environment had
    /// been given up, if Init opens connections, or has none.
    #[cold]
    pub(super) fn initial_answered(
        &mut self,
        ok: bool,
        (environment, store): (u32, NodeId),
        ctx: &mut Ctx,
    ) {
        if ok {
            return;
        }
        let bit = self.store_bit(store);
        self.environments.get(environment).connected &= !bit;
        if self.connections == StoreConnection::InInit && self.environments.take(environment) {
            self.remove(environment, ctx);
            self.show_environments(ctx);
        }
    }
}
