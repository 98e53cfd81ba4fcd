//! Where an answer turns from yes to no along an ordered row of places, asked for as seldom as possible.
//!
//! Takes for granted that the answer turns once. Near the turn no number of replications may decide; such places are in
//! between and belong to neither side.

use std::collections::BTreeMap;

/// What is known of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes, with confidence.
    Yes,
    /// No, with confidence.
    No,
    /// The most replications do not tell.
    Undecided,
}

/// Where the answer turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Boundary {
    /// The last place that is surely yes; none if there is none.
    pub(super) last_yes: Option<usize>,
    /// The first place that is surely no; none if there is none.
    pub(super) first_no: Option<usize>,
}

/// Searches `places` places from `start` on: doubles its steps until the turn lies between two places, then halves.
/// `close` says when two places are near enough to one another. `ask` may refuse (interrupted, an error), which ends the
/// search with what is known.
pub(super) fn boundary<E>(
    places: usize,
    start: usize,
    close: &dyn Fn(usize, usize) -> bool,
    ask: &mut dyn FnMut(usize) -> Result<Decision, E>,
) -> (Boundary, Option<E>) {
    let mut search = Search { places, known: BTreeMap::new(), ask };
    let stopped = search.run(start, close).err();
    (search.known(), stopped)
}

struct Search<'a, E> {
    places: usize,
    known: BTreeMap<usize, Decision>,
    ask: &'a mut dyn FnMut(usize) -> Result<Decision, E>,
}

impl<E> Search<'_, E> {
    fn known(&self) -> Boundary {
        let of = |decision| move |(at, d): (&usize, &Decision)| (*d == decision).then_some(*at);
        Boundary {
            last_yes: self.known.iter().filter_map(of(Decision::Yes)).max(),
            first_no: self.known.iter().filter_map(of(Decision::No)).min(),
        }
    }

    fn decide(&mut self, at: usize) -> Result<Decision, E> {
        if let Some(decision) = self.known.get(&at) {
            return Ok(*decision);
        }
        let decision = (self.ask)(at)?;
        self.known.insert(at, decision);
        Ok(decision)
    }

    fn run(&mut self, start: usize, close: &dyn Fn(usize, usize) -> bool) -> Result<(), E> {
        let start = start.min(self.places - 1);
        self.decide(start)?;
        if self.known().last_yes.is_none() {
            self.gallop(start, Decision::Yes, 0)?;
        }
        if self.known().first_no.is_none() {
            self.gallop(start, Decision::No, self.places - 1)?;
        }
        // The turn itself first, then the other edge of what is undecided around it.
        self.halve(Decision::Yes, close)?;
        self.halve(Decision::No, close)
    }

    /// Steps from the start towards `edge`, twice as far each time, until a place is `wanted`.
    fn gallop(&mut self, start: usize, wanted: Decision, edge: usize) -> Result<(), E> {
        let (mut at, mut step) = (start, (start / 2).max(1));
        while at != edge {
            at =
                if edge > at { at.saturating_add(step).min(edge) } else { at.saturating_sub(step) };
            step = step.saturating_mul(2);
            if self.decide(at)? == wanted {
                break;
            }
        }
        Ok(())
    }

    /// Halves between places that are `sure` and places that are not, on the side of `sure`.
    fn halve(&mut self, sure: Decision, close: &dyn Fn(usize, usize) -> bool) -> Result<(), E> {
        loop {
            let own = self.known.iter().filter(|(_, d)| **d == sure).map(|(at, _)| *at);
            let other: Vec<usize> =
                self.known.iter().filter(|(_, d)| **d != sure).map(|(at, _)| *at).collect();
            let ends = match sure {
                Decision::Yes => own.max().and_then(|low| {
                    other.iter().copied().filter(|at| *at > low).min().map(|high| (low, high))
                }),
                _ => own.min().and_then(|high| {
                    other.iter().copied().filter(|at| *at < high).max().map(|low| (low, high))
                }),
            };
            let Some((low, high)) = ends else { return Ok(()) };
            if high - low <= 1 || close(low, high) {
                return Ok(());
            }
            self.decide(low + (high - low) / 2)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every turn with every width of the undecided zone, from every start.
    #[test]
    fn every_turn_is_found_with_few_questions() {
        let places = 64;
        for turn in 0..=places {
            for zone in [0, 1, 5] {
                for start in [0, 1, 31, 63] {
                    let mut asked = 0;
                    let (found, stopped) =
                        boundary::<()>(places, start, &|_, _| false, &mut |at| {
                            asked += 1;
                            Ok(if at < turn {
                                Decision::Yes
                            } else if at < turn + zone {
                                Decision::Undecided
                            } else {
                                Decision::No
                            })
                        });
                    assert_eq!(stopped, None);
                    if turn > 0 {
                        assert_eq!(found.last_yes, Some(turn - 1), "{turn} {zone} {start}");
                    } else {
                        assert_eq!(found.last_yes, None);
                    }
                    if turn + zone < places {
                        assert_eq!(found.first_no, Some(turn + zone), "{turn} {zone} {start}");
                    }
                    assert!(asked <= 20, "{turn} {zone} {start}: {asked}");
                }
            }
        }
    }

    #[test]
    fn a_refusal_keeps_what_is_known() {
        let mut left = 3;
        let (found, stopped) = boundary(1_000, 100, &|_, _| false, &mut |at| {
            left -= 1;
            if left == 0 {
                Err("enough")
            } else {
                Ok(if at < 120 { Decision::Yes } else { Decision::No })
            }
        });
        assert_eq!(stopped, Some("enough"));
        assert_eq!(found, Boundary { last_yes: Some(100), first_no: Some(150) });
    }
}
