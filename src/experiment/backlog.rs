//! Whether requests in flight grow until the load ends: then the figures are those of a load of this length, and a longer one is worse.
//!
//! A system keeps up where, in the long run, as many requests leave as come (rate stability: M. El-Taha and S. Stidham,
//! "Sample-Path Analysis of Queueing Systems", 1999; of one server, where the load is below 1: D. Lindley, "The theory of queues with a
//! single server", Proc. Cambridge Phil. Soc. 48, 1952). Once it has settled, the number of requests in flight has the same law
//! at any time, so what came minus what left is 0 on average; beyond its capacity it grows by the excess. Looked at is the second half of
//! the time in which users come at a rate that does not change: the first is left to the filling of an empty system. Replications are
//! independent, so the growth has a t-interval.
//!
//! Says nothing of closed classes alone (no more requests are in flight than there are users) and of rates that change to the end.
//! What has not settled by the end of the load may grow as fast, a little below capacity: its figures are no better known.

use super::estimate::{mean, ratio};
use super::figures::{count, seconds, share};
use super::result::{Backlog, DesignResult};
use crate::kernel::{Clock, Counts, Span};
use crate::model::client::Load;
use crate::model::world::Outturn;

/// Code of what is told where requests in flight grow.
pub(super) const GROWS: &str = "W0445";
/// What to do about it.
pub(super) const LONGER: &str =
    "let the load go on for longer until it no longer grows, or lower its rate";

impl DesignResult {
    /// That requests in flight grow until the load ends, in a sentence; none where they do not.
    pub fn grows(&self) -> Option<String> {
        let own = self.backlog.filter(|own| own.grows)?;
        Some(format!(
            "requests in flight grow until the load ends: of {} that came from {} to {}, {} were left over, so these figures hold for a load of this length only",
            count(own.arrived),
            seconds(own.from),
            seconds(own.until),
            share(own.share.value)
        ))
    }
}

/// Part of the growth of a queue that falls into the second half of the time if its load is exactly its capacity: it grows with the
/// square root of time (reflected Brownian motion without drift, W. Whitt, "Stochastic-Process Limits", 2002), 1 − √½. Beyond capacity it
/// comes to a half, below it to nothing: what grows less than this is on its way to settle.
const AT_CAPACITY: f64 = 1.0 - std::f64::consts::FRAC_1_SQRT_2;

/// How requests in flight grew under the steady part of the load of a design; none where there is none.
pub(super) fn backlog(loads: &[&Load], rows: &[Outturn]) -> Option<Backlog> {
    let (since, end) = steady(loads)?;
    let clock = rows.iter().map(|row| row.ledger.clock).reduce(Clock::widest)?;
    let width = clock.width().nanos();
    let ran = rows.iter().map(|row| row.end.nanos()).min()?;
    let first = since.nanos().midpoint(end.nanos()).div_ceil(width) as usize;
    let last = (end.nanos().min(ran) / width) as usize;
    if first >= last {
        return None;
    }
    let pair = |row: &Outturn, from: usize| {
        let within = |counts: &Counts| {
            let mut own = counts.clone();
            own.widen(clock);
            own.cells().iter().take(last).skip(from).sum::<u64>() as f64
        };
        let ledger = &row.ledger;
        let failed: f64 = ledger.failures.iter().map(|failure| within(&failure.series)).sum();
        let came = within(&ledger.started);
        (came - within(&ledger.succeeded) - failed, came)
    };
    let pairs: Vec<(f64, f64)> = rows.iter().map(|row| pair(row, first)).collect();
    let growth = mean(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
    let begins = (since.nanos() / width) as usize;
    let all = rows.iter().map(|row| pair(row, begins).0).sum::<f64>() / rows.len() as f64;
    Some(Backlog {
        from: first as f64 * clock.width().as_secs_f64(),
        until: last as f64 * clock.width().as_secs_f64(),
        arrived: pairs.iter().map(|pair| pair.1).sum::<f64>() / pairs.len().max(1) as f64,
        growth,
        share: ratio(&pairs)?,
        // Of evenly spaced arrivals with constant times, one more or less of each class is in flight as the moment falls.
        grows: growth.low > loads.len() as f64 && growth.value >= AT_CAPACITY * all,
    })
}

/// From when to when requests come at a rate that does not change: to the end of the last open class, from when on no other class changes.
fn steady(loads: &[&Load]) -> Option<(Span, Span)> {
    let open = loads.iter().filter(|load| matches!(load, Load::Open(_)));
    let end = open.filter_map(|load| load.ends()).max()?;
    let since = |load: &&Load| match load.ends() {
        Some(own) if own < end => Some(own),
        _ => load.steady_since(),
    };
    let since = loads.iter().map(since).try_fold(Span::ZERO, |most, own| Some(most.max(own?)))?;
    (since < end).then_some((since, end))
}
