//! The order in which requests that wait inside a pod for a place are served.

use crate::kernel::{Key, Stream};
use crate::model::message::CallId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Who of those that wait is served next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueDiscipline {
    /// First in, first out.
    #[default]
    Fifo,
    /// Last in, first out: under overload those who have waited longest, and are likely to have given up, are left.
    Lifo,
    /// Service in random order: any of them, each as likely.
    Random,
}

impl QueueDiscipline {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) fn is_fifo(&self) -> bool {
        *self == QueueDiscipline::Fifo
    }
}

/// A discipline as it runs.
#[derive(Debug)]
pub(super) enum Discipline {
    Fifo,
    Lifo,
    Random(Box<Stream>),
}

impl Discipline {
    pub(super) fn new(discipline: QueueDiscipline, key: Key) -> Discipline {
        match discipline {
            QueueDiscipline::Fifo => Discipline::Fifo,
            QueueDiscipline::Lifo => Discipline::Lifo,
            QueueDiscipline::Random => {
                Discipline::Random(Box::new(key.named("queue_discipline").stream()))
            }
        }
    }

    /// Takes who is next out of the line.
    #[inline(always)]
    pub(super) fn next(&mut self, waiting: &mut VecDeque<CallId>) -> Option<CallId> {
        match self {
            Discipline::Fifo => waiting.pop_front(),
            Discipline::Lifo => waiting.pop_back(),
            Discipline::Random(_) if waiting.is_empty() => None,
            Discipline::Random(stream) => {
                waiting.swap_remove_back(stream.below(waiting.len() as u64) as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(discipline: QueueDiscipline, n: u32) -> Vec<u32> {
        let mut line: VecDeque<CallId> = (0..n).map(|slot| CallId { slot, turn: 0 }).collect();
        let mut discipline = Discipline::new(discipline, Key::root(7, 0));
        std::iter::from_fn(|| discipline.next(&mut line)).map(|call| call.slot).collect()
    }

    #[test]
    fn who_is_served_next() {
        assert_eq!(order(QueueDiscipline::Fifo, 4), [0, 1, 2, 3]);
        assert_eq!(order(QueueDiscipline::Lifo, 4), [3, 2, 1, 0]);
        let mut random = order(QueueDiscipline::Random, 100);
        let of_first_half = random[..50].iter().filter(|slot| **slot < 50).count();
        assert!((15..=35).contains(&of_first_half), "{random:?}");
        random.sort_unstable();
        assert_eq!(random, (0..100).collect::<Vec<_>>());
    }
}
