//! Lanes: events that all wait equally long, and so stand in order by construction.
//!
//! A lane is a list of blocks of 32 places. To arm a timer takes the next place of the last block, to disarm it clears a bit, and
//! a block of which nothing is armed any more is given back at once: no neighbour is touched, and memory is proportional
//! to what is armed, not to how long timers are.
//!
//! Of every lane the key of its front is known, or an earlier one: a front that was disarmed is noticed when its time comes.

use super::order::{NEVER, Rank};
use super::{Span, Time};

/// A lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneId(u16);

/// An armed timer of a lane. Stale ids (fired or cancelled) are recognised by their bit or their turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerId {
    place: u32,
    turn: u32,
}

impl TimerId {
    /// A timer that was never armed; cancelling it does nothing.
    pub const NONE: TimerId = TimerId { place: u32::MAX, turn: 0 };
}

const NIL: u32 = u32::MAX;
/// Places of a block.
const PLACES: u32 = u32::BITS;
/// Entries of the table that finds lanes by their delay.
const KNOWN: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Armed<E> {
    key: u64,
    sequence: u64,
    event: E,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    /// Bit p is set while place p is armed. Never zero, but for the last block of a lane.
    armed: u32,
    /// Places taken so far.
    used: u32,
    /// Blocks are used again: ids of an earlier use have another turn.
    turn: u32,
    prev: u32,
    /// The next of the lane, or of those that are free.
    next: u32,
    lane: u16,
}

#[derive(Debug, Clone)]
struct Lane {
    delay: Span,
    rank: Rank,
    /// Whether it is among those that come up.
    listed: bool,
    first: u32,
    last: u32,
}

/// All lanes of a queue.
#[derive(Debug, Clone)]
pub(super) struct Lanes<E> {
    rows: Vec<Lane>,
    /// Keys of fronts, or earlier ones, and the lanes whose they are: the first to come up is the last here.
    coming: Vec<(u64, u16)>,
    /// Key of the first to come up; [`NEVER`] if there is none.
    next: u64,
    blocks: Vec<Block>,
    places: Vec<Armed<E>>,
    free: u32,
    /// Lanes by a hash of their delay and rank; one that gave way to another is not found here.
    known: [u16; KNOWN],
}

impl<E> Default for Lanes<E> {
    fn default() -> Self {
        Lanes {
            rows: Vec::new(),
            coming: Vec::new(),
            next: NEVER,
            blocks: Vec::new(),
            places: Vec::new(),
            free: NIL,
            known: [u16::MAX; KNOWN],
        }
    }
}

/// Where a lane stands in the table of known ones (multiplicative hash, D. Knuth, TAOCP 6.4).
#[inline]
fn home(delay: Span, rank: Rank) -> usize {
    let hash = (delay.nanos() ^ rank as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> (u64::BITS - KNOWN.ilog2())) as usize
}

impl<E: Copy> Lanes<E> {
    /// The lane for this delay and rank, opened at the first call.
    pub(super) fn open(&mut self, delay: Span, rank: Rank) -> LaneId {
        let found = self.rows.iter().position(|lane| lane.delay == delay && lane.rank == rank);
        let index = found.unwrap_or_else(|| {
            self.rows.push(Lane { delay, rank, listed: false, first: NIL, last: NIL });
            self.rows.len() - 1
        });
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        self.known[home(delay, rank)] = index;
        LaneId(index)
    }

    /// The lane for this delay and rank, if one is known.
    #[inline]
    pub(super) fn find(&self, delay: Span, rank: Rank) -> Option<LaneId> {
        let at = self.known[home(delay, rank)];
        let lane = self.rows.get(usize::from(at))?;
        (lane.delay == delay && lane.rank == rank).then_some(LaneId(at))
    }

    /// When an event that is armed now comes up.
    #[inline]
    pub(super) fn due(&self, lane: LaneId, now: Time) -> (Time, Rank) {
        let row = &self.rows[usize::from(lane.0)];
        (now + row.delay, row.rank)
    }

    /// Arms an event; its key is not below any that the lane holds.
    #[expect(clippy::inline_always, reason = "has one caller, which is what is called")]
    #[inline(always)]
    pub(super) fn arm(&mut self, lane: LaneId, key: u64, sequence: u64, event: E) -> TimerId {
        let index = usize::from(lane.0);
        let armed = Armed { key, sequence, event };
        let row = &self.rows[index];
        let mut at = row.last;
        if !row.listed {
            self.list(lane, key);
        }
        if self.blocks.get(at as usize).is_none_or(|block| block.used == PLACES) {
            at = self.extend(lane, armed);
        }
        let block = &mut self.blocks[at as usize];
        let place = at * PLACES + block.used;
        block.armed |= 1 << block.used;
        block.used += 1;
        let turn = block.turn;
        self.places[place as usize] = armed;
        TimerId { place, turn }
    }

    /// A lane that was empty comes up at `key`.
    #[inline(never)]
    fn list(&mut self, lane: LaneId, key: u64) {
        self.rows[usize::from(lane.0)].listed = true;
        self.coming.push((key, lane.0));
        self.settle();
    }

    /// Moves the last of those that come up to its place.
    #[inline]
    fn settle(&mut self) {
        let coming = self.coming.as_mut_slice();
        let mut at = coming.len() - 1;
        while at > 0 && coming[at - 1].0 < coming[at].0 {
            coming.swap(at - 1, at);
            at -= 1;
        }
        self.next = coming[coming.len() - 1].0;
    }

    /// Puts a block at the end of a lane.
    #[inline(never)]
    fn extend(&mut self, lane: LaneId, filler: Armed<E>) -> u32 {
        let row = &mut self.rows[usize::from(lane.0)];
        let mut block =
            Block { armed: 0, used: 0, turn: 0, prev: row.last, next: NIL, lane: lane.0 };
        let mut at = self.free;
        if let Some(free) = self.blocks.get_mut(at as usize) {
            self.free = free.next;
            block.turn = free.turn;
            *free = block;
        } else {
            at = self.blocks.len() as u32;
            self.blocks.push(block);
            self.places.resize(self.places.len() + PLACES as usize, filler);
        }
        match self.blocks.get_mut(row.last as usize) {
            Some(last) => last.next = at,
            None => row.first = at,
        }
        row.last = at;
        at
    }

    /// Disarms a timer; does nothing if it fired or was disarmed before.
    #[inline]
    pub(super) fn disarm(&mut self, timer: TimerId) {
        let at = timer.place / PLACES;
        if let Some(block) = self.blocks.get_mut(at as usize)
            && block.turn == timer.turn
        {
            block.armed &= !(1 << (timer.place % PLACES));
            if block.armed == 0 {
                self.emptied(at);
            }
        }
    }

    /// Nothing of a block is armed any more: it is given back, or begins anew if it is the last of its lane.
    #[inline(never)]
    fn emptied(&mut self, at: u32) {
        let block = &mut self.blocks[at as usize];
        block.turn = block.turn.wrapping_add(1);
        let Block { prev, next, lane, .. } = *block;
        if next == NIL {
            block.used = 0;
            return;
        }
        block.next = self.free;
        self.free = at;
        self.blocks[next as usize].prev = prev;
        match self.blocks.get_mut(prev as usize) {
            Some(before) => before.next = next,
            None => self.rows[usize::from(lane)].first = next,
        }
    }

    /// No event of a lane comes up before this key; [`NEVER`] if all are empty.
    #[inline]
    pub(super) fn first(&self) -> u64 {
        self.next
    }

    /// The place of a lane's front.
    #[inline]
    fn front(&self, lane: usize) -> Option<usize> {
        let first = self.rows[lane].first;
        let armed = self.blocks.get(first as usize)?.armed;
        (armed != 0).then(|| (first * PLACES + armed.trailing_zeros()) as usize)
    }

    /// Key and sequence number of the first of all lanes.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<(u64, u64)> {
        loop {
            let &(key, lane) = self.coming.last()?;
            let front = self.front(usize::from(lane)).map(|at| self.places[at]);
            match front {
                Some(front) if front.key == key && !self.tied(key) => {
                    return Some((key, front.sequence));
                }
                Some(front) if front.key == key => return self.untie(),
                _ => self.renew(lane),
            }
        }
    }

    /// Whether the two first to come up have the same key.
    #[inline]
    fn tied(&self, key: u64) -> bool {
        let second = self.coming.len().checked_sub(2);
        second.is_some_and(|second| self.coming[second].0 == key)
    }

    /// Puts the lane whose front is the oldest first among those of the least key.
    #[cold]
    fn untie(&mut self) -> Option<(u64, u64)> {
        let last = self.coming.len().checked_sub(1)?;
        let key = self.coming[last].0;
        let mut oldest = (u64::MAX, last);
        for (at, &(_, lane)) in self.coming.iter().enumerate().filter(|(_, row)| row.0 == key) {
            let front = self.front(usize::from(lane)).map(|at| self.places[at]);
            if let Some(front) = front.filter(|front| front.key == key) {
                oldest = oldest.min((front.sequence, at));
            }
        }
        self.coming.swap(oldest.1, last);
        Some((key, oldest.0))
    }

    /// Takes the event that [`Lanes::peek`] spoke of.
    #[inline]
    pub(super) fn take(&mut self) -> Option<&E> {
        let &(_, lane) = self.coming.last()?;
        let at = self.front(usize::from(lane))?;
        let block = at as u32 / PLACES;
        let armed = &mut self.blocks[block as usize].armed;
        *armed &= *armed - 1;
        if *armed == 0 {
            self.emptied(block);
        }
        self.renew(lane);
        Some(&self.places[at].event)
    }

    /// Looks again at the front of the lane that comes up first.
    #[inline]
    fn renew(&mut self, lane: u16) {
        match (self.front(usize::from(lane)), self.coming.last_mut()) {
            (Some(at), Some(first)) => {
                first.0 = self.places[at].key;
                self.settle();
            }
            _ => {
                self.coming.pop();
                self.rows[usize::from(lane)].listed = false;
                self.next = self.coming.last().map_or(NEVER, |first| first.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disarmed_timers_give_their_memory_back() {
        let mut lanes = Lanes::default();
        let lane = lanes.open(Span::from_secs(30), Rank::Timeout);
        let mut live = std::collections::VecDeque::new();
        for i in 0..100_000_u64 {
            live.push_back(lanes.arm(lane, i, i, i));
            // A hundred are armed at a time; one in a thousand for long.
            if live.len() > 100
                && let Some(timer) = live.pop_front()
                && i % 1_000 != 0
            {
                lanes.disarm(timer);
                lanes.disarm(timer);
            }
        }
        // 4 blocks for those, and one for each of the 100.
        assert!(lanes.blocks.len() <= 110, "{} blocks", lanes.blocks.len());
        let mut left = Vec::new();
        while lanes.peek().is_some() {
            left.extend(lanes.take().copied());
        }
        assert_eq!(left.len(), 99 + 100);
        assert!(left.is_sorted());
    }

    #[test]
    fn fronts_of_one_key_come_by_age() {
        let mut lanes = Lanes::default();
        let [a, b, c] = [1, 2, 3].map(|ns| lanes.open(Span::from_nanos(ns), Rank::Arrival));
        lanes.arm(b, 7, 1, 'x');
        let gone = lanes.arm(a, 7, 2, '-');
        lanes.arm(c, 7, 3, 'y');
        lanes.arm(a, 7, 4, 'z');
        lanes.arm(b, 9, 5, 'u');
        lanes.disarm(gone);
        for want in ['x', 'y', 'z', 'u'] {
            assert!(lanes.peek().is_some());
            assert_eq!(lanes.take(), Some(&want));
        }
        assert_eq!((lanes.peek(), lanes.first()), (None, NEVER));
    }
}
