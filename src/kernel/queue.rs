//! Pending events in a total order: (time, rank, sequence).
//!
//! * A message without delay goes to the *immediate* ring and is delivered before anything else.
//! * A random delay goes to the list of pending events.
//! * A constant delay (timeouts, keep-alives, sync periods) goes to its *lane*: a list that is in order by
//!   construction. Only its front is among the pending events, and a cancelled timer leaves at once, so that
//!   memory is proportional to what is armed, not to how long timers are.
//!
//! At one instant completions come before arrivals and timeouts ([`Rank`]), so that a freed place can be taken
//! by a request that arrives at that very nanosecond.

use super::pending::Pending;
use super::{Span, Time};
use std::collections::VecDeque;

/// Who goes first among events of the same nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// Work that ends: frees places.
    Completion = 0,
    /// Requests that arrive: take places.
    Arrival = 1,
    /// Limits that run out: an answer at the same nanosecond still counts.
    Timeout = 2,
}

/// A lane: events that all wait equally long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneId(u16);

/// An armed timer of a lane. Stale ids (fired or cancelled) are recognised by their turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerId {
    slot: u32,
    turn: u32,
}

impl TimerId {
    /// A timer that was never armed; cancelling it does nothing.
    pub const NONE: TimerId = TimerId { slot: NIL, turn: 0 };
}

const NIL: u32 = u32::MAX;

const RANK_BITS: u32 = 2;
/// Latest time at which an event may lie, 146 years; "never" is later.
const LAST: u64 = u64::MAX >> (RANK_BITS + 1);

#[derive(Clone, Copy, Debug)]
enum Entry<E> {
    Event(E),
    Lane(u16),
}

#[derive(Clone, Copy, Debug)]
struct LaneNode<E> {
    key: u64,
    sequence: u64,
    event: E,
    prev: u32,
    next: u32,
    turn: u32,
    lane: u16,
}

#[derive(Debug, Clone)]
struct Lane {
    delay: Span,
    rank: Rank,
    head: u32,
    tail: u32,
    /// Whether its front is among the pending events, perhaps under the key of a timer that was cancelled since.
    represented: bool,
}

/// The pending events of one run.
#[derive(Debug, Clone)]
pub struct Queue<E> {
    now: Time,
    sequence: u64,
    immediate: VecDeque<E>,
    pending: Pending<Entry<E>>,
    lanes: Vec<Lane>,
    nodes: Vec<LaneNode<E>>,
    free: u32,
    popped: u64,
}

impl<E: Copy> Default for Queue<E> {
    fn default() -> Self {
        Queue {
            now: Time::ZERO,
            sequence: 0,
            immediate: VecDeque::new(),
            pending: Pending::default(),
            lanes: Vec::new(),
            nodes: Vec::new(),
            free: NIL,
            popped: 0,
        }
    }
}

impl<E: Copy> Queue<E> {
    /// Time of the event being handled.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many events were delivered.
    pub fn delivered(&self) -> u64 {
        self.popped
    }

    /// The place of an event in the order: time and rank, then the sequence number.
    #[inline]
    fn key(&mut self, at: Time, rank: Rank) -> (u64, u64) {
        debug_assert!(self.now <= at, "an event in the past");
        self.sequence += 1;
        (at.nanos().min(LAST) << RANK_BITS | rank as u64, self.sequence)
    }

    /// Delivers `event` next, before anything that is scheduled, after what was sent immediately before it.
    #[inline]
    pub fn immediately(&mut self, event: E) {
        self.immediate.push_back(event);
    }

    /// Delivers `event` after `delay`.
    #[inline]
    pub fn after(&mut self, delay: Span, event: E) {
        if delay.is_zero() {
            return self.immediately(event);
        }
        self.at(self.now + delay, Rank::Completion, event);
    }

    /// Delivers `event` at `at`, ordered among others of that instant by `rank`.
    #[inline]
    pub fn at(&mut self, at: Time, rank: Rank, event: E) {
        let (key, sequence) = self.key(at, rank);
        self.pending.push(key, sequence, Entry::Event(event));
    }

    /// The lane for this delay and rank, opened at the first call. For set-up.
    pub fn lane(&mut self, delay: Span, rank: Rank) -> LaneId {
        let found = self.lanes.iter().position(|lane| lane.delay == delay && lane.rank == rank);
        let index = found.unwrap_or_else(|| {
            self.lanes.push(Lane { delay, rank, head: NIL, tail: NIL, represented: false });
            self.lanes.len() - 1
        });
        LaneId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// Arms a timer in a lane. O(1) while the lane is not empty.
    pub fn arm(&mut self, lane: LaneId, event: E) -> TimerId {
        let (delay, rank) = {
            let lane = &self.lanes[lane.0 as usize];
            (lane.delay, lane.rank)
        };
        let (key, sequence) = self.key(self.now + delay, rank);
        let tail = self.lanes[lane.0 as usize].tail;
        let slot = self.node(LaneNode {
            key,
            sequence,
            event,
            prev: tail,
            next: NIL,
            turn: 0,
            lane: lane.0,
        });
        let row = &mut self.lanes[lane.0 as usize];
        row.tail = slot;
        if tail == NIL {
            row.head = slot;
            if !row.represented {
                row.represented = true;
                self.pending.push(key, sequence, Entry::Lane(lane.0));
            }
        } else {
            self.nodes[tail as usize].next = slot;
        }
        TimerId { slot, turn: self.nodes[slot as usize].turn }
    }

    fn node(&mut self, node: LaneNode<E>) -> u32 {
        if self.free == NIL {
            self.nodes.push(node);
            return u32::try_from(self.nodes.len() - 1).unwrap_or(NIL);
        }
        let slot = self.free;
        let row = &mut self.nodes[slot as usize];
        self.free = row.next;
        *row = LaneNode { turn: row.turn, ..node };
        slot
    }

    /// Disarms a timer; does nothing if it fired or was cancelled before. O(1).
    pub fn cancel(&mut self, timer: TimerId) {
        if let Some(node) = self.nodes.get(timer.slot as usize)
            && node.turn == timer.turn
        {
            self.unlink(timer.slot);
        }
    }

    fn unlink(&mut self, slot: u32) {
        let LaneNode { prev, next, lane, .. } = self.nodes[slot as usize];
        let row = &mut self.lanes[lane as usize];
        if prev == NIL {
            row.head = next;
        } else {
            self.nodes[prev as usize].next = next;
        }
        if next == NIL {
            row.tail = prev;
        } else {
            self.nodes[next as usize].prev = prev;
        }
        let node = &mut self.nodes[slot as usize];
        node.turn = node.turn.wrapping_add(1);
        node.next = self.free;
        self.free = slot;
    }

    /// Takes the next event and moves the clock to it.
    #[inline]
    pub fn pop(&mut self) -> Option<E> {
        if let Some(event) = self.immediate.pop_front() {
            self.popped += 1;
            return Some(event);
        }
        loop {
            let (key, sequence, entry) = self.pending.pop()?;
            match entry {
                Entry::Event(event) => {
                    self.advance(key);
                    return Some(event);
                }
                Entry::Lane(lane) => {
                    // One event in thousands: timers seldom fire.
                    if let Some(event) = self.pop_lane(lane, sequence) {
                        self.advance(key);
                        return Some(event);
                    }
                }
            }
        }
    }

    fn advance(&mut self, key: u64) {
        let at = Time::from_nanos(key >> RANK_BITS);
        assert!(self.now <= at, "time ran backwards");
        self.now = at;
        self.popped += 1;
    }

    /// The lane's front came up under `sequence`. If that timer is gone, the lane is put back under its present front.
    #[inline(never)]
    fn pop_lane(&mut self, lane: u16, sequence: u64) -> Option<E> {
        let head = self.lanes[lane as usize].head;
        if head == NIL {
            self.lanes[lane as usize].represented = false;
            return None;
        }
        let LaneNode { event, sequence: front, .. } = self.nodes[head as usize];
        let fires = front == sequence;
        if fires {
            self.unlink(head);
        }
        match self.nodes.get(self.lanes[lane as usize].head as usize) {
            Some(node) => self.pending.push_old(node.key, node.sequence, Entry::Lane(lane)),
            None => self.lanes[lane as usize].represented = false,
        }
        fires.then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;

    /// The obvious slow queue: a vector, searched.
    #[derive(Default)]
    struct Twin {
        now: u64,
        sequence: u64,
        rows: Vec<((u64, u8, u64), u32)>,
        immediate: VecDeque<u32>,
    }
    impl Twin {
        fn add(&mut self, at: u64, rank: Rank, event: u32) {
            self.sequence += 1;
            self.rows.push(((at, rank as u8, self.sequence), event));
        }
        fn pop(&mut self) -> Option<u32> {
            if let Some(event) = self.immediate.pop_front() {
                return Some(event);
            }
            let at = self.rows.iter().enumerate().min_by_key(|(_, row)| row.0)?.0;
            let row = self.rows.remove(at);
            self.now = row.0.0;
            Some(row.1)
        }
    }

    const RANKS: [Rank; 3] = [Rank::Completion, Rank::Arrival, Rank::Timeout];

    #[test]
    fn agrees_with_its_slow_twin_over_heap_lanes_and_cancels() {
        for seed in 0..40 {
            let mut stream = Key::root(seed, 1).stream();
            let mut queue = Queue::default();
            let mut twin = Twin::default();
            let lanes: Vec<_> = [(5, 0), (40, 2), (40, 1)]
                .map(|(ns, r)| (ns, RANKS[r], queue.lane(Span::from_nanos(ns), RANKS[r])))
                .to_vec();
            let mut armed: Vec<(TimerId, u32)> = Vec::new();
            for event in 0..3_000_u32 {
                match stream.below(10) {
                    0 => {
                        queue.immediately(event);
                        twin.immediate.push_back(event);
                    }
                    1..=3 => {
                        let (at, rank) =
                            (twin.now + 1 + stream.below(50), RANKS[stream.below(3) as usize]);
                        queue.at(Time::from_nanos(at), rank, event);
                        twin.add(at, rank, event);
                    }
                    4..=6 => {
                        let (delay, rank, lane) = lanes[stream.below(3) as usize];
                        armed.push((queue.arm(lane, event), event));
                        twin.add(twin.now + delay, rank, event);
                    }
                    7 if !armed.is_empty() => {
                        let (timer, event) =
                            armed.swap_remove(stream.below(armed.len() as u64) as usize);
                        queue.cancel(timer);
                        twin.rows.retain(|row| row.1 != event);
                    }
                    _ => {
                        let (got, want) = (queue.pop(), twin.pop());
                        assert_eq!(got, want, "seed {seed} event {event}");
                        assert_eq!(queue.now().nanos(), twin.now);
                    }
                }
            }
            while let Some(event) = twin.pop() {
                assert_eq!(queue.pop(), Some(event), "seed {seed}");
            }
            assert_eq!(queue.pop(), None);
        }
    }

    #[test]
    fn cancelled_timers_give_their_memory_back() {
        let mut queue = Queue::default();
        let lane = queue.lane(Span::from_secs(30), Rank::Timeout);
        for i in 0..100_000_u32 {
            let timer = queue.arm(lane, i);
            queue.cancel(timer);
        }
        assert!(queue.nodes.len() <= 1);
        assert!(queue.pending.len() <= 1);
    }
}
