//! The journal of a sweep: one line a finished point, so that nothing finished is lost and nothing is done twice.
//!
//! A line is a checksum, a blank and JSON. The first line holds the head of the sweep and the shard; it binds the journal to
//! the scenario, the values and the version. A line that was torn by a kill or a full disk fails its checksum and counts
//! as never written.

use super::sweep::{SweepHead, SweepPoint};
use crate::kernel::Key;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Part `index` (from 0) of `count`: the points whose number leaves `index` when divided by `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which, from 0.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl Shard {
    /// The whole sweep.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// Numbers of its points.
    pub fn points(self, of: usize) -> impl Iterator<Item = usize> {
        (self.index..of).step_by(self.count.max(1))
    }
}

#[derive(Serialize, Deserialize)]
struct First {
    sweep: SweepHead,
    shard: Shard,
}

/// A journal that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// What it is about.
    pub head: SweepHead,
    /// Which part.
    pub shard: Shard,
    /// Finished points by number.
    pub points: BTreeMap<usize, SweepPoint>,
}

fn line(json: &str) -> String {
    format!("{:016x} {json}\n", Key::root(0, 0).named(json).bits())
}

fn checked(line: &str) -> Option<&str> {
    let (sum, json) = line.split_once(' ')?;
    (u64::from_str_radix(sum, 16).ok()? == Key::root(0, 0).named(json).bits()).then_some(json)
}

/// The first line of a journal.
pub fn first_line(head: &SweepHead, shard: Shard) -> String {
    let first = First { sweep: head.clone(), shard };
    line(&serde_json::to_string(&first).unwrap_or_default())
}

/// The line of a finished point.
pub fn point_line(point: &SweepPoint) -> String {
    line(&serde_json::to_string(point).unwrap_or_default())
}

impl Journal {
    /// Reads a journal. None if not even its first line is whole; lines that fail their checksum are passed over.
    pub fn read(text: &str) -> Option<Journal> {
        let mut lines = text.split('\n');
        let First { sweep, shard } = serde_json::from_str(checked(lines.next()?)?).ok()?;
        let points = lines
            .filter_map(checked)
            .filter_map(|json| serde_json::from_str::<SweepPoint>(json).ok())
            .filter(|point| point.point < sweep.count)
            .map(|point| (point.point, point))
            .collect();
        Some(Journal { head: sweep, shard, points })
    }

    /// The text of this journal, without what was torn.
    pub fn text(&self) -> String {
        let lines = self.points.values().map(point_line);
        std::iter::once(first_line(&self.head, self.shard)).chain(lines).collect()
    }
}

/// Why journals do not make a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeError {
    /// Two journals are of different sweeps; their places in the list.
    Different(usize, usize),
    /// A point stands in two journals.
    Overlap {
        /// Number of the point.
        point: usize,
        /// Places of both journals in the list.
        in_both: (usize, usize),
    },
    /// Points that no journal has.
    Missing {
        /// Numbers of the points.
        points: Vec<usize>,
        /// Shards of which no journal was given, in the numbering of the first journal, from 0.
        shards: Vec<usize>,
        /// Of how many.
        of: usize,
    },
}

/// Puts the journals of all shards together.
///
/// # Errors
/// See [`MergeError`].
pub fn merge(journals: Vec<Journal>) -> Result<(SweepHead, Vec<SweepPoint>), MergeError> {
    let Some(first) = journals.first() else {
        return Err(MergeError::Missing { points: Vec::new(), shards: Vec::new(), of: 0 });
    };
    let (head, of) = (first.head.clone(), first.shard.count);
    let given: Vec<Shard> = journals.iter().map(|journal| journal.shard).collect();
    let mut all: BTreeMap<usize, (usize, SweepPoint)> = BTreeMap::new();
    for (i, journal) in journals.into_iter().enumerate() {
        if journal.head != head {
            return Err(MergeError::Different(0, i));
        }
        for (number, point) in journal.points {
            if let Some((before, _)) = all.insert(number, (i, point)) {
                return Err(MergeError::Overlap { point: number, in_both: (before, i) });
            }
        }
    }
    let points: Vec<usize> = (0..head.count).filter(|number| !all.contains_key(number)).collect();
    if !points.is_empty() {
        let shards = (0..of).filter(|index| !given.contains(&Shard { index: *index, count: of }));
        return Err(MergeError::Missing { points, shards: shards.collect(), of });
    }
    Ok((head, all.into_values().map(|(_, point)| point).collect()))
}
