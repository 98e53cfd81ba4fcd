//! Which row belongs to an owner's own number for it: a table for the hot path of servers that hold connections.
//!
//! Open addressing with linear probing and a fixed multiplicative hash. It is never walked, so no result can hang on its order.

use super::message::NodeId;

const VACANT: u32 = u32::MAX;

/// Rows by (owner, the owner's number).
#[derive(Debug, Clone, Default)]
pub struct Owners {
    /// A power of two of places, at most half of them taken; (key, row), the row [`VACANT`] where none is.
    places: Vec<(u64, u32)>,
    taken: usize,
}

fn key((owner, number): (NodeId, u32)) -> u64 {
    u64::from(owner.0) << 32 | u64::from(number)
}

impl Owners {
    /// The first place to look for a key, by the golden ratio (D. Knuth, TAOCP 6.4). Numbers in a row, as owners give them, stand
    /// side by side in eights, so that few cache lines hold them.
    #[inline]
    fn home(&self, key: u64) -> usize {
        let hash = (key >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        (hash << 3 | key & 7) as usize & (self.places.len() - 1)
    }

    /// Where a key stands, or the vacant place where it would.
    #[inline]
    fn place(&self, key: u64) -> usize {
        let mut at = self.home(key);
        while self.places[at].1 != VACANT && self.places[at].0 != key {
            at = (at + 1) & (self.places.len() - 1);
        }
        at
    }

    /// The row of an owner's number.
    #[inline]
    pub fn get(&self, owner: (NodeId, u32)) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let row = self.places[self.place(key(owner))].1;
        (row != VACANT).then_some(row)
    }

    /// Gives an owner's number a row, instead of the one it had.
    pub fn insert(&mut self, owner: (NodeId, u32), row: u32) {
        if 2 * (self.taken + 1) > self.places.len() {
            let more = (2 * self.places.len()).max(16);
            let old = std::mem::replace(&mut self.places, vec![(0, VACANT); more]);
            for (key, row) in old.into_iter().filter(|place| place.1 != VACANT) {
                let at = self.place(key);
                self.places[at] = (key, row);
            }
        }
        let key = key(owner);
        let at = self.place(key);
        self.taken += usize::from(self.places[at].1 == VACANT);
        self.places[at] = (key, row);
    }

    /// Takes an owner's number away. Returns its row.
    pub fn remove(&mut self, owner: (NodeId, u32)) -> Option<u32> {
        let row = self.get(owner)?;
        let mut gap = self.place(key(owner));
        self.taken -= 1;
        // Those behind move up unless they would come before their home.
        let mask = self.places.len() - 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let (key, moved) = self.places[at];
            if moved == VACANT {
                break;
            }
            if (at.wrapping_sub(self.home(key)) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.places[gap] = (key, moved);
                gap = at;
            }
        }
        self.places[gap] = (0, VACANT);
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Key;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_a_map() {
        for seed in 0..20 {
            let mut stream = Key::root(seed, 0).stream();
            let (mut table, mut twin) = (Owners::default(), BTreeMap::new());
            for row in 0..5_000 {
                let owner = (NodeId(stream.below(3) as u16), stream.below(200) as u32);
                match stream.below(3) {
                    0 => assert_eq!(table.remove(owner), twin.remove(&owner)),
                    1 => assert_eq!(table.get(owner), twin.get(&owner).copied()),
                    _ => {
                        table.insert(owner, row);
                        twin.insert(owner, row);
                    }
                }
            }
            assert_eq!(table.taken, twin.len());
        }
    }
}
