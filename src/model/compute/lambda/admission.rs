//! Whether an invocation may run: the limits, in AWS's order, and which side of the house it runs on.

use super::spec::LambdaSpec;
use crate::kernel::Time;
use crate::model::account::{Account, request_bucket};
use crate::model::bucket::{Bucket, Budget};
use crate::model::context::Ctx;
use crate::model::ledger::LimitId;
use crate::model::message::Cause;
use crate::model::wiring::Wiring;

/// Which limit refused, and the cause that the caller sees.
pub(super) type Refusal = (LimitId, Cause);

/// What an invocation runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// An environment of the provisioned concurrency.
    Provisioned,
    /// One that was or will be created on demand.
    OnDemand,
}

/// The limits of one function, and how much of them is used.
pub(super) struct Admission {
    account: u16,
    group: Option<u16>,
    reserved: Option<u32>,
    maximum: Option<u32>,
    /// Concurrency set aside for provisioned environments, ready or not.
    allocated: u32,
    on_demand: u32,
    on_provisioned: u32,
    /// Whether the request rate limit applies: with several requests per environment it does not, and a reservation of zero
    /// refuses for itself.
    rated: bool,
    /// The rate of a reservation; without one the account's counts.
    own_rate: Option<Bucket>,
    provisioned_rate: Bucket,
    scaling: Option<Budget>,
    limits: Limits,
}

struct Limits {
    pool: LimitId,
    reserved: LimitId,
    rate: LimitId,
    scaling: LimitId,
    maximum: Option<LimitId>,
    group: Option<LimitId>,
}

impl Admission {
    pub(super) fn new(spec: &LambdaSpec, wiring: &mut Wiring) -> Result<Admission, String> {
        let (era, me) = (wiring.era, wiring.me);
        let account = &wiring.accounts[&spec.account];
        let applies = spec.reserved.unwrap_or(account.concurrency);
        let group = spec.group.as_ref().map(|name| (name, account.groups.get(name)));
        let ledger = &mut *wiring.ledger;
        let pool = format!("account concurrency {}", account.concurrency);
        let reserved = format!("reserved concurrency {applies}");
        let whose = if spec.reserved.is_some() { "" } else { " in the account" };
        let rate = format!("{} requests/s{whose}", u64::from(applies) * 10);
        let maximum = spec.max_concurrency.map(|n| format!("maximum concurrency {n}"));
        let of_group = group
            .as_ref()
            .map(|(name, max)| format!("group \"{name}\" {}", max.copied().unwrap_or_default()));
        let limits = Limits {
            pool: ledger.limit(me, "account_concurrency", pool),
            reserved: ledger.limit(me, "reserved_concurrency", reserved),
            rate: ledger.limit(me, "request_rate", rate),
            scaling: ledger.limit(me, "scaling_rate", account.scaling_words(era)),
            maximum: maximum.map(|words| ledger.limit(me, "maximum_concurrency", words)),
            group: of_group.map(|words| ledger.limit(me, "group_concurrency", words)),
        };
        let place = |name: &String| account.groups.keys().position(|known| known == name);
        Ok(Admission {
            account: wiring.account(&spec.account)?,
            group: group.and_then(|(name, _)| place(name)).map(|at| at as u16),
            reserved: spec.reserved,
            maximum: spec.max_concurrency,
            allocated: 0,
            on_demand: 0,
            on_provisioned: 0,
            rated: spec.per_environment == 1 && spec.reserved != Some(0),
            own_rate: spec.reserved.map(request_bucket),
            provisioned_rate: Bucket::new(0.0, 0.0),
            scaling: account.function_budget(era),
            limits,
        })
    }

    /// Concurrency in use.
    pub(super) fn in_flight(&self) -> u32 {
        self.on_demand + self.on_provisioned
    }

    /// Concurrency in use, without what runs on provisioned environments.
    pub(super) fn on_demand(&self) -> u32 {
        self.on_demand
    }

    /// Takes a unit of concurrency, or says which limit has none left: request rate, reserved, provisioned, pool.
    /// `ready` says whether a provisioned environment is free.
    #[inline]
    pub(super) fn enter(&mut self, ready: bool, ctx: &mut Ctx) -> Result<Side, Refusal> {
        let now = ctx.now();
        if self.rated && !self.take_request(now, ctx) {
            return Err((self.limits.rate, Cause::ThrottledRequestRate));
        }
        if self.reserved.is_some_and(|reserved| self.in_flight() >= reserved) {
            return Err((self.limits.reserved, Cause::ThrottledReserved));
        }
        self.check_wishes(ctx)?;
        let side = if ready && self.provisioned_rate.take(now) {
            self.on_provisioned += 1;
            Side::Provisioned
        } else {
            self.enter_on_demand(now, ctx)?;
            self.on_demand += 1;
            Side::OnDemand
        };
        if let Some(group) = self.group {
            self.account(ctx).group_in_flight[usize::from(group)] += 1;
        }
        Ok(side)
    }

    /// Takes a request of the reservation's rate, or of that of all functions of the account that have no reservation.
    #[inline]
    fn take_request(&mut self, now: Time, ctx: &mut Ctx) -> bool {
        match &mut self.own_rate {
            Some(own) => own.take(now),
            None => self.account(ctx).take_request(now),
        }
    }

    /// The two hypothetical controls: a maximum without a reservation, for the function and for its group.
    fn check_wishes(&mut self, ctx: &mut Ctx) -> Result<(), Refusal> {
        if let (Some(most), Some(limit)) = (self.maximum, self.limits.maximum)
            && self.in_flight() >= most
        {
            return Err((limit, Cause::ThrottledMaximum));
        }
        if let (Some(group), Some(limit)) = (self.group, self.limits.group)
            && self.account(ctx).group_full(group)
        {
            return Err((limit, Cause::ThrottledMaximum));
        }
        Ok(())
    }

    fn enter_on_demand(&mut self, now: Time, ctx: &mut Ctx) -> Result<(), Refusal> {
        if let Some(reserved) = self.reserved {
            // Provisioned concurrency is part of the reservation: what it holds is not for others.
            if self.on_demand >= reserved.saturating_sub(self.allocated) {
                return Err((self.limits.reserved, Cause::ThrottledReserved));
            }
            return Ok(());
        }
        let account = self.account(ctx);
        if account.in_flight >= account.unreserved(now) {
            return Err((self.limits.pool, Cause::ThrottledAccount));
        }
        account.in_flight += 1;
        Ok(())
    }

    /// Takes a token of the scaling budget for a new environment; without one the concurrency that was taken by
    /// [`Admission::enter`] is given back.
    pub(super) fn grow(&mut self, ctx: &mut Ctx) -> Result<(), Refusal> {
        let now: Time = ctx.now();
        let may = match &mut self.scaling {
            Some(budget) => budget.take(now),
            None => self.account(ctx).may_scale(now),
        };
        if may {
            return Ok(());
        }
        self.leave(Side::OnDemand, ctx);
        Err((self.limits.scaling, Cause::ThrottledScaling))
    }

    /// Gives a unit of concurrency back.
    pub(super) fn leave(&mut self, side: Side, ctx: &mut Ctx) {
        if let Some(group) = self.group {
            self.account(ctx).group_in_flight[usize::from(group)] -= 1;
        }
        match side {
            Side::Provisioned => self.on_provisioned -= 1,
            Side::OnDemand => {
                self.on_demand -= 1;
                if self.reserved.is_none() {
                    self.account(ctx).in_flight -= 1;
                }
            }
        }
    }

    /// So many environments are provisioned from now on: their concurrency is gone for all others.
    pub(super) fn allocate(&mut self, now: Time, environments: u32, ctx: &mut Ctx) {
        if self.reserved.is_none() {
            let account = self.account(ctx);
            account.provisioned = account.provisioned + environments - self.allocated;
        }
        self.allocated = environments;
        let ten_times = f64::from(environments) * 10.0;
        self.provisioned_rate.set(now, ten_times, ten_times);
    }

    pub(super) fn account<'a>(&self, ctx: &'a mut Ctx) -> &'a mut Account {
        &mut ctx.accounts[self.account as usize]
    }
}
