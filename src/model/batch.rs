//! Messages that one invocation works on together: what the queue hands over, and what the function says of each.

use super::message::CallId;
use crate::kernel::{Key, Span};

/// One message of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Random key of the message; the same at every receive.
    pub key: Key,
    /// Kind of request that it asks for.
    pub work: u16,
    /// How often it was received, this time included.
    pub receives: u16,
    /// Whether the function reported it as failed.
    pub failed: bool,
}

/// A batch, and how far the function has come with it.
#[derive(Debug, Default)]
pub struct Batch {
    /// The messages.
    pub items: Vec<Item>,
    /// Whether the function reports failed messages by name instead of failing as a whole.
    pub partial: bool,
    /// Whether the plain waits of the messages overlap.
    pub overlapping: bool,
    at: usize,
    waited: Span,
    longest: Span,
}

/// What an invocation does after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Work on the message that is now in its row.
    Item,
    /// Wait for the longest of the overlapping waits.
    Wait(Span),
    /// Nothing is left.
    Done,
}

/// All batches in flight. Rows are used again, so that a run at its level allocates nothing.
#[derive(Debug, Default)]
pub struct Batches {
    rows: Vec<Batch>,
    free: Vec<u32>,
}

impl Batches {
    /// A new, empty batch.
    pub fn open(&mut self, partial: bool, overlapping: bool) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.rows.push(Batch::default());
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        });
        let row = &mut self.rows[at as usize];
        let mut items = std::mem::take(&mut row.items);
        items.clear();
        *row = Batch { items, partial, overlapping, ..Batch::default() };
        at
    }

    /// A batch in flight.
    pub fn get(&mut self, at: u32) -> &mut Batch {
        &mut self.rows[at as usize]
    }

    /// Gives a batch back.
    pub fn close(&mut self, at: u32) {
        self.free.push(at);
    }
}

impl Batch {
    /// Begins with the first message, also when an invocation is tried again.
    pub fn begin(&mut self) -> Option<Item> {
        (self.at, self.waited, self.longest) = (0, Span::ZERO, Span::ZERO);
        self.items.iter_mut().for_each(|item| item.failed = false);
        self.items.first().copied()
    }

    /// Notes a plain wait of the present message; true if it runs beside those of the others.
    pub fn overlaps(&mut self, wait: Span) -> bool {
        if self.overlapping {
            self.waited = self.waited + wait;
        }
        self.overlapping
    }

    /// The present message failed; true if the others may go on.
    pub fn item_failed(&mut self) -> bool {
        if let (true, Some(item)) = (self.partial, self.items.get_mut(self.at)) {
            item.failed = true;
        }
        self.partial
    }

    /// Goes on to the next message.
    fn advance(&mut self) -> Result<Item, Span> {
        self.longest = self.longest.max(std::mem::take(&mut self.waited));
        self.at += 1;
        match self.items.get(self.at) {
            Some(item) => Ok(*item),
            None => Err(std::mem::take(&mut self.longest)),
        }
    }
}

impl super::calls::Calls {
    /// Puts the first message of the call's batch into its row, if it has a batch.
    #[inline]
    pub fn begin_batch(&mut self, call: CallId) {
        if let Some(batch) = self.batch_of(call)
            && let Some(item) = self.batches.get(batch).begin()
        {
            self.load_item(call, item);
        }
    }

    /// After the last step of a message: the next one goes into the row.
    #[inline]
    pub fn next_item(&mut self, call: CallId) -> Next {
        self.batch_of(call).map_or(Next::Done, |batch| self.next_of(batch, call))
    }

    fn next_of(&mut self, batch: u32, call: CallId) -> Next {
        match self.batches.get(batch).advance() {
            Ok(item) => {
                self.load_item(call, item);
                Next::Item
            }
            Err(Span::ZERO) => Next::Done,
            Err(wait) => Next::Wait(wait),
        }
    }

    fn load_item(&mut self, call: CallId, item: Item) {
        let row = self.get(call);
        (row.key, row.work, row.visit, row.step) = (item.key, item.work, item.receives, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(partial: bool, overlapping: bool) -> Batch {
        let item = Item { key: Key::root(1, 0), work: 0, receives: 1, failed: false };
        Batch { items: vec![item; 2], partial, overlapping, ..Batch::default() }
    }

    #[test]
    fn overlapping_waits_take_as_long_as_the_longest() {
        let mut batch = batch(false, true);
        batch.begin();
        assert!(batch.overlaps(Span::from_secs(3)));
        assert!(batch.advance().is_ok());
        assert!(batch.overlaps(Span::from_secs(2)));
        assert_eq!(batch.advance().unwrap_err(), Span::from_secs(3));
        assert_eq!(batch.advance().unwrap_err(), Span::ZERO, "waited for once");
    }

    #[test]
    fn only_partial_reports_name_a_message() {
        let mut whole = batch(false, false);
        whole.begin();
        assert!(!whole.item_failed() && !whole.items[0].failed);
        let mut partial = batch(true, false);
        partial.begin();
        assert!(partial.item_failed() && partial.items[0].failed);
        partial.begin();
        assert!(!partial.items[0].failed, "a new try starts clean");
    }
}
