//! Idle connections that a proxy keeps to a server, and that the server closes after a while.
//!
//! The server closes without a word; its FIN takes a hop. A request that the proxy sent in the meantime meets a closed
//! connection and is reset: it must have left less than a hop before the server closed, or less than one after.

use crate::kernel::{Span, Time};

/// An idle connection.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Its number at the server.
    pub connection: u32,
    since: Time,
    closes: Time,
}

impl Kept {
    /// A connection on which an answer has just come, from a server `hop` away that keeps an idle connection for `keepalive`,
    /// counted from when it sent its answer; none: for ever.
    pub fn new(connection: u32, now: Time, hop: Span, keepalive: Option<Span>) -> Kept {
        let sent = Time::from_nanos(now.nanos().saturating_sub(hop.nanos()));
        Kept {
            connection,
            since: now,
            closes: keepalive.map_or(Time::MAX, |keepalive| sent + keepalive),
        }
    }

    /// Since when it is idle.
    pub fn since(self) -> Time {
        self.since
    }

    /// When the server closes it if no request comes.
    pub fn closes(self) -> Time {
        self.closes
    }

    /// Whether the proxy knows by `now` that it was closed.
    pub fn gone(self, now: Time, hop: Span) -> bool {
        now >= self.closes + hop
    }
}
