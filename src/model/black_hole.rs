//! Packets that vanish: a dead host behind a live address, a security group that drops, a route to nowhere.
//!
//! The sender's kernel notices nothing but silence. A SYN is sent again at the times of [`super::listener::SynRetry`] and given up with
//! ETIMEDOUT; data on an open connection is sent again after its retransmission timeout, which doubles up to two minutes, for
//! some 15 minutes ([`super::listener::DATA_RETRIES`]). Whatever is sent again after the hole has closed gets through. Only the way to the node is
//! lost: answers to what it has been given already still come.

use super::calls::Via;
use super::context::Ctx;
use super::listener::{DATA_RETRIES, data_retry, timer_wheel};
use super::message::{CallId, Cause, Event, Message};
use crate::kernel::{Rank, Time};

/// Timer kind by which a sender's kernel gives up: word and turn are those of the call.
const UNREACHABLE: u8 = 252;

/// Whether a message to the present node is lost, or belongs to a call that is. Ask only where [`super::faults::Faults::any_hole`].
pub(super) fn swallow(ctx: &mut Ctx, message: Message) -> bool {
    match message {
        // The SYN of a caller that has closed its socket meanwhile.
        Message::Arrive(call) if !ctx.calls.alive(call) => true,
        Message::Arrive(call) => {
            let address = ctx.calls.get(call).address;
            if ctx.faults.swallows(ctx.me, address) {
                send_again(ctx, call);
                return true;
            }
            ctx.faults.found(call);
            false
        }
        Message::Cancel(call) if ctx.faults.found(call) => {
            // Nobody was told of the call, and nobody waits for it: its row ends here.
            ctx.fail(call, Cause::ConnectTimeout, 0);
            true
        }
        Message::Wake(UNREACHABLE, slot, turn) => {
            let call = CallId { slot, turn };
            if ctx.calls.alive(call) && ctx.faults.found(call) {
                let new = ctx.calls.get(call).via == Via::New;
                ctx.fail(call, if new { Cause::ConnectTimeout } else { Cause::Reset }, 0);
            }
            true
        }
        _ => false,
    }
}

/// The sender's kernel waits, and sends again or gives up.
fn send_again(ctx: &mut Ctx, call: CallId) {
    let now = ctx.now();
    let times = ctx.faults.vanished(call);
    let row = ctx.calls.get(call);
    let (hop, me) = (row.hop, row.to);
    let (wait, last) = match row.via {
        Via::New => row.opening.wait_after(times),
        Via::Open(_) => (data_retry(times, hop * 2), times > DATA_RETRIES),
    };
    // The sender's timer ran from when the packet left.
    let sent = Time::ZERO + now.since(Time::ZERO + hop);
    if last {
        // It knows without being told: the row is answered one way earlier.
        let knows = timer_wheel(sent, wait);
        let at = (Time::ZERO + knows.since(Time::ZERO + hop)).max(now);
        ctx.wake_at(at, Rank::Timeout, UNREACHABLE, call.slot, call.turn);
    } else {
        let at = timer_wheel(sent, wait) + hop;
        ctx.queue.at(at, Rank::Arrival, Event::new(me, Message::Arrive(call)));
    }
}
