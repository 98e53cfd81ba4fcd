//! Cores that threads take turns on, a slice at a time, by weight: what processor sharing stands for where slices matter.

use crate::kernel::{Span, Time};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Cores that runnable threads take turns on: start-time fair queueing (P. Goyal, H. Vin and H. Cheng, 1996), which is how
/// Linux's fair scheduler shares cores in the long run: weights among groups, a slice at a time.
///
/// A thread that becomes runnable gets the start tag S = max(V, what its group has been served), V being the largest tag served
/// so far. Whoever has the smallest tag runs for a slice or to its end, and its tag, or its group's, rises by (work) / (weight).
/// Threads that are alike so take turns; a group that uses less than its share is served at once.
///
/// A thread whose work has ended may have more to do at once: it keeps its core until it is told to leave
/// ([`TimeSlices::leave`]) or goes on within its slice ([`TimeSlices::go_on`]).
#[derive(Debug, Clone)]
pub struct TimeSlices {
    slice: f64,
    speed: f64,
    cores: Vec<Option<Running>>,
    /// Threads that wait, the smallest tag first.
    waiting: BinaryHeap<Reverse<Asking>>,
    /// Virtual time up to which each group has been served.
    groups: BTreeMap<u32, f64>,
    virtual_time: f64,
    sequence: u64,
    turns: Vec<u32>,
    /// The core whose thread has just ended its work and not left yet.
    held: Option<usize>,
    busy_ns: f64,
}

/// The group that a thread belongs to, and the group's weight (1,024 is nice 0).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Which; none: one of its own.
    pub number: Option<u32>,
    /// Weight.
    pub weight: f64,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    thread: Asking,
    since: Time,
    part: f64,
}

#[derive(Debug, Clone, Copy)]
struct Asking {
    tag: f64,
    sequence: u64,
    id: u32,
    group: Group,
    left: f64,
    /// How much of its slice it has had.
    used: f64,
}
impl PartialEq for Asking {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Asking {}
impl PartialOrd for Asking {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Asking {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.tag.total_cmp(&other.tag).then(self.sequence.cmp(&other.sequence))
    }
}

/// When to look at a core again, and under which turn.
pub type CoreDue = Option<(usize, Time, u32)>;

impl TimeSlices {
    /// Idle cores of relative `speed`.
    pub fn new(cores: usize, speed: f64, slice: Span) -> TimeSlices {
        TimeSlices {
            slice: slice.nanos() as f64,
            speed,
            cores: vec![None; cores],
            waiting: BinaryHeap::new(),
            groups: BTreeMap::new(),
            virtual_time: 0.0,
            sequence: 0,
            turns: vec![0; cores],
            held: None,
            busy_ns: 0.0,
        }
    }

    /// Reference work done so far, nanoseconds.
    pub fn work_done(&self) -> f64 {
        self.busy_ns
    }

    /// Adds a thread with `work` to do. Returns which core is to be looked at, when, and under which turn, if it got one.
    pub fn start(&mut self, now: Time, id: u32, group: Group, work: Span) -> CoreDue {
        let left = work.nanos() as f64 / self.speed;
        self.ask(id, group, left, self.virtual_time);
        let idle = self.cores.iter().position(Option::is_none)?;
        self.pick(idle, now)
    }

    fn ask(&mut self, id: u32, group: Group, left: f64, tag: f64) {
        self.sequence += 1;
        let served = group.number.and_then(|number| self.groups.get(&number).copied());
        let tag = served.map_or(tag, |served| served.max(self.virtual_time));
        let sequence = self.sequence;
        self.waiting.push(Reverse(Asking { tag, sequence, id, group, left, used: 0.0 }));
    }

    /// A core turns to the next thread.
    fn pick(&mut self, core: usize, now: Time) -> CoreDue {
        let Reverse(thread) = self.waiting.pop()?;
        self.virtual_time = self.virtual_time.max(thread.tag);
        Some(self.run(core, thread, now))
    }

    /// A thread runs on a core for what is left of its slice.
    fn run(&mut self, core: usize, thread: Asking, now: Time) -> (usize, Time, u32) {
        let part = thread.left.min(self.slice - thread.used);
        self.cores[core] = Some(Running { thread, since: now, part });
        self.turns[core] = self.turns[core].wrapping_add(1);
        (core, now + Span::from_nanos(part.ceil() as u64), self.turns[core])
    }

    /// A core's slice is over, if the wake-up is not stale: the thread if its work has ended, which then holds the core until
    /// [`TimeSlices::leave`], or the core's next wake-up.
    pub fn turned(&mut self, now: Time, core: usize, turn: u32) -> (Option<u32>, CoreDue) {
        if self.turns[core] != turn {
            return (None, None);
        }
        let Some(Running { mut thread, part, .. }) = self.cores[core].take() else {
            return (None, None);
        };
        self.busy_ns += part * self.speed;
        let left = thread.left - part;
        let served = part / thread.group.weight;
        if let Some(number) = thread.group.number {
            let all = self.groups.entry(number).or_insert(0.0);
            *all = all.max(thread.tag) + served;
        }
        thread.tag += served;
        if left <= 0.5 {
            thread.used += part;
            self.cores[core] = Some(Running { thread, since: now, part: 0.0 });
            self.held = Some(core);
            return (Some(thread.id), None);
        }
        self.ask(thread.id, thread.group, left, thread.tag);
        (None, self.pick(core, now))
    }

    /// The thread whose work has just ended has more to do, under this id: it goes on while its slice lasts.
    pub fn go_on(&mut self, now: Time, id: u32, work: Span) -> CoreDue {
        let core = self.held.take()?;
        let Running { mut thread, .. } = self.cores[core].take()?;
        thread.left = work.nanos() as f64 / self.speed;
        thread.id = id;
        if self.slice - thread.used > 0.5 {
            return Some(self.run(core, thread, now));
        }
        self.ask(id, thread.group, thread.left, thread.tag);
        self.pick(core, now)
    }

    /// The thread whose work has just ended leaves its core, if it has not gone on.
    pub fn leave(&mut self, now: Time) -> CoreDue {
        let core = self.held.take()?;
        self.cores[core] = None;
        self.pick(core, now)
    }

    /// Removes a thread before its end. O(n): for kills.
    pub fn remove(&mut self, now: Time, id: u32) -> CoreDue {
        self.waiting.retain(|row| row.0.id != id);
        let on = |core: &Option<Running>| core.is_some_and(|running| running.thread.id == id);
        let core = self.cores.iter().position(on)?;
        let Running { since, part, .. } = self.cores[core].take()?;
        self.busy_ns += (now.since(since).nanos() as f64).min(part) * self.speed;
        self.turns[core] = self.turns[core].wrapping_add(1);
        self.pick(core, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs jobs of one arrival time to their ends; returns (id, end in ms) in order.
    fn run_out(cores: &mut TimeSlices, jobs: &[(u32, Group, u64)]) -> Vec<(u32, f64)> {
        let mut due: Vec<(Time, usize, u32)> = Vec::new();
        for &(id, group, us) in jobs {
            let next = cores.start(Time::ZERO, id, group, Span::from_micros(us));
            due.extend(next.map(|(core, at, turn)| (at, core, turn)));
        }
        let mut ends = Vec::new();
        while let Some(first) = due.iter().copied().min() {
            due.retain(|row| *row != first);
            let (ended, next) = cores.turned(first.0, first.1, first.2);
            ends.extend(ended.map(|id| (id, first.0.nanos() as f64 / 1e6)));
            due.extend(
                next.or_else(|| cores.leave(first.0)).map(|(core, at, turn)| (at, core, turn)),
            );
        }
        ends
    }

    #[test]
    fn threads_that_are_alike_take_turns() {
        let own = Group { number: None, weight: 1024.0 };
        let mut cores = TimeSlices::new(1, 1.0, Span::from_millis(1));
        // 2, 1 and 3 ms in slices of 1 ms: a b c a c c.
        let ends = run_out(&mut cores, &[(0, own, 2000), (1, own, 1000), (2, own, 3000)]);
        assert_eq!(ends, [(1, 2.0), (0, 4.0), (2, 6.0)]);
        assert!((cores.work_done() - 6e6).abs() < 1.0);
    }

    #[test]
    fn a_thread_with_more_to_do_keeps_its_core_for_its_slice() {
        let own = Group { number: None, weight: 1024.0 };
        let ms = |n: u64| Time::ZERO + Span::from_millis(n);
        let mut cores = TimeSlices::new(1, 1.0, Span::from_millis(2));
        let first = cores.start(ms(0), 0, own, Span::from_millis(1));
        assert_eq!(first, Some((0, ms(1), 1)));
        assert_eq!(cores.start(ms(0), 1, own, Span::from_millis(1)), None);
        // The first ends its millisecond and has two more to do, under another number: one is left of its slice.
        assert_eq!(cores.turned(ms(1), 0, 1), (Some(0), None));
        assert_eq!(cores.go_on(ms(1), 2, Span::from_millis(2)), Some((0, ms(2), 2)));
        // Whoever waits has its turn then, and the rest comes after it.
        assert_eq!(cores.turned(ms(2), 0, 2), (None, Some((0, ms(3), 3))));
        assert_eq!(cores.turned(ms(3), 0, 3), (Some(1), None));
        assert_eq!(cores.leave(ms(3)), Some((0, ms(4), 4)));
        assert_eq!(cores.turned(ms(4), 0, 4), (Some(2), None));
        // With nothing more to do it leaves an idle core.
        assert_eq!(cores.leave(ms(4)), None);
        assert_eq!(cores.start(ms(5), 3, own, Span::from_millis(1)), Some((0, ms(6), 5)));
        assert!((cores.work_done() - 4e6).abs() < 1.0);
    }

    #[test]
    fn long_runs_share_by_weight() {
        let own = |weight| Group { number: None, weight };
        let one = Group { number: Some(1), weight: 3072.0 };
        let mut cores = TimeSlices::new(1, 1.0, Span::from_micros(100));
        // Weight 3072 for two threads of a group, and 1024: 3/8, 3/8 and 1/4 of the core. The two end their 3 s of
        // work at 8 s, when the third has done 2 s of its 3.
        let jobs = [(0, one, 3_000_000), (1, one, 3_000_000), (2, own(1024.0), 3_000_000)];
        let ends = run_out(&mut cores, &jobs);
        assert!((ends[0].1 - 8_000.0).abs() < 5.0 && (ends[1].1 - 8_000.0).abs() < 5.0, "{ends:?}");
        assert_eq!(ends[2], (2, 9_000.0));
    }

    #[test]
    fn cores_work_side_by_side_at_their_speed() {
        let own = Group { number: None, weight: 1024.0 };
        let mut cores = TimeSlices::new(2, 0.5, Span::from_millis(2));
        let jobs = [(0, own, 1000), (1, own, 1000), (2, own, 1000)];
        assert_eq!(run_out(&mut cores, &jobs), [(0, 2.0), (1, 2.0), (2, 4.0)]);
    }
}
