//! Lanes: events that all wait equally long, and so stand in order by construction.
//!
//! A lane is a list of blocks of 32 places. To arm a timer takes the next place of the last block, to disarm it clears a bit, and
//! a block of which nothing is armed any more is given back at once: no neighbour is touched, and memory is proportional
//! to what is armed, not to how long timers are. What is known of blocks stands close together, apart from their places: to disarm a
//! timer looks at that only, and it stays in the cache when thousands are armed.
//!
//! Of every lane the key of its front is known, or an earlier one: a front that was disarmed is noticed when its time comes.

use super::order::{self, NEVER, Rank};
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
    /// The places of all blocks.
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

    /// Arms an event now; its sequence number is the largest so far.
    #[inline(always)]
    pub(super) fn arm(&mut self, lane: LaneId, now: Time, sequence: u64, event: E) -> TimerId {
        let row = &self.rows[usize::from(lane.0)];
        let key = order::key(now + row.delay, row.rank);
        let (at, listed) = (row.last, row.listed);
        match if listed { self.put(at, key, sequence, event) } else { None } {
            Some(timer) => timer,
            None => self.arm_first(lane, key, sequence, event),
        }
    }

    /// Takes the next place of a block, if it has one left.
    #[inline(always)]
    fn put(&mut self, at: u32, key: u64, sequence: u64, event: E) -> Option<TimerId> {
        let block = self.blocks.get_mut(at as usize).filter(|block| block.used < PLACES)?;
        let used = block.used;
        block.armed |= 1 << used;
        block.used = used + 1;
        let timer = TimerId { place: at * PLACES + used, turn: block.turn };
        self.places[timer.place as usize] = Armed { key, sequence, event };
        Some(timer)
    }

    /// Arms an event of a lane that was empty, or whose last block is full. The event comes in parts, which stay in registers.
    #[inline(never)]
    fn arm_first(&mut self, lane: LaneId, key: u64, sequence: u64, event: E) -> TimerId {
        let row = &self.rows[usize::from(lane.0)];
        let at = row.last;
        if !row.listed {
            self.list(lane, key);
        }
        match self.put(at, key, sequence, event) {
            Some(timer) => timer,
            None => self.extend(lane, key, sequence, event),
        }
    }

    /// A lane that was empty comes up at `key`.
    fn list(&mut self, lane: LaneId, key: u64) {
        self.rows[usize::from(lane.0)].listed = true;
        self.coming.push((key, lane.0));
        self.settle();
    }

    /// Moves the last of those that come up to its place; mostly it is there.
    #[inline]
    fn settle(&mut self) {
        match self.coming.as_slice() {
            [.., second, first] if second.0 < first.0 => self.move_up(),
            [.., first] => self.next = first.0,
            [] => {}
        }
    }

    #[inline(never)]
    fn move_up(&mut self) {
        let coming = self.coming.as_mut_slice();
        let mut at = coming.len() - 1;
        while at > 0 && coming[at - 1].0 < coming[at].0 {
            coming.swap(at - 1, at);
            at -= 1;
        }
        self.next = coming[coming.len() - 1].0;
    }

    /// Puts a block at the end of a lane, with its first event.
    fn extend(&mut self, lane: LaneId, key: u64, sequence: u64, event: E) -> TimerId {
        let armed = Armed { key, sequence, event };
        let row = &mut self.rows[usize::from(lane.0)];
        let mut at = self.free;
        if let Some(free) = self.blocks.get(at as usize) {
            self.free = free.next;
        } else {
            at = self.blocks.len() as u32;
            let (prev, next) = (NIL, NIL);
            self.blocks.push(Block { armed: 0, used: 0, turn: 0, prev, next, lane: 0 });
            self.places.extend([armed; PLACES as usize]);
        }
        match self.blocks.get_mut(row.last as usize) {
            Some(last) => last.next = at,
            None => row.first = at,
        }
        let block = &mut self.blocks[at as usize];
        (block.armed, block.used) = (1, 1);
        (block.prev, block.next, block.lane) = (row.last, NIL, lane.0);
        self.places[(at * PLACES) as usize] = armed;
        row.last = at;
        TimerId { place: at * PLACES, turn: block.turn }
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
        let &Block { prev, next, lane, .. } = &self.blocks[at as usize];
        if next == NIL {
            return self.begin_anew(at);
        }
        let block = &mut self.blocks[at as usize];
        block.turn = block.turn.wrapping_add(1);
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

    /// A lane's front.
    #[inline]
    fn front(&self, lane: u16) -> Option<&Armed<E>> {
        self.front_of(self.rows[usize::from(lane)].first)
    }

    /// The first that is armed of a block.
    #[inline]
    fn front_of(&self, at: u32) -> Option<&Armed<E>> {
        let armed = self.blocks.get(at as usize)?.armed;
        if armed == 0 {
            return None;
        }
        self.places.get((at * PLACES + armed.trailing_zeros()) as usize)
    }

    /// Key and sequence number of the first of all lanes.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<(u64, u64)> {
        loop {
            let &(key, lane) = self.coming.last()?;
            match self.front(lane) {
                Some(front) if front.key == key => {
                    let sequence = front.sequence;
                    return if self.tied(key) { self.untie() } else { Some((key, sequence)) };
                }
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
            if let Some(front) = self.front(lane).filter(|front| front.key == key) {
                oldest = oldest.min((front.sequence, at));
            }
        }
        self.coming.swap(oldest.1, last);
        Some((key, oldest.0))
    }

    /// Takes the first of all lanes, if its key is below `bound` and no other has that key: the key and the event's place.
    #[inline]
    pub(super) fn take_before(&mut self, bound: u64) -> Option<(u64, u32)> {
        let &(key, lane) = self.coming.last()?;
        let first = self.rows[usize::from(lane)].first;
        let front = self.front_of(first)?;
        if key >= bound || front.key != key || self.tied(key) {
            return None;
        }
        Some((key, self.take_from(lane, first)?))
    }

    /// The event at a place that was taken; it stays there until the next is armed.
    #[inline]
    pub(super) fn event(&self, place: u32) -> Option<&E> {
        self.places.get(place as usize).map(|armed| &armed.event)
    }

    /// The next two of the lane from whose place an event was just taken, as far as they stand in the same block.
    #[inline]
    pub(super) fn soon(&self, place: u32) -> [Option<&E>; 2] {
        let at = place / PLACES;
        let armed = self.blocks.get(at as usize).map_or(0, |block| block.armed);
        let first = |armed: u32| {
            let place = at * PLACES + armed.trailing_zeros();
            self.places.get(place as usize).filter(|_| armed != 0).map(|armed| &armed.event)
        };
        [first(armed), first(armed & armed.wrapping_sub(1))]
    }

    /// Takes the event that [`Lanes::peek`] spoke of.
    pub(super) fn take(&mut self) -> Option<&E> {
        let &(_, lane) = self.coming.last()?;
        let first = self.rows[usize::from(lane)].first;
        let place = self.take_from(lane, first)?;
        self.event(place)
    }

    /// Takes the front of a lane, which is the first to come up and begins with block `first`. Returns the event's place.
    #[inline(always)]
    fn take_from(&mut self, lane: u16, first: u32) -> Option<u32> {
        let block = self.blocks.get_mut(first as usize)?;
        let place = block.armed.trailing_zeros();
        block.armed &= block.armed.wrapping_sub(1);
        let next = block.next;
        if let Some(front) = self.front_of(first) {
            let key = front.key;
            self.coming.last_mut()?.0 = key;
            self.settle();
        } else if next == NIL {
            self.begin_anew(first);
            self.unlist(lane);
        } else {
            self.emptied(first);
            self.renew(lane);
        }
        Some(first * PLACES + place)
    }

    /// The only block of a lane has nothing armed any more.
    #[inline(always)]
    fn begin_anew(&mut self, at: u32) {
        let block = &mut self.blocks[at as usize];
        block.turn = block.turn.wrapping_add(1);
        block.used = 0;
    }

    /// The lane that comes up first is empty.
    #[inline(always)]
    fn unlist(&mut self, lane: u16) {
        self.coming.pop();
        self.rows[usize::from(lane)].listed = false;
        self.next = self.coming.last().map_or(NEVER, |first| first.0);
    }

    /// Looks again at the front of the lane that comes up first.
    #[inline(never)]
    fn renew(&mut self, lane: u16) {
        let key = self.front(lane).map(|front| front.key);
        match (key, self.coming.last_mut()) {
            (Some(key), Some(first)) => {
                first.0 = key;
                self.settle();
            }
            _ => self.unlist(lane),
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
            live.push_back(lanes.arm(lane, Time::from_nanos(i), i, i));
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
        // Delays of 1, 2 and 3: all but the last come up at 7.
        let at = Time::from_nanos;
        lanes.arm(b, at(5), 1, 'x');
        let gone = lanes.arm(a, at(6), 2, '-');
        lanes.arm(c, at(4), 3, 'y');
        lanes.arm(a, at(6), 4, 'z');
        lanes.arm(b, at(7), 5, 'u');
        lanes.disarm(gone);
        for want in ['x', 'y', 'z', 'u'] {
            assert!(lanes.peek().is_some());
            assert_eq!(lanes.take(), Some(&want));
        }
        assert_eq!((lanes.peek(), lanes.first()), (None, NEVER));
    }
}
