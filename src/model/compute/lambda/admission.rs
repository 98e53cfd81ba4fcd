//! Whether an invocation may run: the limits, in AWS's order.

use super::spec::LambdaSpec;
use crate::kernel::Time;
use crate::model::account::Account;
use crate::model::bucket::Bucket;
use crate::model::context::Ctx;
use crate::model::ledger::LimitId;
use crate::model::message::Cause;
use crate::model::wiring::Wiring;

/// Which limit refused, and the cause that the caller sees.
pub(super) type Refusal = (LimitId, Cause);

/// The limits of one function, and how much of them is used.
pub(super) struct Admission {
    account: u16,
    reserved: Option<u32>,
    in_flight: u32,
    rate: Bucket,
    scaling: Option<Bucket>,
    limits: Limits,
}

struct Limits {
    pool: LimitId,
    reserved: LimitId,
    rate: LimitId,
    scaling: LimitId,
}

impl Admission {
    pub(super) fn new(spec: &LambdaSpec, wiring: &mut Wiring) -> Result<Admission, String> {
        let (era, me) = (wiring.era, wiring.me);
        let account = &wiring.accounts[&spec.account];
        let applies = spec.reserved.unwrap_or(account.concurrency);
        let ledger = &mut *wiring.ledger;
        let pool = format!("account concurrency {}", account.concurrency);
        let reserved = format!("reserved concurrency {applies}");
        let rate = format!("{} requests/s", u64::from(applies) * 10);
        let limits = Limits {
            pool: ledger.limit(me, "account_concurrency", pool),
            reserved: ledger.limit(me, "reserved_concurrency", reserved),
            rate: ledger.limit(me, "request_rate", rate),
            scaling: ledger.limit(me, "scaling_rate", "1,000 new environments per 10 s".into()),
        };
        let ten_times = f64::from(applies) * 10.0;
        Ok(Admission {
            account: wiring.account(&spec.account)?,
            reserved: spec.reserved,
            in_flight: 0,
            rate: Bucket::new(ten_times, ten_times),
            scaling: (!era.account_scaling()).then(|| Bucket::new(100.0, 1000.0)),
            limits,
        })
    }

    /// Concurrency in use.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Takes a unit of concurrency, or says which limit has none left: request rate, reserved, pool.
    pub(super) fn enter(&mut self, ctx: &mut Ctx) -> Result<(), Refusal> {
        if !self.rate.take(ctx.now()) {
            return Err((self.limits.rate, Cause::ThrottledRequestRate));
        }
        match self.reserved {
            Some(reserved) if self.in_flight >= reserved => {
                return Err((self.limits.reserved, Cause::ThrottledReserved));
            }
            Some(_) => {}
            None => {
                let account = self.account(ctx);
                if account.in_flight >= account.unreserved {
                    return Err((self.limits.pool, Cause::ThrottledAccount));
                }
                account.in_flight += 1;
            }
        }
        self.in_flight += 1;
        Ok(())
    }

    /// Takes a token of the scaling budget for a new environment; without one the concurrency that was taken by
    /// [`Admission::enter`] is given back.
    pub(super) fn grow(&mut self, ctx: &mut Ctx) -> Result<(), Refusal> {
        let now: Time = ctx.now();
        let may = match &mut self.scaling {
            Some(bucket) => bucket.take(now),
            None => self.account(ctx).may_scale(now),
        };
        if may {
            return Ok(());
        }
        self.leave(ctx);
        Err((self.limits.scaling, Cause::ThrottledScaling))
    }

    /// Gives a unit of concurrency back.
    pub(super) fn leave(&mut self, ctx: &mut Ctx) {
        self.in_flight -= 1;
        if self.reserved.is_none() {
            self.account(ctx).in_flight -= 1;
        }
    }

    fn account<'a>(&self, ctx: &'a mut Ctx) -> &'a mut Account {
        &mut ctx.accounts[self.account as usize]
    }
}
