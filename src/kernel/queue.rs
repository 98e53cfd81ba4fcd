//! Pending events in a total order: (time, rank, sequence).
//!
//! * A message without delay goes to the *immediate* ring and is delivered before anything else.
//! * A random delay goes to the list of pending events.
//! * A constant delay (ways between nodes, timeouts, keep-alives, sync periods) goes to its *lane*, which is in order by
//!   construction. A cancelled timer leaves at once, so that memory is proportional to what is armed, not to how long
//!   timers are.
//!
//! At one instant completions come before arrivals and timeouts ([`Rank`]), so that a freed place can be taken
//! by a request that arrives at that very nanosecond.

use super::lanes::{LaneId, Lanes, TimerId};
use super::order::{self, NEVER, Rank};
use super::pending::Pending;
use super::{Span, Time};

/// The pending events of one run.
#[derive(Debug, Clone)]
pub struct Queue<E> {
    now: Time,
    sequence: u64,
    /// What is delivered before anything that is scheduled; so many of them have been.
    immediate: Vec<E>,
    taken: usize,
    /// How many of the places of `immediate` are in use, those that were taken included.
    end: usize,
    pending: Pending<E>,
    lanes: Lanes<E>,
    popped: u64,
    came: Came,
}

/// Where the last of the scheduled events came from.
#[derive(Debug, Clone, Copy)]
enum Came {
    /// There was none yet.
    Nowhere,
    Pending,
    /// From this place of a lane.
    Lane(u32),
}

impl<E: Copy> Default for Queue<E> {
    fn default() -> Self {
        Queue {
            now: Time::ZERO,
            sequence: 0,
            immediate: Vec::new(),
            taken: 0,
            end: 0,
            pending: Pending::default(),
            lanes: Lanes::default(),
            popped: 0,
            came: Came::Nowhere,
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
        (order::key(at, rank), self.sequence)
    }

    /// Delivers `event` next, before anything that is scheduled, after what was sent immediately before it.
    #[inline]
    pub fn immediately(&mut self, event: E) {
        let Some(place) = self.immediate.get_mut(self.end) else {
            return self.make_room(event);
        };
        *place = event;
        self.end += 1;
    }

    /// Forgets what was delivered already if that is most of it, or adds places; then there is one for `event`.
    #[cold]
    fn make_room(&mut self, event: E) {
        if 2 * self.taken > self.end {
            self.immediate.copy_within(self.taken.., 0);
            self.end -= self.taken;
            self.taken = 0;
        } else {
            self.immediate.resize(2 * self.end + 16, event);
        }
        self.immediately(event);
    }

    /// Delivers `event` after `delay`.
    #[inline]
    pub fn after(&mut self, delay: Span, event: E) {
        if delay.is_zero() {
            return self.immediately(event);
        }
        self.at(self.now + delay, Rank::Completion, event);
    }

    /// Delivers `event` after a delay that may be that of a lane (the way between two nodes).
    #[inline]
    pub fn travel(&mut self, delay: Span, rank: Rank, event: E) {
        if delay.is_zero() {
            return self.immediately(event);
        }
        self.travel_far(delay, rank, event);
    }

    #[inline(never)]
    fn travel_far(&mut self, delay: Span, rank: Rank, event: E) {
        match self.lanes.find(delay, rank) {
            Some(lane) => {
                self.arm(lane, event);
            }
            None => self.at(self.now + delay, rank, event),
        }
    }

    /// Delivers `event` at `at`, ordered among others of that instant by `rank`.
    #[inline]
    pub fn at(&mut self, at: Time, rank: Rank, event: E) {
        let (key, sequence) = self.key(at, rank);
        self.pending.push(key, sequence, event);
    }

    /// The lane for this delay and rank, opened at the first call. For set-up.
    pub fn lane(&mut self, delay: Span, rank: Rank) -> LaneId {
        self.lanes.open(delay, rank)
    }

    /// Arms a timer in a lane. O(1).
    #[inline]
    pub fn arm(&mut self, lane: LaneId, event: E) -> TimerId {
        self.sequence += 1;
        self.lanes.arm(lane, self.now, self.sequence, event)
    }

    /// Disarms a timer; does nothing if it fired or was cancelled before. O(1).
    #[inline]
    pub fn cancel(&mut self, timer: TimerId) {
        self.lanes.disarm(timer);
    }

    /// The next two events from where the last scheduled one was taken, most likely.
    #[inline]
    pub fn soon(&self) -> [Option<&E>; 2] {
        match self.came {
            Came::Nowhere => [None; 2],
            Came::Pending => self.pending.soon(),
            Came::Lane(place) => self.lanes.soon(place),
        }
    }

    /// Takes the next event and moves the clock to it.
    #[inline]
    pub fn pop(&mut self) -> Option<&E> {
        if self.taken < self.end { self.pop_immediate() } else { self.pop_scheduled() }
    }

    /// Takes the next of those without delay, which come before all that are scheduled.
    #[inline]
    pub fn pop_immediate(&mut self) -> Option<&E> {
        // By reference, here and below: an option of the event itself is put together byte by byte.
        if self.taken >= self.end {
            return None;
        }
        self.taken += 1;
        self.popped += 1;
        self.immediate.get(self.taken - 1)
    }

    /// Takes the next of those that are scheduled, when there is none without delay, and moves the clock to it.
    #[inline]
    pub fn pop_scheduled(&mut self) -> Option<&E> {
        debug_assert!(self.taken >= self.end, "an event without delay comes first");
        (self.taken, self.end) = (0, 0);
        if self.pending.in_heap(self.lanes.first()) {
            self.came = Came::Pending;
            let (key, event) = self.pending.pop_heap();
            advance(&mut self.now, &mut self.popped, key);
            return Some(event);
        }
        self.pop_far()
    }

    /// Takes the first of what is not in the heap: of the lanes, unless its time has not come after all, or of those pending.
    #[inline(never)]
    fn pop_far(&mut self) -> Option<&E> {
        let first = self.pending.first();
        if first < self.lanes.first() {
            self.came = Came::Pending;
            let (key, event) = self.pending.pop()?;
            advance(&mut self.now, &mut self.popped, key);
            return Some(event);
        }
        if let Some((key, place)) = self.lanes.take_before(first) {
            self.came = Came::Lane(place);
            advance(&mut self.now, &mut self.popped, key);
            return self.lanes.event(place);
        }
        self.pop_unsure()
    }

    /// The same where a front was disarmed, or several come at once.
    #[cold]
    fn pop_unsure(&mut self) -> Option<&E> {
        let (key, sequence) = self.lanes.peek().unwrap_or((NEVER, u64::MAX));
        let first = self.pending.first();
        let (key, event) = if first < key || first == key && self.pending.older(sequence) {
            self.pending.pop()?
        } else {
            (key, self.lanes.take()?)
        };
        advance(&mut self.now, &mut self.popped, key);
        Some(event)
    }
}

/// Moves the clock to an event.
#[inline]
fn advance(now: &mut Time, popped: &mut u64, key: u64) {
    let at = order::time(key);
    assert!(*now <= at, "time ran backwards");
    *now = at;
    *popped += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use std::collections::VecDeque;

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
    fn what_comes_soon_is_what_comes() {
        // Both the few of the heap and the many of the wheel; lanes within a block.
        for many in [40, 20_000_u64] {
            let mut stream = Key::root(many, 1).stream();
            let mut queue = Queue::default();
            let lane = queue.lane(Span::from_secs(1), Rank::Timeout);
            for event in 0..many {
                let at = Time::from_nanos(1 + stream.below(1 << 40));
                queue.at(at, Rank::Completion, event);
            }
            for event in 0..40 {
                queue.arm(lane, many + event);
            }
            let (mut foreseen, mut pairs) = ([None; 2], [0; 2]);
            while let Some(&event) = queue.pop() {
                let from = usize::from(event >= many);
                pairs[from] += usize::from(foreseen[from] == Some(event));
                foreseen[from] = queue.soon()[0].copied();
            }
            // Nothing was added meanwhile: only where a block or a batch ends is nothing foreseen.
            assert!(pairs[0] as u64 >= many * 9 / 10, "{pairs:?} of {many}");
            assert_eq!(pairs[1], 38, "40 in two blocks");
        }
    }

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
                    4 => {
                        // In a lane by its delay, or not.
                        let delay = [5, 40, 41][stream.below(3) as usize];
                        queue.travel(Span::from_nanos(delay), Rank::Completion, event);
                        twin.add(twin.now + delay, Rank::Completion, event);
                    }
                    5 | 6 => {
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
                        let (got, want) = (queue.pop().copied(), twin.pop());
                        assert_eq!(got, want, "seed {seed} event {event}");
                        assert_eq!(queue.now().nanos(), twin.now);
                    }
                }
            }
            while let Some(event) = twin.pop() {
                assert_eq!(queue.pop(), Some(&event), "seed {seed}");
            }
            assert_eq!(queue.pop(), None);
        }
    }
}
